"""The story of a class that is added: a run, a new folder, a run that begins with what the first one has learned, and what it says of the change."""

import json
from pathlib import Path
from typing import Any

import pytest
from fake_study import Silent
from safetensors.torch import load_file

from reports.growth import growth
from reports.run import Run, read_run
from search.cli import cli
from search.runner import run_study
from search.studies.study import StudyError
from search.studies.study_file import parse_study
from search.winner import hand_over
from trainables.datasets.procedural import draw
from trainables.inspectors.local_weights import read_classes
from trainables.store import Store

STUDY = """
study: july
data: {dataset: image_folder, path: images, size_px: 16}
space:
  generator: {family: [dcgan], dcgan: {class_mode: per_class, width: 16, batch: 16, latent_dim: 16}}
  synthesis: {fraction: 0.2, filter: none}
  inspector: {kind: [fcn], fcn: {width: 16, min_steps: 10, epochs: 3, augment: none, balance: none}}
objectives: {val_macro_f1: maximize}
scores: {extractor: random, diagnostics: never}
search: {trials: 2, marks: [0.032], paper_settings: false, baselines: [plain], confirm: {top: 1, seeds: 2}, stopping: {enabled: false}}
resources: {precision: fp32, cpus_per_trial: 1}
"""
OLD = ["inclusion", "scratches"]

pytestmark = pytest.mark.slow


def write(folder: Path, cls: str, first: int) -> None:
    from PIL import Image

    (folder / cls).mkdir(parents=True)
    for seed in range(first, first + 8):
        Image.fromarray(draw(cls, size_px=32, seed=seed).pixels).save(folder / cls / f"{seed}.png")


def run(*sets: str) -> Run:
    study = parse_study(STUDY, "study.yaml", sets)
    assert run_study(study, inline=True, fresh=False, extend=False, observer=Silent(), command="") == 0
    return read_run(study.run_folder)


def trained(found: Run) -> list[tuple[Any, bool]]:
    """Class, and whether it was found, of each generator of the first trial with one."""
    first = next(trial for trial in found.trials if trial.family)
    assert first.record is not None
    return [(row["cls"], row["reused"]) for row in first.record.stages if row["stage"] == "generator"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("story")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, cls in enumerate(OLD):
            write(folder / "images", cls, 100 * number)
        july = run()
        handed = hand_over(july.folder, Path("winner"))
        write(folder / "images", "patches", 500)
        august = run("study=august", "data.since=july", f"space.inspector.fcn.start_from={handed.weights}")
        yield july, handed, august


def test_only_the_new_class_s_generator_is_trained(runs: Any) -> None:
    july, _, august = runs
    assert trained(july) == [("inclusion", False), ("scratches", False)]
    assert trained(august) == [("inclusion", True), ("patches", False), ("scratches", True)]
    assert august.study["data"]["added"] == ["patches"]
    hashes = [found.environment["split_hashes"] for found in (july, august)]
    assert {cls: hashes[1][cls] for cls in OLD} == hashes[0]


def test_the_winner_is_handed_over_with_its_classes(runs: Any) -> None:
    july, handed, august = runs
    assert handed.kind == "fcn" and handed.classes == tuple(OLD) == read_classes(str(handed.weights))
    card = json.loads((handed.weights.parent / "winner.json").read_text())
    assert (card["classes"], card["inspector"]["kind"], card["trial"]) == (OLD, "fcn", handed.trial.number)
    key = [row["key"] for row in handed.trial.record.stages if row["stage"] == "inspector" and row["unit"] == 0][-1]
    entry = Store(july.folder.parent.parent / "store").lookup("inspector", key)
    assert entry is not None
    given, own = load_file(handed.weights), load_file(entry.local_path("weights.safetensors"))
    assert given.keys() == own.keys() and all(given[name].equal(own[name]) for name in own)
    assert any("its outputs of inclusion, scratches go on; those of patches begin anew" in note for note in august.environment["notes"])
    assert any("Its 2 classes have the images that they had" in note for note in august.environment["notes"])


def test_the_change_on_the_old_classes_is_reported(runs: Any) -> None:
    july, _, august = runs
    found = growth(august, july)
    assert found is not None and found.split == "test" and found.sentence.startswith("The 2 old classes: mean F1 ")
    assert [row.same_images for row in found.tables[0].old] == [True, True] and [row.cls for row in found.tables[0].new] == ["patches"]
    page = (august.folder / "report.html").read_text(encoding="utf-8")
    assert "<h2>Since july</h2>" in page and "<h2>Since" not in (july.folder / "report.html").read_text(encoding="utf-8")


def test_what_cannot_be_handed_over_is_refused(runs: Any, tmp_path: Path) -> None:
    from click.testing import CliRunner

    july, handed, _ = runs
    with pytest.raises(StudyError, match=r"there is no trial 99; finished are 0, 1"):
        hand_over(july.folder, tmp_path, trial=99)
    said = CliRunner().invoke(cli, ["winner", str(july.folder.absolute()), "--out", str(handed.weights.parent.absolute())])
    assert said.exit_code == 2 and "--force" in said.output
    said = CliRunner().invoke(cli, ["winner", str(july.folder.absolute()), "--out", str(tmp_path / "out"), "--trial", "0"])
    assert said.exit_code == 0 and "space.inspector.fcn.start_from=" in said.output and (tmp_path / "out" / "weights.safetensors").is_file()
