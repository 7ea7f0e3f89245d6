"""What the report says of seen and unseen classes: the table's columns, and which trials' dissimilarity means nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from reports.page import render
from reports.run import Run, Trial, label, read_run
from reports.zero_shot import SCORES, notes, tables


def scored(run: Run, **errors: float | None) -> Run:
    """Gives the run as one of task zero_shot; `val_3=0.7` is the reading error of trial 3 on validation."""
    trials = []
    for trial in run.trials:
        if trial.record is not None and trial.state == "complete":
            scores = {"val_seen": 0.9, "val_harmonic_mean": 0.5, "val_auc_unseen": 0.008} | ({} if trial.searched else {"test_seen": 0.8})
            scores |= {f"{split}_reading_error": errors.get(f"{split}_{trial.number}", 0.1 if trial.family else None) for split in ("val", "test")}
            trial = Trial(trial.asked, replace(trial.record, scores=scores))
        trials.append(trial)
    return replace(run, study={**run.study, "task": "zero_shot"}, objectives={"val_harmonic_mean": "maximize"}, trials=tuple(trials))


@pytest.fixture(scope="module")
def run(finished_run: Path) -> Run:
    return read_run(finished_run)


@pytest.fixture
def generated(run: Run) -> list[int]:
    """Numbers of a searched and of a confirmed trial with a generator."""
    return [next(trial.number for trial in run.complete(searched=kind) if trial.family) for kind in (True, False)]


def test_a_dissimilarity_that_means_nothing_is_told_wherever_it_is_shown(run: Run, generated: list[int]) -> None:
    searched, confirmed = generated
    bad = scored(run, **{f"val_{searched}": 2.1, f"test_{confirmed}": 0.5})
    test, validation = tables(bad)
    assert list(SCORES)[-1] == "reading_error" and [row.values[-1] for row in test.rows if row.trial.number == confirmed] == [0.5]
    assert test.unread is not None and test.unread.startswith(f"In #{confirmed} the class embedding is not read yet")
    assert notes(bad)[-1].startswith(f"In #{searched}, #{confirmed} the class embedding is not read yet (reading error of 0.5 or more)")
    assert "dissimilarity means nothing" in notes(bad)[-1] and validation.split == "val"
    page = render(bad)
    assert page.count("the class embedding is not read yet") >= 2 and ">reading error<" in page


def test_an_embedding_that_is_read_or_that_nobody_has_to_learn_needs_no_word(run: Run, generated: list[int]) -> None:
    good = scored(run, **{f"val_{generated[0]}": 0.49})
    assert all(table.unread is None for table in tables(good)) and not any("not read yet" in note for note in notes(good))
    assert "not read yet" not in render(good) and notes(run) == [] and tables(run) == []
    assert label("val_reading_error") == "validation reading error of the class embedding"
