import importlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from reports.records import Asked, Record, trial_folder, write_record
from search import cli
from search.runs.lease import Lease
from search.runs.ledger import STOP_FILE

BARE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _tundish(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "search", *args], cwd=cwd, env=BARE, capture_output=True, text=True, timeout=120)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of two finished trials and a third that was asked, below `runs` of the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "welds"
    recipe: dict[str, Any] = {"inspector": {"kind": "fcn"}, "generator": None, "synthesis": None}
    made = recipe | {"generator": {"family": "dcgan", "kimg": 2.0}, "synthesis": {"amount": {"kind": "balance", "value": 0}}}
    for trial, value in enumerate((0.6, 0.7, None)):
        asked = Asked(
            trial=trial, move="explore" if trial else "baseline", reason="a test", params={}, recipe=made if trial else recipe, epoch=1, time_s=0.0
        )
        write_record(trial_folder(folder, trial), asked)
        if value is not None:
            record = Record(trial=trial, state="complete", scores={"val_accuracy": value}, started_s=0.0, ended_s=1.0, epoch=1)
            write_record(trial_folder(folder, trial), record)
    study = {"study": "welds", "search": {"trials": 12}, "objectives": {"val_accuracy": "maximize"}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    return folder


def test_help_loads_nothing_heavy() -> None:
    """What makes it answer at once, whatever else the machine is doing."""
    script = """
import sys
sys.argv = ["tundish", "--help"]
from search.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
heavy = {"torch", "ray", "optuna", "numpy", "pandas", "plotly", "pydantic", "rich"} & set(sys.modules)
print(code, sorted(heavy), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", script], env=BARE, capture_output=True, text=True, timeout=60)
    assert done.stderr == "0 []\n"
    assert "tundish demo" in done.stdout


def test_every_command_has_help() -> None:
    def walk(group: click.Group, path: list[str]) -> None:
        for name, command in group.commands.items():
            done = CliRunner().invoke(cli.cli, [*path, name, "--help"])
            assert done.exit_code == 0 and command.help, [*path, name]
            if isinstance(command, click.Group):
                walk(command, [*path, name])

    walk(cli.cli, [])
    wanted = {"demo", "init", "run", "runs", "stop", "status", "report", "data", "space", "preset", "doctor"}
    assert wanted <= set(cli.cli.commands)


def test_errors_that_have_an_exit_code_exist() -> None:
    for name in cli.ERRORS:
        module, _, kind = name.rpartition(".")
        found = getattr(importlib.import_module(module), kind)
        assert issubclass(found, Exception) and f"{found.__module__}.{found.__qualname__}" == name


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("trainables.errors.DatasetError", 3),
        ("trainables.errors.SettingsError", 2),
        ("trainables.errors.StoreError", 1),
        ("search.studies.study.StudyError", 2),
        ("search.runs.lease.RunError", 1),
        ("cluster.connect.ClusterError", 1),
    ],
)
def test_a_known_error_is_one_message_and_an_exit_code(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: str, code: int
) -> None:
    module, _, kind = error.rpartition(".")

    def fail(folder: Path) -> None:
        raise getattr(importlib.import_module(module), kind)("what is wrong\n  and its cure")

    monkeypatch.setattr("search.runs.status.summarize", fail)
    monkeypatch.setattr(sys, "argv", ["tundish", "status", "welds"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == code
    assert capsys.readouterr().err == "error: what is wrong\n  and its cure\n"


def test_an_unforeseen_error_keeps_its_traceback(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("search.runs.status.summarize", fail)
    monkeypatch.setattr(sys, "argv", ["tundish", "status", "welds"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_ctrl_c_is_130(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("search.runs.status.summarize", fail)
    monkeypatch.setattr(sys, "argv", ["tundish", "status", "welds"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 130


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["rum"], "Did you mean run?"),
        (["preset", "show", "dem"], "Did you mean demo?"),
        (["data", "chek", "."], "Did you mean check?"),
        (["run"], "study file or --data"),
        (["run", "a.yaml", "--data", "b"], "study file or --data"),
        (["status", "weld"], "Did you mean welds?"),
        (["store", "nowhere"], "no such store"),
    ],
)
def test_wrong_usage_is_2_and_names_the_nearest(run: Path, args: list[str], said: str) -> None:
    done = CliRunner().invoke(cli.cli, args)
    assert done.exit_code == 2 and said in done.output


def test_status_says_where_a_run_stands(run: Path) -> None:
    for name in ("welds", "runs/welds", str(run)):
        done = CliRunner().invoke(cli.cli, ["status", name])
        assert done.exit_code == 0, done.output
        assert "interrupted" in done.output and "2 complete, 1 unfinished of 12\n" in done.output
        assert "val_accuracy 0.700 (#1 dcgan 2 kimg, balanced, fcn)" in done.output
        assert "val_accuracy 0.600 (#0 real only (plain) + fcn)" in done.output
    plain = json.loads(CliRunner().invoke(cli.cli, ["status", "welds", "--json"]).output)
    assert plain["trials"] == {"complete": 2, "pruned": 0, "failed": 0, "running": 0, "unfinished": 1}
    assert plain["best"]["trial"] == 1 and plain["gain"] == pytest.approx(0.1) and plain["driver"] is None


def test_runs_lists_every_run(run: Path) -> None:
    done = CliRunner().invoke(cli.cli, ["runs"])
    assert done.exit_code == 0 and "welds" in done.output and "2 of 12" in done.output
    assert [item["study"] for item in json.loads(CliRunner().invoke(cli.cli, ["runs", "--json"]).output)] == ["welds"]
    assert "no runs in elsewhere" in CliRunner().invoke(cli.cli, ["runs", "--runs", "elsewhere"]).output


def test_stop_asks_the_driver_and_nobody_where_there_is_none(run: Path) -> None:
    assert "is not running" in CliRunner().invoke(cli.cli, ["stop", "welds"]).output
    assert not (run / STOP_FILE).exists()
    lease = Lease(run)
    try:
        done = CliRunner().invoke(cli.cli, ["stop", "welds"])
        assert f"process {os.getpid()} on {socket.gethostname()}" in done.output and (run / STOP_FILE).exists()
    finally:
        lease.release()


def test_a_preset_can_be_listed_shown_and_read_back(tmp_path: Path) -> None:
    listed = CliRunner().invoke(cli.cli, ["preset", "list"])
    assert "demo" in listed.output and "neu-cls-small" in listed.output
    shown = CliRunner().invoke(cli.cli, ["preset", "show", "demo"])
    path = tmp_path / "mine.yaml"
    path.write_text(shown.output, encoding="utf-8")
    tree = CliRunner().invoke(cli.cli, ["space", "show", str(path), "--set", "space.generator.family=dcgan"])
    assert tree.exit_code == 0 and "dcgan" in tree.output and "pe_gan" not in tree.output


def test_the_whole_space_names_every_family() -> None:
    tree = CliRunner().invoke(cli.cli, ["space", "show"]).output
    assert all(family in tree for family in ("dcgan", "wgan_gp", "lm_gan", "pe_gan", "resnet18", "mobilenet_v2", "fcn"))


def test_the_schema_is_json_and_knows_the_sections() -> None:
    plain = json.loads(CliRunner().invoke(cli.cli, ["schema"]).output)
    assert {"data", "space", "objectives", "search", "resources", "storage"} <= set(plain["properties"])


def test_a_job_is_warned_of_folders_that_go_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("search.runner.run_study", lambda study, **rest: 1)
    kept = ["--set", f"storage.store={tmp_path / 'kept'}"]
    assert "warning" not in CliRunner().invoke(cli.cli, ["demo"]).output
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    said = CliRunner().invoke(cli.cli, ["demo", *kept])
    assert said.exit_code == 1 and "storage.runs" in said.output and "storage.store" not in said.output


def test_a_missing_data_folder_is_a_data_error(tmp_path: Path) -> None:
    for args in (["data", "check", "nowhere"], ["init", "nowhere"], ["run", "--data", "nowhere"], ["data", "pack", "nowhere"]):
        done = _tundish(*args, cwd=tmp_path)
        assert done.returncode == 3 and "nowhere" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of two classes of 12 different images each, and as many defect-free ones."""
    rng = np.random.default_rng(0)
    for name in ("dent", "stain", "good"):
        (tmp_path / "plates" / name).mkdir(parents=True)
        for i in range(12):
            coarse = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(coarse).resize((32, 32)).save(tmp_path / "plates" / name / f"{i}.png")
    return tmp_path / "plates"


def test_a_folder_is_checked_packed_and_made_a_study_that_loads(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checked = CliRunner().invoke(cli.cli, ["data", "check", "plates", "--size", "32"])
    assert checked.exit_code == 0 and "dent" in checked.output and "32x32" in checked.output, checked.output
    for _ in range(2):
        packed = CliRunner().invoke(cli.cli, ["data", "pack", "plates", "--size", "32"])
        assert packed.exit_code == 0 and "36 images" in packed.output
    assert "pack" in CliRunner().invoke(cli.cli, ["store"]).output
    made = CliRunner().invoke(cli.cli, ["init", "plates", "--size", "32"])
    assert made.exit_code == 0 and "tundish run study.yaml" in made.output, made.output
    again = CliRunner().invoke(cli.cli, ["init", "plates"])
    assert again.exit_code == 2 and "--force" in again.output
    shown = CliRunner().invoke(cli.cli, ["space", "show", "study.yaml"])
    assert shown.exit_code == 0 and "pe_gan" in shown.output, shown.output


def test_a_folder_with_errors_is_shown_with_them_and_made_no_study(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (images / "dent" / "0.png").write_bytes(b"")
    for args in (["data", "check", "plates", "--size", "32"], ["init", "plates", "--size", "32"]):
        done = CliRunner().invoke(cli.cli, args)
        assert done.exit_code == 3 and "error" in done.output and "0.png" in done.output
    assert not (tmp_path / "study.yaml").exists()


def test_a_study_with_mistakes_tells_all_of_them_with_lines(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("study: welds\nserach: {}\nsearch:\n  trials: many\n", encoding="utf-8")
    done = _tundish("run", "bad.yaml", cwd=tmp_path)
    assert done.returncode == 2 and "bad.yaml:2" in done.stderr and "bad.yaml:4" in done.stderr and "search" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_the_line_that_continues_a_run_does_not_begin_it_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def run_study(study: Any, *, command: str, **given: Any) -> int:
        assert given["fresh"]
        told.append(command)
        return cli.INTERRUPTED

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("search.runner.run_study", run_study)
    monkeypatch.setattr(sys, "argv", ["tundish", "demo", "--fresh", "--set", "seed=3"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert (end.value.code, told) == (cli.INTERRUPTED, ["tundish demo --set seed=3"])


def test_a_store_is_cleaned_of_what_is_old_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables.store import Store

    monkeypatch.chdir(tmp_path)
    Store("store").publish("pool", "k", {"a.txt": b"a"})
    left = tmp_path / "store" / "pool" / "k" / "20200101T000000-0123abcd" / "a.txt"
    left.parent.mkdir()
    left.write_bytes(b"a")

    def said(*words: str) -> str:
        done = CliRunner().invoke(cli.cli, ["store", *words])
        assert done.exit_code == 0, done.output
        return done.output

    assert "nothing to remove" in said("clean")
    assert "would be removed" in said("clean", "--older-than", "0", "--dry-run") and left.exists()
    assert "attempts that nobody names" in said("clean", "store", "--older-than", "0") and not left.exists()
    assert said("store") == said("list", "store") == said() and "pool" in said()
    assert CliRunner().invoke(cli.cli, ["store", "clean", "nowhere"]).exit_code == 2
