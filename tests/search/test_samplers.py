"""Samplers by name: what each suggests follows from seed, number and records, lies in the space, and is refused where it cannot serve."""

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_study import fixed_cost, make_study

from reports.records import Asked, Record
from search.moves import Move, Moves, Plan, starting_points
from search.samplers import KIMG, Sampled
from search.studies.continuing import continue_study
from search.studies.objectives import Limit
from search.studies.recipes import baseline_params
from search.studies.sampling import grid_size, sampler_problem
from search.studies.study import Study, StudyError
from search.studies.study_file import parse_study

NAMES = ("tpe", "random", "grid", "qmc", "nsga2", "gp")
BASE = "study: s\ndata: {backgrounds: folder}\nspace: {generator: {family: dcgan}, inspector: {kind: fcn}}\n"


def study_of(sampler: str, *, trials: int = 60, **narrowed: Any) -> Study:
    """The fake study with a sampler; `grid` and `gp` get a space that they can serve."""
    study = make_study(Path(), trials=trials)
    if sampler == "gp":
        narrowed = {"generator.family": "left", "inspector.kind": "small", "synthesis.filter": "none"} | narrowed
    if sampler == "grid":
        narrowed = {"generator.left.lr": [1e-4, 1e-3], "generator.left.width": [8, 16, 32], "generator.right.lr": 1e-3} | narrowed
        narrowed = {"inspector.small.lr": 1e-3, "inspector.large.lr": 1e-3, "synthesis.fraction": [0.2, 0.4]} | narrowed
        narrowed = {"synthesis.truncation": 1.0, "synthesis.filter": "none"} | narrowed
    return replace(study, space=study.space.narrow(narrowed), search=replace(study.search, sampler=sampler))


def sampled(study: Study) -> Sampled:
    return Sampled(study, {family: study.ladder(family) for family in study.families}, 0)


def asked(number: int, params: Mapping[str, Any], move: str = "explore") -> Asked:
    return Asked(trial=number, move=move, reason="", params=params, recipe={}, epoch=1, time_s=0.0)


def record(number: int, params: Mapping[str, Any], state: Any = "complete", **scores: float) -> Record:
    """Ends a trial in the world where narrow generators of the left family with a low rate are good, and much is better than little."""
    miss = abs(math.log10(params.get("generator.left.lr", 1e-2)) + 4.0) + (0.0 if params["generator.family"] == "left" else 1.0)
    values = {"val_accuracy": 0.9 - 0.1 * miss - (params["synthesis.fraction"] - 0.3) ** 2, "val_kid_random": 0.1 + miss} | scores
    return Record(trial=number, state=state, scores=values if state == "complete" else {}, started_s=0.0, ended_s=float(number), epoch=1)


def played(study: Study, count: int, *, ended: int | None = None) -> tuple[Sampled, list[dict[str, Any]]]:
    """Suggests and ends trials one after the other; the last ones still run where `ended` says so."""
    sampler, points = sampled(study), []
    for number in range(count):
        found = sampler.suggest(number)
        assert found is not None
        points.append(dict(found.params))
        sampler.add(asked(number, found.params, found.kind))
        if ended is None or number < ended:
            sampler.tell(record(number, found.params))
    return sampler, points


@pytest.mark.parametrize("name", NAMES)
def test_suggestions_lie_in_the_space_begin_at_the_lowest_mark_and_are_made_again_by_another_driver(name: str) -> None:
    study = study_of(name)
    sampler, points = played(study, 14, ended=12)
    for point in points:
        assert dict(study.space.defaults(point)) == point, "complete, and within the space"
    first = [point for point in points if point[KIMG] == 2.0]
    assert len(first) >= 9 and {point[KIMG] for point in points} == {2.0, 4.0}
    again = sampled(study)
    for number in reversed(range(14)):
        again.add(asked(number, points[number], "explore" if points[number][KIMG] == 2.0 else "promote"))
    for number in (5, 11, *range(5), *range(6, 11)):
        again.tell(record(number, points[number]))
    assert again.suggest(14) == sampler.suggest(14) == sampler.suggest(14), "whoever is asked, in whatever order it was told"
    other = sampled(replace(study, seed=99))
    assert other.suggest(0) != sampled(study).suggest(0)


