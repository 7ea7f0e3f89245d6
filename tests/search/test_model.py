from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_study import make_study

from reports.records import Asked, Record
from search.distributions import groups
from search.model import RANDOM_FIRST, Model
from search.studies.study import Study
from spaces.domains import Choice, Float
from spaces.space import Space


def study_of(sampler: str = "tpe", seed: int = 3) -> Study:
    study = make_study(Path(), trials=60)
    return replace(study, seed=seed, search=replace(study.search, sampler=sampler))


def told(model: Model, trial: int, params: Any, accuracy: float | None, distance: float | None) -> None:
    """Tells the model a whole trial; one without an accuracy is only asked, one without a distance failed."""
    model.add(Asked(trial=trial, move="explore", reason="", params=params, recipe={}, epoch=1, time_s=0.0))
    if accuracy is not None:
        scores = {"val_accuracy": accuracy, "val_kid_random": distance}
        state: Any = "failed" if distance is None else "complete"
        model.tell(Record(trial=trial, state=state, scores=scores, started_s=0.0, ended_s=1.0, epoch=1))


def outcome(params: Any) -> tuple[float, float]:
    """Two objectives in conflict over the fraction; only narrow generators of the left family with the small inspector are good at both."""
    miss = abs(params["generator.left.width"] - 12) / 56 if params["generator.family"] == "left" else 1.0
    miss += 0.0 if params["inspector.kind"] == "small" else 0.5
    return params["synthesis.fraction"] - miss, params["synthesis.fraction"] ** 2 + miss


def misses(sampler: str, seed: int) -> float:
    """The mean miss of the last trials of sixty."""
    model = Model(study_of(sampler, seed))
    last = []
    for trial in range(60):
        params = model.suggest(trial, {"generator.kimg": 2.0})
        told(model, trial, params, *outcome(params))
        fraction: Any = params["synthesis.fraction"]
        last.append(fraction - outcome(params)[0])
    return sum(last[-20:]) / 20


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_suggestions_find_the_good_branch_and_random_ones_do_not(seed: int) -> None:
    assert misses("tpe", seed) < 0.6 * misses("random", seed)


def filled(order: list[int], study: Study) -> Model:
    """A model that was told trials in some order; the last three are still running."""
    model = Model(study)
    source = Model(replace(study, seed=99))
    for trial in order:
        params = source.suggest(trial, {})
        told(model, trial, params, *((None, None) if trial >= 20 else outcome(params)))
    return model


def test_a_suggestion_depends_on_the_trials_told_and_not_on_their_order_or_on_earlier_suggestions() -> None:
    study = study_of()
    once = filled(list(range(23)), study)
    again = filled([*range(20, 23), *reversed(range(20))], study)
    assert once.suggest(30, {}) == again.suggest(30, {}) == once.suggest(30, {})
    assert once.suggest(30, {}) != once.suggest(31, {})
    assert once.suggest(30, {}) != Model(study).suggest(30, {})


def test_what_is_given_stays_and_every_setting_that_applies_is_drawn_in_its_range() -> None:
    study = study_of()
    model = filled(list(range(23)), study)
    given = {"generator.family": "right", "generator.kimg": 4.0, "generator.right.lr": 2e-3}
    for trial in range(30, 60):
        params = model.suggest(trial, given)
        assert params.items() >= given.items()
        assert study.space.defaults(params) == params


def test_failed_trials_and_baselines_teach_nothing() -> None:
    model, study = filled(list(range(23)), study_of()), study_of()
    before = model.suggest(30, {})
    told(model, 23, study.space.defaults(), 0.9, None)
    for trial, move in ((24, "baseline"), (25, "confirm")):
        model.add(Asked(trial=trial, move=move, reason="", params={}, recipe={}, epoch=1, time_s=0.0))
        model.tell(Record(trial=trial, state="complete", scores={"val_accuracy": 1.0}, started_s=0.0, ended_s=1.0, epoch=1))
    assert model.suggest(30, {}) == before


def test_the_first_trials_are_drawn_at_random() -> None:
    model, chance = Model(study_of()), Model(study_of("random"))
    for trial in range(RANDOM_FIRST):
        params = model.suggest(trial, {})
        assert params == chance.suggest(trial, {})
        told(model, trial, params, *outcome(params))
    assert model.suggest(RANDOM_FIRST, {}) != chance.suggest(RANDOM_FIRST, {})


def test_settings_that_always_apply_together_are_drawn_together() -> None:
    found = groups(study_of().space)
    always = {"generator.family", "generator.kimg", "synthesis.truncation", "synthesis.filter", "inspector.kind"}
    # The study has one kind of amount, so that what it brings always applies.
    assert found["generator.family"].keys() == always | {"synthesis.fraction"}
    assert found["generator.left.lr"].keys() == {"generator.left.lr", "generator.left.width"}


def test_settings_that_two_options_share_are_a_group_of_their_own() -> None:
    weight, share = Float(low=0.1, high=1.0, default=0.5), Float(low=0.0, high=1.0, default=0.5)
    kind = Choice(options={"plain": {}, "learned": {"weight": weight}, "blend": {"weight": weight, "share": share}}, default="plain")
    found = {name: set(group) for name, group in groups(Space({"told.kind": kind})).items()}
    assert found == {"told.kind": {"told.kind"}, "told.weight": {"told.weight"}, "told.share": {"told.share"}}
