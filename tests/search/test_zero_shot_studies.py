"""Whole zero-shot studies on few small textures: every pair in turn, what is recorded and shown of it, and the system that a run becomes."""

import json
from itertools import combinations
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_study import Silent

from reports.figures import unseen_pairs
from reports.page import render
from reports.records import Record, read_record, trial_folder
from reports.run import read_run
from reports.zero_shot import tables
from search.cli import cli
from search.execution.driver import OK
from search.runner import run_study
from search.studies.study import StudyError
from search.studies.study_file import parse_study
from search.system import SCORES, choose, detector_part
from trainables.two_stage.system import OUTLINE, WEIGHTS, load_system

STUDY = """
study: surfaces
task: zero_shot
data:
  dataset: textures
  size_px: 16
  surfaces: {labels: surfaces}
  textures: {kinds: [brushed, woven, rayed, perforated], good: 8, defective: 8}
zero_shot: {unseen: [perforated], val_unseen: [woven]}
space:
  generator:
    family: [vaegan_ce]
    vaegan_ce: {conditioning: attributes, hidden: 512, latent_size: 4, batch: 16, critic_iter: 2, lr: 1.0e-3, classifier_epochs: 1}
  synthesis: {per_class: 20}
  zero_shot: {unseen_ce: real}
  inspector: {kind: fcn, fcn: {width: 16, min_steps: 10, epochs: 3, batch: 16, augment: none, balance: none}}
objectives: {val_harmonic_mean: maximize}
scores: {extractor: inspector}
search: {trials: 2, marks: [0.064], baselines: [plain], confirm: {top: 1, seeds: 2}}
resources: {precision: fp32, cpus_per_trial: 1}
"""
DETECTORS = ["--set", "inspector.segdecnet.width=0.02", "--set", "inspector.segdecnet.epochs=1", "--set", "inspector.segdecnet.min_steps=0"]