@pytest.mark.parametrize("name", ["tpe", "nsga2"])
def test_samplers_that_learn_do_better_than_chance(name: str) -> None:
    means = {}
    for sampler in (name, "random"):
        study = replace(study_of(name, **{KIMG: 2.0}), objectives=make_study(Path()).objectives)
        study = replace(study, search=replace(study.search, sampler=sampler, marks=(2.0,)))
        # A population of six has seen six generations by then.
        _, points = played(replace(study, search=replace(study.search, trials=30)), 40 if name == "nsga2" else 24)
        means[sampler] = sum(record(0, point).scores["val_kid_random"] or 0.0 for point in points[-8:]) / 8
    assert means[name] < means["random"]


def test_a_sobol_sequence_fills_the_space_more_evenly_than_chance() -> None:
    def emptiest(name: str) -> int:
        study = study_of(name, **{KIMG: 2.0})
        study = replace(study, search=replace(study.search, marks=(2.0,)))
        _, points = played(study, 32)
        bins = [0] * 8
        for point in points:
            bins[min(7, int(8 * (point["synthesis.fraction"] - 0.0) / 0.8))] += 1
        return min(bins)

    assert emptiest("qmc") >= 3 > emptiest("random")


def test_a_grid_tries_every_point_once_and_is_then_through() -> None:
    study = study_of("grid", **{KIMG: 2.0})
    study = replace(study, search=replace(study.search, marks=(2.0,)))
    size = grid_size(study.space)
    # The left family has 2 x 3 settings, the right one 2 norms; each with 2 fractions and 2 inspectors.
    assert size == (6 + 2) * 2 * 2
    sampler, points = played(study, size, ended=size - 1)
    assert len({frozenset(point.items()) for point in points}) == size
    assert sampler.suggest(size) is None and sampler.through is None, "a trial runs that may yet be promoted"
    sampler.tell(record(size - 1, points[-1]))
    assert sampler.through == f"search.sampler: all {size} points of the grid were tried"


def test_the_best_of_three_goes_on_to_the_next_mark_unless_it_breaks_a_limit() -> None:
    found = {}
    for limits in ((), (Limit(score="inspector_params_m", bound=5.0, direction="minimize"),)):
        study = replace(study_of("random"), limits=limits)
        sampler = sampled(study)
        for number, rate in enumerate((1e-4, 1e-3, 1e-2, 1e-2)):
            params = study.space.defaults({"generator.left.lr": rate, KIMG: 2.0})
            sampler.add(asked(number, params))
            sampler.tell(record(number, params, inspector_params_m=9.0 if number == 0 else 1.0))
        suggestion = sampler.suggest(9)
        assert suggestion is not None and suggestion.kind == "promote" and suggestion.params[KIMG] == 4.0
        found[bool(limits)] = suggestion.parent
    assert found == {False: 0, True: 1}


@pytest.mark.parametrize("name", ["tpe", "nsga2", "gp"])
def test_trials_that_failed_or_that_no_suggestion_could_be_teach_nothing_and_break_nothing(name: str) -> None:
    study = study_of(name)
    sampler, _ = played(study, 11)
    params = dict(study.space.defaults({KIMG: 2.0}))
    before = sampler.suggest(30)
    sampler.add(asked(20, {**params, "synthesis.fraction": 0.95}))
    sampler.tell(record(20, {**params, "synthesis.fraction": 0.95}))
    sampler.add(asked(21, params))
    sampler.tell(record(21, params, state="failed"))
    assert sampler.suggest(30) == before


def test_limits_are_constraints_and_a_process_learns_from_what_keeps_them() -> None:
    study = replace(study_of("gp"), limits=(Limit(score="inspector_params_m", bound=5.0, direction="minimize"),))
    sampler, again, misses = sampled(study), sampled(study), []
    for number in range(14):
        params = {**study.space.sample(random.Random(number)), KIMG: 2.0}
        ended = record(number, params, inspector_params_m=9.0 if number == 4 else 2.0)
        misses.append(ended.scores["val_kid_random"] or 0.0)
        for one in (sampler, again):
            one.add(asked(number, params))
            one.tell(ended)
    constraints = [found.constraints for number in (3, 4) if (found := sampler._told(number)) is not None]
    assert constraints == [{"inspector_params_m": -3.0}, {"inspector_params_m": 4.0}]
    drawn = sampler._drawn(14)
    assert drawn == again._drawn(14)
    assert (record(14, drawn).scores["val_kid_random"] or 0.0) < sorted(misses)[7], "better than most of what chance found"


