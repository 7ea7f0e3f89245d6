"""What is left of a study: ranges that hold what comes, on made-up records, and that say nothing where nothing is known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ended_trials import EXPLORED
from ended_trials import REAL as REAL_ALONE
from fake_study import make_study

from reports.records import Asked, Record
from search.confirm import TWIN
from search.spending.forecast import Range, forecast, show_hours, show_range
from search.spending.took import Todo, covered_s, parallelism, todo, took
from search.studies.settings import ConfirmSettings
from search.studies.study import Study

BASE = EXPLORED._replace(wall_s=100.0, rest_s=40.0)
REAL = REAL_ALONE._replace(wall_s=40.0, rest_s=40.0, stored_gib=0.1)


def study_of(**changes: Any) -> Study:
    study = make_study(Path(), trials=40, marks=(2.0,))
    return replace(study, search=replace(study.search, **changes))


def test_a_trial_tells_what_it_took() -> None:
    recipe = {
        "generator": {"family": "left", "kimg": 4.0},
        "inspector": {"kind": "small"},
        "data": {"size_px": 32},
        "units": [{"inspector": 0}, {"inspector": 1}],
    }
    asked = Asked(trial=3, move="promote", reason="", params={}, recipe=recipe, epoch=1, time_s=0.0)
    stages = [
        {"stage": "generator", "seconds": 30.0, "reused": False, "device": "cuda:0"},
        {"stage": "generator", "seconds": 50.0, "reused": True, "device": "cuda:0"},
        {"stage": "inspector", "seconds": 20.0, "reused": False, "device": "cuda:0"},
    ]
    record = Record(
        trial=3, state="complete", scores={"generator_s": 48.0}, stages=stages, started_s=10.0, ended_s=110.0, epoch=1, gpus=0.5, stored_bytes=2**29
    )
    found = took(asked, record)
    assert (found.wall_s, found.kimg_s, found.rest_s, found.units) == (100.0, 12.0, 35.0, 2)
    assert (found.family, found.inspector, found.size_px, found.device, found.gpus, found.stored_gib) == ("left", "small", 32, "cuda", 0.5, 0.5)
    ready = replace(record, stages=[{**stage, "reused": True} for stage in stages])
    assert took(asked, ready).rest_s is None, "an inspector that was found ready says nothing of what training one takes"


def test_what_is_to_come_is_counted_by_kind() -> None:
    study = study_of(confirm=ConfirmSettings(top=2))
    assert todo(study, []) == Todo(baselines=("small", "large"), search=38, confirm_real=2, confirm_leaders=2, confirm_twins=2)
    ended = [REAL, REAL, BASE, BASE._replace(move="confirm"), REAL._replace(move="confirm", baseline=TWIN)]
    assert todo(study, ended) == Todo(search=37, confirm_real=2, confirm_leaders=2, confirm_twins=2), "the next leaders may be others"
    assert todo(study, ended, closed=True).search == 0
    assert todo(study_of(confirm=ConfirmSettings(top=0)), ended).trials == 37


@pytest.mark.parametrize("known", [5, 20])
@pytest.mark.parametrize("workers", [1, 4])
def test_ranges_hold_what_comes_about_as_often_as_they_say(known: int, workers: int) -> None:
    study, ahead = study_of(), Todo(search=30)
    held = below = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        # Trials of a log-normal length: the longest take several times as long as the usual ones.
        own = [BASE._replace(wall_s=seconds) for seconds in rng.lognormal(4.0, 0.6, known)]
        found = forecast(study, ahead, own, workers=workers)
        assert found is not None
        true_hours = float(rng.lognormal(4.0, 0.6, 30).sum()) / workers / 3600
        held += found.hours.low <= true_hours <= found.hours.high
        below += true_hours < found.hours.typical
    assert 0.7 * 60 <= held <= 60 and 0.25 * 60 <= below <= 0.75 * 60


def test_what_is_known_of_others_alone_gives_a_wider_range() -> None:
    study, ahead = study_of(), Todo(search=20)
    families = [BASE, BASE._replace(family="right"), BASE._replace(inspector="large")]
    others = {
        "own trials": forecast(study, ahead, [BASE] * 12, workers=1),
        "other runs": forecast(study, ahead, [], families * 4, workers=1),
        "one each": forecast(study, ahead, [], families, workers=1),
        "another size": forecast(study, ahead, [], [item._replace(size_px=32) for item in families * 4], workers=1),
        "another family": forecast(study, ahead, [], [item._replace(family="third") for item in families * 4], workers=1),
    }
    widths = [found.hours.high / found.hours.low for found in others.values() if found is not None]
    assert len(widths) == len(others) and widths == sorted(widths)
    # 64 px has four times the pixels of 32 px.
    small, same = others["another size"], others["other runs"]
    assert small is not None and same is not None and 2.5 < small.hours.typical / same.hours.typical < 6.0


def test_a_study_that_has_not_begun_is_foreseen_from_other_runs_and_one_that_nobody_knows_is_not() -> None:
    study = study_of()
    ahead = todo(study, [])
    assert forecast(study, ahead, [], [], workers=2) is None
    families = [BASE, BASE._replace(family="right"), BASE._replace(inspector="large"), REAL, REAL._replace(inspector="large")]
    found = forecast(study, ahead, [], families * 3, workers=2, gpus=0.5)
    assert found is not None and found.trials == ahead.trials and found.disk_gib is not None
    # 38 trials of 40 to 80 s, 2 baselines of 40 s, and confirmations of two seeds, by two.
    assert found.hours.low < 0.55 < found.hours.high and found.hours.high < 3 * found.hours.low
    assert found.gpu_hours.typical == pytest.approx(found.hours.typical * 2 * 0.5, rel=0.1)
    assert forecast(study, ahead, [], families * 3, workers=2, device="cuda") is None, "trials on another device say nothing"


def test_confirmations_take_as_many_times_a_trial_as_they_have_seeds() -> None:
    known = [BASE, REAL] * 10
    once, thrice = (forecast(study_of(confirm=ConfirmSettings(top=2, seeds=seeds)), Todo(confirm_real=3), known, workers=1) for seeds in (1, 3))
    assert once is not None and thrice is not None
    assert thrice.hours.typical / once.hours.typical == pytest.approx(3.0, rel=0.05)


def test_confirmations_store_their_inspectors_those_of_diagnostics_too_and_the_generators_that_are_trained_anew() -> None:
    known = [BASE._replace(stored_gib=1.0), REAL] * 10
    kept, anew = (study_of(confirm=ConfirmSettings(top=2, seeds=4, generators=generators)) for generators in (0, 2))
    plain = replace(kept, scores=replace(kept.scores, diagnostics="never"))
    pairs = len(anew.search.confirm.layout.pairs(4))
    leaders, real = Todo(confirm_leaders=2), Todo(confirm_real=2, baselines=("small",))
    for study, ahead, gib in (
        (kept, real, (2 * 4 + 1) * 0.1),
        (plain, leaders, 2 * 4 * 0.1),
        (kept, leaders, 2 * 4 * 2 * 0.1),
        (anew, leaders, 2 * (2 * 1.0 + (2 * pairs - 2) * 0.1)),
    ):
        found = forecast(study, ahead, known, workers=1)
        assert found is not None and found.disk_gib is not None and found.disk_gib.typical == pytest.approx(gib, rel=0.05)


def test_the_inspector_of_a_leader_is_ready_where_none_varies() -> None:
    study = study_of(confirm=ConfirmSettings(top=3, seeds=3))
    fixed = replace(study, space=study.space.narrow({"inspector.small.lr": 1e-3, "inspector.large.lr": 1e-3}))
    found = [forecast(one, Todo(confirm_twins=3), [BASE, REAL] * 10, workers=1) for one in (study, fixed)]
    assert found[0] is not None and found[1] is not None
    assert found[0].hours.typical > 0.09 and found[1].hours.high == 0.0


def test_one_trial_takes_as_long_as_it_takes_however_many_workers_there_are() -> None:
    found = [forecast(study_of(), Todo(search=1), [BASE] * 9, workers=workers) for workers in (1, 16)]
    assert found[0] is not None and found[1] is not None and found[0].hours == found[1].hours


def test_nothing_is_left_of_a_study_that_is_through() -> None:
    found = forecast(study_of(), Todo(), [BASE], workers=1)
    assert found is not None and found.trials == 0 and found.hours == Range(0.0, 0.0, 0.0)


def test_time_in_which_several_ran_counts_once() -> None:
    assert covered_s([(0, 10), (5, 12), (20, 30), (21, 22)]) == 22
    assert covered_s([]) == 0.0
    records = [Record(trial=i, state="complete", started_s=start, ended_s=end, epoch=epoch) for i, (start, end, epoch) in enumerate(
        [(0, 100, 1), (200, 300, 2), (200, 300, 2), (300, 400, 2)]
    )]  # fmt: skip
    assert parallelism(records) == 1.5, "of the last driver alone"
    assert parallelism([]) == 1.0


@pytest.mark.parametrize(("hours", "said"), [(0.01, "36 s"), (0.03, "1.8 min"), (0.5, "30 min"), (2.04, "2.0 h"), (120.0, "120.0 h")])
def test_hours_are_written_as_people_say_them(hours: float, said: str) -> None:
    assert show_hours(hours) == said
    assert show_range(Range(hours, hours, hours)) == said
    assert show_range(Range(0.5, 1.0, 3.0)) == "30 min to 3.0 h"