def run(*sets: str) -> Path:
    study = parse_study(STUDY, "surfaces.yaml", sets)
    assert run_study(study, inline=True, observer=Silent(), command="tundish run surfaces.yaml") == OK
    return study.run_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a baseline and one trial, both confirmed."""
    root = tmp_path_factory.mktemp("zero_shot")
    return root / run(f"storage.runs={root}/runs", f"storage.store={root}/store")


def record_of(folder: Path, trial: int) -> Record:
    record = read_record(trial_folder(folder, trial), Record)
    assert record is not None and record.state == "complete", record
    return record


def test_a_record_counts_the_images_of_seen_classes_and_says_which_were_held_out(folder: Path) -> None:
    searched, confirmed = record_of(folder, 1), record_of(folder, 3)
    told = searched.conditions
    # Of the sixteen images of a class eight train, four validate and four test; woven is pretended unseen, perforated never met.
    assert (told["unseen"], told["pretended_unseen"]) == ("perforated", "woven")
    images = {
        name: [unit[name] for unit in confirmed.unit_conditions] for name in ("train_images", "val_images", "judged_train_images", "test_images")
    }
    assert (told["train_images"], told["val_images"]) == (2 * 8, 3 * 4)
    assert images["judged_train_images"] == [3 * 8] * 2 and images["train_images"] == [2 * 8] * 2
    assert confirmed.conditions["test_images"] == images["test_images"][0] > told["val_images"]
    assert "test_images" not in told


def test_the_report_speaks_of_seen_and_unseen_classes(folder: Path) -> None:
    seen = read_run(folder)
    assert "pretended unseen: woven, 16 real training images" in seen.conditions("val")
    assert "unseen: perforated, 24 real training images" in seen.conditions("test")
    test, validation = tables(seen)
    assert [row.trial.number for row in test.rows] == [trial.number for trial in seen.complete(searched=False)]
    kinds = {(row.kind, row.stands) for row in validation.rows}
    assert kinds == {("real only (plain)", "dissimilarity_threshold"), ("vaegan_ce, attributes", "real")}
    page = render(seen)
    assert "Seen and unseen classes" in page and "name no unseen class" in page and "harmonic mean of seen and unseen found" in page
    assert "perforated (unseen)" in page and "woven (pretended unseen while searching)" in page


def test_a_run_becomes_a_system_that_is_loaded_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "system"
    done = CliRunner().invoke(cli, ["system", str(folder), "--out", str(out), *DETECTORS])
    assert done.exit_code == 0, done.output
    for words in (
        "the winner, confirmed",
        "unseen: perforated",
        "wrong routing",
        "false alarms",
        "missed defects",
        "latency",
        "training the detector of",
        "looking at the test images",
    ):
        assert words in done.output, words
    assert sorted(path.name for path in out.iterdir()) == [SCORES, OUTLINE, WEIGHTS]
    told = json.loads((out / SCORES).read_text())
    system = load_system(out)
    assert system.size().parameters == told["scores"]["parameters"] and set(system.detectors) == set(told["conditions"]["seen"])
    assert told["made_of"]["trial"] == 3 and told["surfaces"]["perforated"]["images"] > 0
    again = CliRunner().invoke(cli, ["system", str(folder), "--out", str(out), *DETECTORS])
    assert again.exit_code == 2 and "is not empty" in again.output
    other = CliRunner().invoke(cli, ["system", str(folder), "--out", str(out), "--force", "--trial", "0", *DETECTORS])
    assert other.exit_code == 0 and "training the detector" not in other.output, "detectors are found in the store"
    assert json.loads((out / SCORES).read_text())["made_of"]["trial"] == 0 and load_system(out).router.attributes == ()


def test_what_no_system_can_be_made_of_is_refused(folder: Path, tmp_path: Path) -> None:
    known = read_run(folder)
    with pytest.raises(StudyError, match="there is no trial 9; finished are 0, 1, 2, 3"):
        choose(known, 9)
    for sets in (["inspector.segdecnet=3"], ["inspector.lr=1"], ["data.size_px=3"], ["inspector=3"]):
        with pytest.raises(StudyError, match="expected settings of the detectors"):
            detector_part(sets)
    assert detector_part(["inspector.kind=segdecnet", "inspector.segdecnet.lr=1e-2"]).settings == {"lr": 0.01}
    done = CliRunner().invoke(cli, ["system", str(folder), "--out", str(tmp_path / "x"), "--unseen", "brushed"])
    assert isinstance(done.exception, StudyError) and "the study's unseen classes are perforated" in str(done.exception)
    elsewhere = tmp_path / "runs" / "classes"
    elsewhere.mkdir(parents=True)
    (elsewhere / "study.yaml").write_text("study: classes\ndata: {size_px: 16}\n", encoding="utf-8")
    done = CliRunner().invoke(cli, ["system", str(elsewhere), "--out", str(tmp_path / "x")])
    assert isinstance(done.exception, StudyError) and "its task is classify" in str(done.exception)


def test_several_draws_are_told_wherever_one_is(folder: Path) -> None:
    root = folder.parent.parent
    drawn = root / run(
        "study=draws",
        "zero_shot={unseen: [perforated], val_draws: 2}",
        "search.confirm.top=0",
        f"storage.runs={root}/runs",
        f"storage.store={root}/store",
    )
    record, seen = record_of(drawn, 1), read_run(drawn)
    (known,) = record.unit_conditions
    one, two = (held[0] for held in known["pretended_unseen"])
    assert record.conditions["pretended_unseen"] == f"{one}; {two}" and one != two
    assert record.scores["val_harmonic_mean"] == pytest.approx(sum(scores["val_harmonic_mean"] for scores in known["draw_scores"]) / 2)
    assert f"means over 2 sets of classes pretended unseen in turn: {one}; {two}, 16 real training images" in seen.conditions("val")
    assert "pretended" not in seen.conditions("test")
    page = render(seen)
    assert f"{one} (pretended unseen while searching in 1 of 2 turns)" in page and "draw_scores" not in page
    with pytest.raises(StudyError, match=r"zero_shot\.val_draws: 4 sets of classes .* there are 3: 1 of the 3 others each; expected at most 3"):
        run("study=more", "zero_shot={unseen: [perforated], val_draws: 4}", f"storage.runs={root}/runs", f"storage.store={root}/store")
    with pytest.raises(StudyError, match=r"zero_shot\.val_draws: 2 sets are to be drawn, but val_unseen names the one there is"):
        parse_study(STUDY, "surfaces.yaml", ["zero_shot.val_draws=2"])


def test_every_pair_in_turn_is_a_trial_of_many_units_and_a_map_in_the_report(folder: Path) -> None:
    root = folder.parent.parent
    classes = ["brushed", "woven", "rayed", "perforated", "ribbed", "turned"]
    pairs = root / run(
        "study=pairs",
        "zero_shot={unseen: pairs}",
        f"data.textures.kinds=[{', '.join(classes)}]",
        "search.confirm.top=0",
        f"storage.runs={root}/runs",
        f"storage.store={root}/store",
    )
    record = record_of(pairs, 1)
    assert all(len(unit["pretended_unseen"]) == 1 for unit in record.unit_conditions)
    assert [tuple(unit["unseen"]) for unit in record.unit_conditions] == list(combinations(record.classes, 2)) and set(record.classes) == set(classes)
    assert len(record.units) == 15 and record.conditions["unseen"] == "every pair in turn"
    assert record.scores["val_harmonic_mean"] == pytest.approx(sum(unit["val_harmonic_mean"] or 0.0 for unit in record.units) / 15)
    shown = unseen_pairs.info(read_run(pairs))
    assert shown is not None and shown.score == "val_harmonic_mean" and "vaegan_ce" in shown.trial
    assert sum(map(sum, shown.counts)) == 2 * 15 and all(shown.values[i][j] == shown.values[j][i] for i in range(6) for j in range(6))
    assert all(shown.values[i][i] is None for i in range(6))
    unseen_pairs.figure(shown)
    assert unseen_pairs.info(read_run(folder)) is None, "a single set of unseen classes is no map"
    done = CliRunner().invoke(cli, ["system", str(pairs), "--out", str(root / "x")])
    assert isinstance(done.exception, StudyError) and "--unseen CLASS --unseen CLASS" in str(done.exception)
