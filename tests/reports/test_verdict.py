"""The verdict: what it says, how it chooses, and that it is not fooled."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from reports.race import Layout
from reports.records import Asked, Record
from reports.repeats import interval
from reports.run import Run, Trial
from reports.verdict import points, verdict


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


def crossed(number: int, family: str | None, table: list[list[float]], *, val: float) -> Trial:
    """Makes a judged trial of every generator with every inspector, or of the inspectors alone."""
    trial = confirmed(number, family, [value for row in table for value in row], val=val)
    seeds = [{"generator": i if family else 0, "inspector": j} for i, row in enumerate(table, start=1) for j in range(1, len(row) + 1)]
    return Trial(replace(trial.asked, recipe={**trial.asked.recipe, "units": seeds, "judge": True}), trial.record)


def raced(number: int, values: list[float] | None, failure: str | None = None) -> Trial:
    """Makes a round of the race of trial `number - 10`."""
    trial = make_trial(number, "confirm", "dcgan", [{"val_accuracy": value} for value in values or []], parent=number - 10)
    units = [{"generator": 0, "inspector": i} for i in range(1, 4)]
    asked = replace(trial.asked, recipe={**trial.asked.recipe, "units": units, "judge": False})
    if values is None and failure is None:
        return Trial(asked, None)
    return Trial(
        asked, trial.record if failure is None else Record(trial=number, state="failed", failure=failure, started_s=0.0, ended_s=1.0, epoch=1)
    )


def test_every_candidate_is_tested_in_pairs_against_the_best_baseline_and_corrected_after_holm() -> None:
    real, other = [0.85, 0.86, 0.87, 0.84], [0.80, 0.81, 0.82, 0.80]
    made = {12: [0.90, 0.90, 0.93, 0.88], 13: [0.86, 0.86, 0.88, 0.85], 14: [0.70, 0.90, 0.80, 0.60]}
    trials = [confirmed(10, None, real, val=0.9), confirmed(11, None, other, val=0.8)]
    found = verdict(make_study(*trials, *(confirmed(number, "dcgan", values, val=0.9 - 0.01 * number) for number, values in made.items())))
    assert [row.confirmed.trial for row in found.ranking] == [12, 13, 10, 11, 14], "best on test first"
    rows = {row.confirmed.trial: row for row in found.ranking}
    p = {number: float(stats.ttest_rel(values, real).pvalue) for number, values in made.items()}
    for number in made:
        gain = rows[number].gain
        assert gain is not None and gain.p == pytest.approx(p[number], rel=1e-9)
        assert (gain.low, gain.high) == pytest.approx(tuple(stats.ttest_rel(made[number], real).confidence_interval(0.95)), rel=1e-9)
    assert rows[12].p == pytest.approx(3 * p[12]) and rows[13].p == pytest.approx(max(3 * p[12], 2 * p[13])) and rows[14].p == pytest.approx(p[14])
    assert rows[10].gain is None and rows[10].p is None and rows[11].p is None


def test_crossed_seeds_have_shares_and_an_interval_of_their_own() -> None:
    real = crossed(10, None, [[0.85, 0.86, 0.87, 0.84]], val=0.9)
    made = crossed(11, "dcgan", [[0.90, 0.91, 0.93, 0.89], [0.86, 0.87, 0.88, 0.85]], val=0.9)
    found = verdict(make_study(real, made))
    assert found.gain == pytest.approx(0.03125) and found.kind == "no_evidence", "the two generators differ more than they gain"
    assert found.seeds == 2 and "2 x 4 paired seeds of generator and inspector" in found.conditions and "over 2 x 4 paired seeds" in found.detail
    shares = next(row.confirmed.shares for row in found.ranking if row.confirmed.trial == 11)
    assert shares is not None and shares.generator > 0.7 > 0.3 > shares.inspector and not shares.negative
    eight = [0.90, 0.91, 0.93, 0.89, 0.86, 0.87, 0.88, 0.85]
    naive = verdict(make_study(confirmed(10, None, [0.85, 0.86, 0.87, 0.84] * 2, val=0.9), confirmed(11, "dcgan", eight, val=0.9)))
    assert naive.kind == "helps", "as if they were eight repeats"


def test_a_repeat_that_lacks_its_score_is_left_out_of_its_pair_alone() -> None:
    real = confirmed(10, None, [0.70, 0.80, 0.90], val=0.9, replicates=[1, 2, 3])
    made = confirmed(11, "dcgan", [0.72, 0.5, 0.93], val=0.9, replicates=[1, 2, 3])
    assert made.record is not None
    holed: list[Any] = [{**unit, "test_accuracy": None} if i == 1 else unit for i, unit in enumerate(made.record.units)]
    found = verdict(make_study(real, Trial(made.asked, replace(made.record, units=holed))))
    assert found.seeds == 2 and found.gain == pytest.approx(0.025)


def test_who_was_dropped_is_listed_with_round_and_reason() -> None:
    far, best = [0.70, 0.71, 0.72], [0.91, 0.92, 0.915]
    judged = crossed(20, "dcgan", [[0.9, 0.91, 0.92, 0.9]], val=0.91)
    winner = Trial(
        replace(judged.asked, parent=7, recipe={**judged.asked.recipe, "units": [{"generator": 0, "inspector": i} for i in range(1, 5)]}),
        judged.record,
    )
    run = make_study(crossed(18, None, [[0.85, 0.86, 0.87, 0.84]], val=0.9), raced(17, best), raced(14, far), raced(15, None, "diverged"), winner)
    found = verdict(replace(run, study={"search": {"confirm": {"seeds": 4, "top": 3}}}))
    assert [(item.of, item.round) for item in found.left] == [(4, 1), (5, 1)] and [row.confirmed.trial for row in found.ranking] == [20, 18]
    assert found.left[0].title == "#4 dcgan + resnet18" and "after 3 seeds 20.5 points of validation accuracy behind #7" in found.left[0].why
    assert "diverged" in found.left[1].why and Layout(seeds=4).rounds == (3,)
    assert found.kind == "helps", "the headline rests on who was judged"


def test_a_race_that_runs_is_not_taken_for_a_result() -> None:
    run = make_study(raced(17, [0.9, 0.9, 0.91]), raced(14, None))
    found = verdict(replace(run, study={"search": {"confirm": {"seeds": 4}}}))
    assert found.kind == "unconfirmed" and not found.ranking and not found.confirmed
    assert [(item.of, item.round, item.why) for item in found.left] == [(7, None, "still in the race"), (4, None, "still in the race")]
