"""A run read from its folder, and the names that people read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reports.records import Asked, RecordError
from reports.run import Trial, is_distance, label, read_run, show


def test_a_finished_run_is_read_whole(finished_run: Path) -> None:
    run = read_run(finished_run)
    assert run.name == "steel" and run.wanted == 36 and not run.running
    assert len(run.trials) == 40 and len(run.complete(searched=False)) == 4
    assert [trial.number for trial in run.trials if trial.state == "failed"] == [13, 21, 27]
    assert run.trials[0].family is None and run.trials[0].title() == "#0 real only (plain) + mobilenet_v2"
    baseline = run.best_baseline("val_accuracy")
    assert baseline is not None and baseline.asked.move == "baseline"
    assert all(trial.score("test_accuracy") is None for trial in run.complete())


def test_an_unfinished_run_is_running(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    run = read_run(fake_run(tmp_path / "live", trials=6, confirm=False, pictures=False))
    assert run.running and run.trials[-1].state == "running" and run.trials[-1].score("val_accuracy") is None


def test_objectives_come_from_the_study_where_the_environment_has_none(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("objectives:\n- {score: val_kid, direction: minimize}\n- {score: val_accuracy, direction: maximize}\n")
    assert read_run(tmp_path).objectives == {"val_kid": "minimize", "val_accuracy": "maximize"}
    (tmp_path / "environment.json").write_text('{"extractor": "random"}')
    assert read_run(tmp_path).objectives == {"val_kid_random": "minimize", "val_accuracy": "maximize"}


def test_objectives_keep_the_order_of_the_study(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("objectives: {val_macro_f1: maximize, val_kid: minimize}\n")
    (tmp_path / "environment.json").write_text(
        '{"extractor": "inspector", "objectives": {"val_kid_inspector": "minimize", "val_macro_f1": "maximize"}}'
    )
    assert list(read_run(tmp_path).objectives.items()) == [("val_macro_f1", "maximize"), ("val_kid_inspector", "minimize")]


def test_conditions_name_split_counts_and_protocol(finished_run: Path) -> None:
    run = read_run(finished_run)
    assert run.conditions("test") == "test split of 405 images, 120 real training images, strict protocol"


def test_paper_protocol_says_that_it_leaks(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"protocol": "paper"}')
    assert "near-copies" in read_run(tmp_path).conditions("val")


def test_the_floor_of_a_class_is_found_in_the_records(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "run", trials=5, confirm=False, pictures=False)
    path = folder / "trials" / "00004" / "record.json"
    path.write_text(path.read_text().replace('"scores": {', '"scores": {"val_kid_inspector_floor.crazing": 0.25, '))
    run = read_run(folder)
    assert run.floor("val_kid_inspector.crazing") == 0.25
    assert run.floor("val_kid_inspector") == 0.004
    assert run.floor("val_frechet_inspector") is None


@pytest.mark.parametrize(
    ("score", "name"),
    [
        ("val_accuracy", "validation accuracy"),
        ("test_macro_f1", "test macro-F1"),
        ("val_fid", "validation FID"),
        ("val_kid_inspector", "validation KID (inspector features)"),
        ("val_frechet_random.scratches", "validation Fréchet distance (random features), scratches"),
        ("val_kid_inspector_floor.scratches", "validation KID (inspector features) floor, scratches"),
        ("val_recall.rolled-in_scale", "validation recall, rolled-in_scale"),
        ("generator_params_m", "generator parameters (M)"),
    ],
)
def test_labels(score: str, name: str) -> None:
    assert label(score) == name


def test_only_inception_is_called_fid() -> None:
    named = [label(f"val_{base}_{extractor}") for base in ("kid", "frechet") for extractor in ("inspector", "random", "inception")]
    assert not [name for name in named if "FID" in name]


def test_distances_are_told_from_scores() -> None:
    assert is_distance("val_fid") and is_distance("val_kid_random.a") and is_distance("test_frechet_inspector")
    assert not is_distance("val_accuracy") and not is_distance("inspector_params_m")


def test_values_are_shown_at_their_precision() -> None:
    assert show(None) == "–"
    assert show(0.87654, "val_accuracy") == "0.877"
    assert show(0.0012345, "val_kid_inspector") == "0.00123"
    assert show(1234.5, "trial_s") == "1,234"


def test_a_missing_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="tundish runs"):
        read_run(tmp_path / "nothing")


@pytest.mark.parametrize(("name", "text"), [("environment.json", "{"), ("study.yaml", "a: [")])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RecordError, match=name):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("preprocess", "name"),
    [
        (None, "fcn"),
        ({"kind": "whole", "borders": "auto", "grid": "8x2"}, "fcn"),
        ({"kind": "patches", "borders": "auto", "grid": "8x2"}, "fcn, patches 8x2"),
        ({"kind": "whole", "borders": "remove", "grid": "8x2"}, "fcn, without borders"),
    ],
)
def test_an_inspector_is_named_with_what_is_done_to_its_pictures(preprocess: dict[str, str] | None, name: str) -> None:
    recipe = {"inspector": {"kind": "fcn"}} | ({"preprocess": preprocess} if preprocess else {})
    asked = Asked(trial=3, move="baseline", reason="", parent=None, params={"baseline": "plain"}, recipe=recipe, epoch=1, time_s=0.0)
    assert Trial(asked, None).inspector == name and Trial(asked, None).title() == f"#3 real only (plain) + {name}"
