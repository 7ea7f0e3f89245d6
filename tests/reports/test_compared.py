"""Groups, robustness, confusion and the table of sets: by their data, of the two trials that are compared."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from reports.compared import Mean, compared, mean
from reports.figures import confusion, groups, robustness
from reports.image_sets import set_table
from reports.page import render
from reports.repeats import interval
from reports.run import Run, Trial, label, read_run
from reports.verdict import verdict


@pytest.fixture(scope="module")
def run(finished_run: Path) -> Run:
    return read_run(finished_run)


def changed(run: Run, change: Callable[[Trial], Trial]) -> Run:
    return replace(run, trials=tuple(change(trial) for trial in run.trials))


def test_the_two_are_those_of_the_verdict_once_there_is_one(run: Run, fake_run: Callable[..., Path], tmp_path: Path) -> None:
    found, said = compared(run), verdict(run)
    assert found is not None and said.baseline is not None and said.best is not None
    assert found.split == "test" and [side.trial.number for side in found.sides] == [said.baseline.trial, said.best.trial]
    young = compared(read_run(fake_run(tmp_path / "run", trials=12, confirm=False, pictures=False)))
    assert young is not None and young.split == "val" and [side.trial.family is None for side in young.sides] == [True, False]
    first = compared(read_run(fake_run(tmp_path / "first", trials=2, confirm=False, pictures=False)))
    assert first is not None and all(side.trial.family is None for side in first.sides)


def test_means_have_intervals_over_units() -> None:
    found = mean([0.5, 0.6, 0.7])
    assert found is not None and found.value == pytest.approx(0.6) and (found.low, found.high) == interval([0.5, 0.6, 0.7])
    alone = mean([0.5])
    assert alone is not None and alone.low is None and alone.units == 1
    assert mean([0.5, None]) is None and mean([]) is None


def test_groups_come_by_size_then_by_column_beside_all_images(run: Run) -> None:
    info = groups.info(run)
    assert info is not None and info.score == "test_accuracy"
    assert info.groups == [
        "all, 405 images",
        "small defects (up to 1.2 % of an image), 135 images",
        "medium defects (up to 5 % of an image), 135 images",
        "large defects (up to 31 % of an image), 135 images",
        "line A, 384 images",
        "line B.5, 21 images",
    ]
    baseline, best = info.bars
    record = next(trial for trial in run.trials if trial.number == best.trial).record
    assert record is not None and best.means[1] == mean([unit["test_accuracy@small"] for unit in record.units])
    assert best.means[0] != baseline.means[0] and len(groups.figure(info).data) == 2
    wide = best._replace(means=[Mean(0.9, -1.4, 3.2, 2)] * len(info.groups))
    low, high = groups.figure(info._replace(bars=[wide])).layout.xaxis.range
    assert -0.1 < low < 0 and 1 < high < 1.1, "an interval over two seeds does not stretch the axis beyond what the score can be"


def test_a_run_without_groups_or_curves_shows_none(run: Run) -> None:
    def bare(trial: Trial) -> Trial:
        if trial.record is None:
            return trial
        units: list[Mapping[str, float | None]]
        units = [{name: value for name, value in unit.items() if "@" not in name} for unit in trial.record.units]
        scores = {name: value for name, value in trial.record.scores.items() if "@" not in name}
        return trial._replace(record=replace(trial.record, scores=scores, units=units, curves={}))

    plain = changed(run, bare)
    assert groups.info(plain) is None and robustness.info(plain) is None and confusion.info(plain) is not None
    assert 'id="plot-groups"' in render(run) and 'id="plot-groups"' not in render(plain)


def test_curves_are_means_over_seeds_with_the_area_under_them(run: Run) -> None:
    info = robustness.info(run)
    assert info is not None and info.score == "accuracy" and info.images == 405
    assert set(info.panels) == {"blur", "noise", "salt_and_pepper", "gradient"}
    for baseline, best in info.panels.values():
        heights = [point.value for point in best.points]
        assert len(heights) == 6 and heights == sorted(heights, reverse=True) and best.points[0].low is not None
        assert min(heights) < best.area < max(heights) and best.area > baseline.area
    drawn = robustness.figure(info)
    assert len({trace.xaxis for trace in drawn.data}) == 4 and sum(bool(trace.showlegend) for trace in drawn.data) == 2


def test_rows_of_confusion_are_shares_and_a_row_without_any_is_empty(run: Run) -> None:
    info = confusion.info(run)
    assert info is not None and info.of == "images" and len(info.tables) == 2
    assert all(sum(share or 0 for share in row) == pytest.approx(1) for table in info.tables for row in table.shares)
    empty = confusion.Table(1, "", [[0, 0], [1, 3]])
    assert empty.shares == [[None, None], [0.25, 0.75]]
    assert confusion.figure(info._replace(tables=[empty], kinds=["background", "dent"], of="pixels")).data[0].customdata == ([0, 0], [1, 3])


def test_pixels_are_called_pixels(run: Run) -> None:
    def segmenting(trial: Trial) -> Trial:
        record = trial.record and replace(trial.record, conditions={**trial.record.conditions, "task": "segment"})
        return trial._replace(record=record)

    info = confusion.info(changed(run, segmenting))
    assert info is not None and info.of == "pixels"
    curves = robustness.info(changed(run, segmenting))
    assert curves is not None and curves.score == "IoU"


def test_sets_stand_beside_what_real_images_give(run: Run) -> None:
    table = set_table(run, [5])
    assert table is not None and len(table.columns) == len(table.references) == len(table.rows[0].values)
    shown = dict(zip(table.columns, table.references, strict=True))
    assert shown["Inception Score (classes of the inspector)"] == "5.100" and shown["memorised share (inspector features)"] == "0.173"
    assert shown["KID (inspector features)"] == "0.004" and table.rows[0].trial.family is not None
    assert "textures of at most 64 images of a class" in table.conditions and "real training images" in table.conditions
    real = replace(run, trials=tuple(trial for trial in run.trials if trial.family is None))
    assert set_table(real, []) is None


def test_new_scores_are_named_for_people() -> None:
    assert label("val_inception_score_inspector_real") == "validation Inception Score (classes of the inspector), real images"
    assert label("val_memorisation_random_floor.dent") == "validation memorised share (random features) floor, dent"
    assert label("test_texture_lbp") == "test texture, LBP"
