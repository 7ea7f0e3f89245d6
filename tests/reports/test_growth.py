"""The change on the old classes: by hand, only where images are the same, and what is said where they are not."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from reports.figures import growth as figure
from reports.growth import difference, earlier_run, growth, winner
from reports.page import write_report
from reports.records import Asked, Record, RecordError, trial_folder, write_json, write_record
from reports.repeats import estimate
from reports.run import Run, Trial

OLD = ("crazing", "scratches")
NEW = (*OLD, "patches")
Scores = Mapping[str, list[float]]
"""Class -> its score in each repeat."""


def trial(number: int, f1: Scores, *, family: str | None = "dcgan", move: str = "confirm", val: float = 0.8, split: str = "test") -> Trial:
    repeats = len(next(iter(f1.values())))
    units: list[dict[str, float | None]] = [{f"{split}_f1.{cls}": values[i] for cls, values in f1.items()} for i in range(repeats)]
    units = [unit | {f"{split}_recall.{cls}": 1.0 for cls in f1} | {"val_accuracy": val} for unit in units]
    units = [unit | ({"test_accuracy": 0.5} if split == "test" else {}) for unit in units]
    scores = {name: sum(unit[name] or 0.0 for unit in units) / repeats for name in units[0]}
    recipe = {
        "generator": {"family": family, "kimg": 1.0} if family else None,
        "synthesis": {"amount": {"kind": "fraction", "value": 0.5}} if family else None,
        "inspector": {"kind": "fcn"},
        "units": [{"inspector": i + 1} for i in range(repeats)],
    }
    asked = Asked(trial=number, move=move, reason="", parent=None, params={}, recipe=recipe, epoch=1, time_s=0.0)
    record = Record(trial=number, state="complete", scores=scores, units=units, classes=list(f1), started_s=0.0, ended_s=1.0, epoch=1)  # type: ignore[arg-type]
    return Trial(asked, record)


def run_of(name: str, *trials: Trial, hashes: Mapping[str, str] | None = None, **study: Any) -> Run:
    environment: dict[str, Any] = {"protocol": "strict", "split_counts": {cls: {"train": 9, "val": 3, "test": 3} for cls in NEW}}
    if hashes is not None:
        environment["split_hashes"] = {cls: {"train": "t", "val": key, "test": key} for cls, key in hashes.items()}
    return Run(folder=Path(name), study=study, environment=environment, trials=trials, objectives={"val_accuracy": "maximize"})


BEFORE = {"crazing": [0.90, 0.92, 0.94], "scratches": [0.80, 0.90, 0.85]}
AFTER = {"crazing": [0.88, 0.90, 0.86], "scratches": [0.84, 0.80, 0.82], "patches": [0.7, 0.6, 0.8]}
SAME = {"crazing": "a", "scratches": "b", "patches": "c"}


def test_every_number_by_hand() -> None:
    july, august = run_of("july", trial(7, BEFORE), hashes=SAME), run_of("august", trial(9, AFTER), hashes=SAME)
    found = growth(august, july)
    assert found is not None and (found.split, found.before_trial, found.after_trial) == ("test", 7, 9)
    f1, recall = found.tables
    assert (f1.score, recall.score) == ("F1", "recall")
    assert [row.cls for row in f1.old] == list(OLD) and [row.cls for row in f1.new] == ["patches"]
    crazing, scratches = f1.old
    assert crazing.before and crazing.after and crazing.change and scratches.change and f1.mean and f1.mean.change
    assert (crazing.before.value, crazing.after.value, crazing.change.value) == pytest.approx((0.92, 0.88, -0.04))
    # Both have a standard deviation of 0.02: errors of 0.02 / sqrt(3), and t of two degrees of freedom for both.
    half = stats.t.ppf(0.975, 2) * math.hypot(0.02, 0.02) / math.sqrt(3)
    assert (crazing.change.low, crazing.change.high) == pytest.approx((-0.04 - half, -0.04 + half))
    assert crazing.same_images is True
    # Means over both classes, repeat by repeat: 0.85, 0.91, 0.895 before, 0.86, 0.85, 0.84 after.
    assert f1.mean.before and f1.mean.after
    assert (f1.mean.before.value, f1.mean.after.value) == pytest.approx((0.885, 0.85))
    assert (f1.mean.before.low, f1.mean.before.high) == pytest.approx(stats.t.interval(0.95, 2, loc=0.885, scale=stats.sem([0.85, 0.91, 0.895])))
    assert f1.mean.change.value == pytest.approx(-0.035)
    new = f1.new[0]
    assert new.before is None and new.change is None and new.after is not None and new.after.value == pytest.approx(0.7)
    assert recall.mean is not None and recall.mean.change == (0.0, 0.0, 0.0)
    assert found.sentence.startswith("The 2 old classes: mean F1 0.885 -> 0.850 (−3.5 points, 95% interval −")
    assert found.sentence.endswith(", which includes zero). New: patches 0.700.")
    assert not any("Not compared" in text or "not recorded" in text for text in found.caveats)


def test_the_interval_lies_between_those_of_either_side_alone() -> None:
    before, after = (estimate({(0, i, 0): value for i, value in enumerate(values)}) for values in ([0.1, 0.3], [0.5, 0.6, 0.7, 0.8]))
    assert before is not None and after is not None
    found = difference(before, after)
    assert found.low is not None and found.high is not None
    error = math.hypot(before.error, after.error)
    t = (found.high - found.value) / error
    assert stats.t.ppf(0.975, 3) < t < stats.t.ppf(0.975, 1)
    weighted = (before.error**2 * stats.t.ppf(0.975, 1) + after.error**2 * stats.t.ppf(0.975, 3)) / error**2
    assert t == pytest.approx(weighted)


def test_classes_of_other_images_are_left_out_and_named() -> None:
    july, august = run_of("july", trial(7, BEFORE), hashes=SAME), run_of("august", trial(9, AFTER), hashes={**SAME, "scratches": "x"})
    found = growth(august, july)
    assert found is not None
    crazing, scratches = found.tables[0].old
    assert scratches.change is None and scratches.same_images is False and scratches.before is not None
    assert found.tables[0].mean is not None and found.tables[0].mean.change == crazing.change
    assert found.sentence.startswith("1 of 2 old classes: F1 0.920 -> 0.880")
    assert "Not compared: scratches, scored on other test images than then." in found.caveats
    none = growth(run_of("august", trial(9, AFTER), hashes=dict.fromkeys(NEW, "x")), july)
    assert none is not None and none.tables[0].mean is None and none.sentence.startswith("No class of july can be compared")


def test_runs_that_did_not_record_their_images_are_compared_with_a_warning() -> None:
    found = growth(run_of("august", trial(9, AFTER), hashes=SAME), run_of("july", trial(7, BEFORE)))
    assert found is not None and found.tables[0].mean is not None
    assert any(text.startswith("It was not recorded which images the earlier run scored crazing, scratches on") for text in found.caveats)


def test_validation_serves_where_one_of_the_two_was_not_confirmed() -> None:
    searched = trial(3, {cls: values[:1] for cls, values in BEFORE.items()}, move="explore", split="val")
    other = trial(4, {cls: values[:1] for cls, values in BEFORE.items()}, move="explore", val=0.7, split="val")
    confirmed = trial(9, AFTER)
    leader = trial(2, {cls: values[:1] for cls, values in AFTER.items()}, move="explore", split="val")
    found = growth(run_of("august", leader, confirmed, hashes=SAME), run_of("july", searched, other, hashes=SAME))
    assert found is not None and (found.split, found.before_trial, found.after_trial) == ("val", 3, 2)
    assert "single seed" in found.sentence and found.tables[0].old[0].change is not None
    assert found.tables[0].old[0].change.low is None
    assert any("Not both winners were confirmed" in text for text in found.caveats)


def test_the_winner_is_the_best_on_validation_be_it_real_only() -> None:
    real, synthetic = trial(7, BEFORE, family=None, val=0.9), trial(8, BEFORE, val=0.8)
    found = winner(run_of("july", real, synthetic))
    assert found is not None and found.trial.number == 7 and found.confirmed
    assert winner(run_of("empty")) is None and growth(run_of("empty"), run_of("july", real)) is None


def test_tasks_without_common_scores_say_so() -> None:
    july, august = run_of("july", trial(7, BEFORE), hashes=SAME), run_of("august", trial(9, AFTER), hashes=SAME, task="segment")
    other = growth(august, july)
    assert other is not None and other.tables == [] and other.caveats[0].startswith("The earlier run's task is classify, this one's segment")
    detect = growth(replace(august, study={"task": "detect"}), replace(july, study={"task": "detect"}))
    assert detect is not None and "no scores of single classes" in detect.caveats[0]
    assert figure.info(replace(august, earlier=july)) is None


def written(folder: Path, own: Trial, *, since: str | None = None) -> Path:
    folder.mkdir(parents=True)
    named = f", since: {since}" if since else ""
    (folder / "study.yaml").write_text(f"study: {folder.name}\ndata: {{dataset: image_folder{named}}}\nobjectives: {{val_accuracy: maximize}}\n")
    write_json(folder / "environment.json", {"split_hashes": {cls: {"train": "t", "val": key, "test": key} for cls, key in SAME.items()}})
    assert own.record is not None
    write_record(trial_folder(folder, own.number), own.asked)
    write_record(trial_folder(folder, own.number), own.record)
    return folder


def test_the_page_shows_the_run_that_the_study_names(tmp_path: Path) -> None:
    july = written(tmp_path / "july", trial(7, BEFORE))
    august = written(tmp_path / "august", trial(9, AFTER), since="july")
    page = write_report(august).read_text(encoding="utf-8")
    assert "<h2>Since july</h2>" in page and "mean F1 0.885 -&gt; 0.850" in page and 'data-figure="growth"' in page
    alone = write_report(july).read_text(encoding="utf-8")
    assert "<h2>Since" not in alone
    assert "<h2>Since july</h2>" in write_report(august, against=july).read_text(encoding="utf-8")
    july.rename(tmp_path / "gone")
    page = write_report(august).read_text(encoding="utf-8")
    assert "<h2>Since" not in page and "The run july, which data.since names, is not there" in page


def test_a_run_that_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    august = written(tmp_path / "august", trial(9, AFTER))
    written(tmp_path / "july", trial(7, BEFORE))
    for against, said in (("juli", "juli: no such run; did you mean july?"), ("august", "cannot be compared with itself")):
        with pytest.raises(RecordError, match=said):
            write_report(august, against=against)
    assert earlier_run(run_of(str(tmp_path / "august"))) is None


def test_the_figure_has_a_line_for_each_class() -> None:
    july, august = run_of("july", trial(7, BEFORE), hashes=SAME), run_of("august", trial(9, AFTER), hashes={**SAME, "scratches": "x"})
    info = figure.info(replace(august, earlier=july))
    assert info is not None
    then, now = figure.figure(info).data
    assert list(figure.figure(info).layout.yaxis.ticktext) == [figure.MEAN, "crazing", "scratches (other images)", "patches (new)"]
    assert list(then.x) == pytest.approx([0.92, 0.92, 0.85]) and list(now.x) == pytest.approx([0.88, 0.88, 0.82, 0.7])
    assert then.customdata is None and list(now.customdata) == [9] * 4
