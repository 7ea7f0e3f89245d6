"""Changing what a stage computes is a decision about its VERSION: beside each version stands a hash of the code it was given for.

Where a hash differs: if the same settings now give other numbers, raise the VERSION, so that nothing old is mistaken for new; if they do not (a
message, a clearer line), only take the new hash over from the failure's message.
"""

import ast
import hashlib
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

STAGES = {
    "trainables.datasets.procedural": (3, ["datasets/procedural.py"], "255635eab633"),
    "trainables.datasets.packs": (1, ["datasets/packs.py", "datasets/survey.py", "datasets/pictures.py", "datasets/groups.py"], "e927b79f1d81"),
    "trainables.datasets.splits": (1, ["datasets/splits.py"], "f42e4895a134"),
    "trainables.datasets.backgrounds": (1, ["datasets/backgrounds.py", "datasets/squares.py"], "698e2ddcbf03"),
    "trainables.inspectors.stage": (1, ["inspectors/stage.py", "inspectors/training.py", "inspectors/classifiers.py"], "69af682403b4"),
    "trainables.scores.extractors": (1, ["scores/extractors.py", "scores/inception.py"], "33c1865e89e4"),
    "trainables.scores.samples": (1, ["scores/samples.py"], "16d27ed301bd"),
}
"""Module that holds the VERSION -> the version, the files below `trainables/` that decide the numbers, and their hash."""

SKIPPED = {"type_params", "type_comment", "type_ignores", "kind", "ctx", "returns", "annotation"}
"""Parts of a syntax tree that decide nothing, or that not every Python has."""


def outline(node: object) -> str:
    """Writes a syntax tree without comments, docstrings, places and layout: equal on every Python that runs this project."""
    if isinstance(node, ast.AST):
        fields = {name: value for name, value in ast.iter_fields(node) if name not in SKIPPED and value not in (None, [])}
        body = fields.get("body")
        if isinstance(body, list):
            fields["body"] = [item for item in body if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant))]
        return f"{type(node).__name__}({','.join(f'{name}={outline(value)}' for name, value in fields.items())})"
    if isinstance(node, list):
        return f"[{','.join(outline(item) for item in node)}]"
    return repr(node)


def hash_of(files: list[str]) -> str:
    trees = [outline(ast.parse((ROOT / "trainables" / file).read_text(encoding="utf-8"))) for file in files]
    return hashlib.sha256("\n".join(trees).encode()).hexdigest()[:12]


@pytest.mark.parametrize("module", STAGES)
def test_code_and_version_belong_together(module: str) -> None:
    version, files, expected = STAGES[module]
    assert (importlib.import_module(module).VERSION, hash_of(files)) == (version, expected)


def test_the_hash_follows_code_and_not_its_looks() -> None:
    code = 'def f(a: int) -> int:\n    """Adds."""\n    return a + 1\n'
    assert outline(ast.parse(code)) == outline(ast.parse("# why\ndef f(a):\n\n    return (a\n        + 1)\n"))
    assert outline(ast.parse(code)) != outline(ast.parse(code.replace("1", "2")))
