"""The house has five rooms with one-way doors; this walks every import, and every "module:object" string, and finds who went the wrong way."""

import ast
import importlib
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("search", "spaces", "trainables", "cluster", "reports")
DOORS = {"search": set(ROOMS), "spaces": {"spaces"}, "trainables": {"trainables"}, "cluster": {"cluster"}, "reports": {"reports"}}

# What a room must run without, because whoever uses it alone may not have it.
UNKNOWN = {
    "trainables": {"ray", "optuna", "plotly", "pydantic", "click", "rich", "jinja2"},
    "spaces": {"torch", "torchvision", "ray", "optuna"},
    "reports": {"torch", "torchvision", "ray"},
}
ENTRY = re.compile(r"^([a-z_][a-z0-9_.]*):[A-Za-z_]\w*$")


def _files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Gives (line, module) of every import of a file, at whatever depth, and of every "module:object" string."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are written in full"
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := ENTRY.match(node.value)):
            yield node.lineno, found[1]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_through_its_doors(room: str) -> None:
    assert _files(room)
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in _files(room)
        for line, module in _imports(path)
        if module.partition(".")[0] in set(ROOMS) - DOORS[room] or module.partition(".")[0] in UNKNOWN.get(room, set())
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_every_registered_entry_exists(room: str) -> None:
    missing = []
    for path in _files(room):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and ENTRY.match(node.value):
                module, _, name = node.value.partition(":")
                if module.partition(".")[0] in ROOMS and not hasattr(importlib.import_module(module), name):
                    missing.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}")
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("room", sorted(UNKNOWN))
def test_a_room_imports_where_what_it_must_not_know_is_missing(room: str) -> None:
    script = f"""
        import importlib, pkgutil, sys

        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {sorted(UNKNOWN[room])!r}:
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Missing())
        package = importlib.import_module({room!r})
        for module in pkgutil.walk_packages(package.__path__, {room + "."!r}):
            importlib.import_module(module.name)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_environment_is_read_in_cluster_and_the_command_line_alone() -> None:
    # Setting what a library reads at its import is another matter: os.environ.update(...).
    read = re.compile(r"\bos\.(environ(?!\.update\()|getenv)")
    allowed = {*_files("cluster"), ROOT / "search" / "cli.py"}
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted({path for room in ROOMS for path in _files(room)} - allowed)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if read.search(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_is_unpickled() -> None:
    loaders = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for room in ROOMS
        for path in _files(room)
        for line, module in _imports(path)
        if module.partition(".")[0] in loaders
    ]
    assert not wrong, "\n".join(wrong)
