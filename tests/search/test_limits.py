"""Limits: how they are read and refused, and that a trial which breaks one is on no front, is not confirmed and not promoted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_study import fixed_cost, make_study
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from reports.records import Asked, Record
from search.confirm import to_confirm
from search.fronts import excesses, violation
from search.moves import Moves, Plan, starting_points
from search.runs.index import JOURNAL, Index
from search.studies.continuing import continue_study
from search.studies.objectives import Limit
from search.studies.recipes import baseline_params
from search.studies.settings import Resolved
from search.studies.study import StudyError
from search.studies.study_file import parse_study

BASE = "study: s\ndata: {backgrounds: folder}\nspace: {generator: {family: dcgan}, inspector: {kind: fcn}}\n"
SMALL = Limit(score="inspector_params_m", bound=5.0, direction="minimize")
SURE = Limit(score="val_recall.scratches", bound=0.8, direction="maximize")


def record(number: int, accuracy: float = 0.5, kid: float | None = 0.5, **scores: float | None) -> Record:
    known = {"val_accuracy": accuracy, "val_kid_random": kid, **scores}
    return Record(trial=number, state="complete", scores=known, started_s=0.0, ended_s=1.0, epoch=1)


def asked(number: int, move: str = "explore", **params: Any) -> Asked:
    return Asked(trial=number, move=move, reason="", params={"inspector.kind": "small", **params}, recipe={}, epoch=1, time_s=0.0)


def test_limits_are_read_with_the_side_that_their_score_has() -> None:
    text = BASE + "scores: {extractor: random}\nlimits: {inspector_ms_p95: 80, val_recall.scratches: 0.8, val_kid: 0.2}\n"
    study = parse_study(text, "s.yaml")
    assert study.limits == (
        Limit(score="inspector_ms_p95", bound=80.0, direction="minimize"),
        Limit(score="val_recall.scratches", bound=0.8, direction="maximize"),
        Limit(score="val_kid_random", bound=0.2, direction="minimize"),
    )
    assert parse_study(study.to_yaml(), "again.yaml").limits == study.limits


def test_an_alias_is_resolved_with_the_extractor() -> None:
    study = parse_study(BASE + "limits: {val_kid: 0.2}\n", "s.yaml")
    assert study.limits[0].score == "val_kid"
    assert study.resolve(Resolved(extractor="inspector", precision="fp32", fingerprint="f")).limits[0].score == "val_kid_inspector"


@pytest.mark.parametrize(
    ("limits", "place", "said"),
    [
        ("{test_accuracy: 0.9}", "limits.test_accuracy", "the test split is read once"),
        ("{inspector_params: 5}", "limits.inspector_params", "did you mean inspector_params_m?"),
        ("{val_iou: 0.5}", "limits.val_iou", "a score of task segment"),
        ("{inspector_params_m: small}", "limits.inspector_params_m", "'small' is not a number"),
        ("{inspector_params_m: true}", "limits.inspector_params_m", "True is not a number"),
        ("{inspector_params_m: .inf}", "limits.inspector_params_m", "inf is not a number"),
        ("[inspector_params_m]", "limits", "expected scores with their bounds"),
        ("{val_kid: 0.2, val_kid_random: 0.3}", "limits", "val_kid_random is given twice"),
        ("{val_kid_inspector: 0.2}", "limits.val_kid_inspector", "measured only where scores.extractor is inspector"),
    ],
)
def test_a_limit_that_cannot_be_kept_to_is_refused_with_its_line(limits: str, place: str, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study(f"{BASE}scores: {{extractor: random}}\nlimits: {limits}\n", "s.yaml")
    line = str(caught.value)
    assert line.startswith("s.yaml:5: ") and f"{place}: " in line and said in line


def test_a_run_goes_on_with_the_limits_that_it_began_with() -> None:
    saved = parse_study(BASE + "limits: {inspector_params_m: 5}\n", "s.yaml")
    assert continue_study(saved, saved).limits == saved.limits
    with pytest.raises(StudyError, match=r"limits.inspector_params_m: 5.0 -> 6.0"):
        continue_study(saved, parse_study(BASE + "limits: {inspector_params_m: 6}\n", "s.yaml"))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({"inspector_params_m": 5.0, "val_recall.scratches": 0.8}, 0.0),
        ({"inspector_params_m": 6.0, "val_recall.scratches": 0.8}, 0.2),
        ({"inspector_params_m": 6.0, "val_recall.scratches": 0.4}, 0.7),
        ({"inspector_params_m": 1.0, "val_recall.scratches": 0.4}, 0.5),
        ({"inspector_params_m": None}, 0.0),
    ],
)
def test_a_violation_is_the_sum_of_what_is_too_much_in_shares_of_the_bounds(scores: dict[str, float | None], expected: float) -> None:
    assert violation(record(0, **scores), (SMALL, SURE)) == pytest.approx(expected)
    assert violation(record(0, **scores), ()) == 0.0


def test_a_bound_of_nought_counts_by_itself() -> None:
    assert violation(record(0, fp=3.0), (Limit(score="fp", bound=0.0, direction="minimize"),)) == 3.0


def test_who_breaks_a_limit_is_not_confirmed_neither_as_leader_nor_as_baseline() -> None:
    goals = make_study(Path()).objectives
    told = {0: asked(0, "baseline", baseline="plain"), 1: asked(1, "baseline", baseline="augment"), 2: asked(2), 3: asked(3)}
    records = {
        0: record(0, 0.9, None, inspector_params_m=9.0),
        1: record(1, 0.6, None, inspector_params_m=4.0),
        2: record(2, 0.95, 0.1, inspector_params_m=9.0),
        3: record(3, 0.7, 0.3, inspector_params_m=4.0),
    }
    assert [repeat.parent for repeat in to_confirm(told, records, goals, top=2)] == [0, 2, 3, 2, 3]
    assert [repeat.parent for repeat in to_confirm(told, records, goals, top=2, limits=(SMALL,))] == [1, 3, 3]


def test_who_breaks_a_limit_is_on_no_front_that_the_search_would_improve() -> None:
    fronts = {}
    for limits in ((), (SMALL,)):
        study = replace(make_study(Path()), limits=limits)
        moves = Moves(Plan(study=study, baselines=baseline_params(study.space, ("plain",)), starts=starting_points(study), cost=fixed_cost))
        for number, size in ((2, 9.0), (3, 4.0)):
            params = study.space.defaults({"generator.left.lr": 1e-4 * number})
            moves.add(Asked(trial=number, move="explore", reason="", params=params, recipe={}, epoch=1, time_s=0.0))
            moves.tell(record(number, 0.9 if size > 5 else 0.5, 0.1 if size > 5 else 0.5, inspector_params_m=size))
        fronts[bool(limits)] = moves.model.front
    assert fronts == {False: [(-0.9, 0.1)], True: [(-0.5, 0.5)]}


def test_optuna_is_told_of_limits_as_constraints(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    params = study.space.defaults({"generator.family": "right"})
    told = {number: Asked(trial=number, move="explore", reason="", params=params, recipe={}, epoch=1, time_s=0.0) for number in range(3)}
    records = {0: record(0, 0.9, 0.1, inspector_params_m=9.0), 1: record(1, 0.5, 0.5, inspector_params_m=4.0), 2: record(2, 0.4, None)}
    index = Index(tmp_path, name="fake", goals=study.objectives, space=study.space, limits=(SMALL,))
    index.sync(told, {})
    for number, one in records.items():
        index.tell(told[number], one)
    found = optuna.load_study(study_name="fake", storage=JournalStorage(JournalFileBackend(str(tmp_path / JOURNAL))))
    assert [trial.constraints for trial in found.trials] == [{"inspector_params_m": 4.0}, {"inspector_params_m": -1.0}, {}]
    assert [trial.number for trial in found.best_trials] == [1], "the better one breaks its limit"
    assert not index.sync(told, records), "what was told one by one agrees with the records"
    assert excesses(records[2], (SMALL,)) == {"inspector_params_m": 0.0}