def test_a_study_with_a_sampler_explores_and_promotes_and_confirms_but_never_uses_a_generator_again() -> None:
    study = study_of("grid", trials=200)
    plan = Plan(study=study, baselines=baseline_params(study.space, ("plain",)), starts=starting_points(study), cost=fixed_cost)
    moves, kinds = Moves(plan), []
    for number in range(300):
        move = moves.next(number, is_free=lambda move: True)
        if not isinstance(move, Move):
            assert move == "finished"
            break
        kinds.append(move.kind)
        moves.add(asked(number, move.fixed, move.kind))
        real = move.kind == "baseline" or "baseline" in move.fixed
        told = Record(trial=number, state="complete", scores={"val_accuracy": 0.5}, started_s=0.0, ended_s=1.0, epoch=1)
        moves.tell(told if real else record(number, move.fixed))
    assert set(kinds) == {"baseline", "explore", "promote", "confirm"}
    # The paper's settings of both families are points of the grid or not; each point is tried once, and a third of them goes on.
    assert kinds.count("explore") in range(32, 35) and kinds.count("promote") in range(10, 12) and kinds[-6:] == ["confirm"] * 6


@pytest.mark.parametrize(
    ("sampler", "space", "said"),
    [
        ("grid", {}, "a continuous range has no steps; give a list of values, or one, for generator.left.lr, "),
        ("grid", {"generator.family": "left", "generator.left.lr": 1e-3}, "or one, for synthesis."),
        ("gp", {}, "generator.family, synthesis.filter, inspector.kind decide which others do; leave each one option"),
        ("gp", {"generator.family": "left", "synthesis.filter": "none"}, "inspector.kind decides which others do; leave it one option"),
        ("gp", {"generator.family": "left", "synthesis.filter": "none", "inspector.kind": "small"}, None),
        ("qmc", {}, None),
        ("nsga2", {}, None),
        ("tpe", {}, None),
        ("linked", {}, None),
    ],
)
def test_a_sampler_that_cannot_serve_a_space_says_why(sampler: str, space: dict[str, Any], said: str | None) -> None:
    found = sampler_problem(sampler, make_study(Path()).space.narrow(space))
    assert found is None if said is None else found is not None and said in found


def test_a_grid_too_large_to_be_walked_over_is_refused() -> None:
    names = study_of("grid").space.names()
    wide = {"generator.left.width": {"low": 8, "high": 64}, "generator.left.lr": [1e-5 * i for i in range(1, 100)]}
    assert names and "more than can be walked over" in str(sampler_problem("grid", study_of("grid", **wide).space))


@pytest.mark.parametrize("name", ["cmaes", "cma_es", "CmaEsSampler"])
def test_the_sampler_that_unpickles_is_refused_by_name(name: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study(f"{BASE}search: {{sampler: {name}}}\n", "s.yaml")
    assert str(caught.value).startswith("s.yaml:4: search.sampler: CMA-ES keeps its state") and "unpickles" in str(caught.value)


def test_a_sampler_is_checked_with_the_study_and_may_change_while_a_run_goes_on() -> None:
    with pytest.raises(StudyError, match=r"s.yaml:4: search.sampler: grid: a continuous range"):
        parse_study(f"{BASE}search: {{sampler: grid}}\n", "s.yaml")
    with pytest.raises(StudyError, match=r"did you mean nsga2\?"):
        parse_study(f"{BASE}search: {{sampler: nsga}}\n", "s.yaml")
    saved, now = parse_study(BASE, "s.yaml"), parse_study(f"{BASE}search: {{sampler: tpe}}\n", "s.yaml")
    assert (saved.search.sampler, continue_study(saved, now).search.sampler) == ("linked", "tpe")
