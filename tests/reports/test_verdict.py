"""The verdict: what it says, how it chooses, and that it is not fooled."""

from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from reports.records import Asked, Record
from reports.run import Run, Trial
from reports.verdict import interval, points, verdict


def make_trial(
    number: int, move: str, family: str | None, units: list[dict[str, Any]], *, parent: int | None = None, replicates: list[int] | None = None
) -> Trial:
    part = {"family": family, "kimg": 1.0} if family else None
    recipe = {"generator": part, "inspector": {"kind": "resnet18"}, "units": [{"inspector": i} for i in replicates or range(len(units))]}
    names = {name for unit in units for name in unit}
    scores = {name: sum(unit[name] for unit in units) / len(units) for name in names}
    asked = Asked(trial=number, move=move, reason="", parent=parent, params={}, recipe=recipe, epoch=1, time_s=0.0)
    return Trial(asked, Record(trial=number, state="complete", scores=scores, units=units, started_s=0.0, ended_s=1.0, epoch=1))


def confirmed(number: int, family: str | None, tests: list[float], *, val: float, replicates: list[int] | None = None) -> Trial:
    units = [{"test_accuracy": value, "val_accuracy": val} for value in tests]
    return make_trial(number, "confirm", family, units, parent=number - 10, replicates=replicates)


def make_study(*trials: Trial) -> Run:
    environment = {"protocol": "strict", "split_counts": {"a": {"train": 10, "val": 10, "test": 90}, "b": {"train": 10, "val": 10, "test": 10}}}
    return Run(folder=Path("study"), study={}, environment=environment, trials=trials, objectives={"val_accuracy": "maximize"})


def test_the_interval_is_student_s() -> None:
    values = [0.8, 0.85, 0.82, 0.9]
    low, high = stats.t.interval(0.95, len(values) - 1, loc=sum(values) / len(values), scale=stats.sem(values))
    assert interval(values) == pytest.approx((low, high), rel=1e-9)
    assert interval([0.5]) is None


@pytest.mark.parametrize(
    ("with_synthetic", "kind", "words"),
    [
        ([0.90, 0.91, 0.92], "helps", "Synthetic data helps here: +5.0 points"),
        ([0.80, 0.81, 0.82], "hurts", "Synthetic data hurts here: −5.0 points"),
        ([0.80, 0.86, 0.94], "no_evidence", "No evidence that synthetic data helps here"),
        ([0.85, 0.86, 0.87], "no_evidence", "No evidence that synthetic data helps here"),
    ],
)
def test_the_interval_decides(with_synthetic: list[float], kind: str, words: str) -> None:
    found = verdict(make_study(confirmed(10, None, [0.85, 0.86, 0.87], val=0.9), confirmed(11, "dcgan", with_synthetic, val=0.9)))
    assert found.kind == kind and found.headline.startswith(words)
    assert found.low is not None and found.high is not None and found.gain is not None and found.low <= found.gain <= found.high
    assert "test split of 100 images, 20 real training images, strict protocol" in found.conditions and "3 paired seeds" in found.conditions


def test_the_choice_is_made_on_validation_not_on_test() -> None:
    real = [confirmed(10, None, [0.70, 0.71, 0.72], val=0.9), confirmed(11, None, [0.99, 0.99, 0.98], val=0.8)]
    made = [confirmed(12, "dcgan", [0.75, 0.76, 0.77], val=0.95), confirmed(13, "pe_gan", [0.99, 0.98, 0.99], val=0.85)]
    found = verdict(make_study(*real, *made))
    assert found.best is not None and found.best.trial == 12
    assert found.baseline is not None and found.baseline.trial == 10
    assert len(found.confirmed) == 4


def test_seeds_are_paired_by_the_inspector_s_replicate() -> None:
    real = confirmed(10, None, [0.70, 0.80, 0.90], val=0.9, replicates=[1, 2, 3])
    made = confirmed(11, "dcgan", [0.92, 0.72, 0.82], val=0.9, replicates=[3, 1, 2])
    found = verdict(make_study(real, made))
    assert found.kind == "helps" and found.gain == pytest.approx(0.02)
    assert found.high == pytest.approx(0.02)


def test_one_seed_gives_no_verdict() -> None:
    found = verdict(make_study(confirmed(10, None, [0.7], val=0.9), confirmed(11, "dcgan", [0.9], val=0.9)))
    assert found.kind == "unconfirmed" and found.gain is None and "one seed" in found.headline


def test_without_confirmation_validation_is_not_sold_as_a_verdict() -> None:
    trials = [make_trial(0, "baseline", None, [{"val_accuracy": 0.8}]), make_trial(1, "explore", "dcgan", [{"val_accuracy": 0.95}])]
    found = verdict(make_study(*trials))
    assert found.kind == "unconfirmed" and "not confirmed on test" in found.headline
    assert "#1 dcgan" in found.detail and "0.950" in found.detail and "0.800" in found.detail
    assert "validation" in found.conditions


def test_an_empty_run_has_no_verdict() -> None:
    found = verdict(make_study())
    assert found.kind == "unconfirmed" and "No trial" in found.detail


def test_points_carry_their_sign() -> None:
    assert points(0.0234) == "+2.3 points" and points(-0.05) == "−5.0 points"
