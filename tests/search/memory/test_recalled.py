"""What the models make of trials of earlier runs, and whether a search is better for it."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_study import make_study

from reports.records import Asked, Record
from search.memory.remembered import FILE, Memory, Remembered, best, content_hash, read_memory
from search.models.expectations import Expectations
from search.models.model import MARK, Model
from search.models.proposals import Proposals
from search.moves import KINDS, Move, Moves, Plan
from search.replay.made_up import random_table
from search.replay.measure import Yardstick
from search.replay.ours import Search, replay, study_plan, table_study
from search.replay.simulation import simulate
from search.replay.table import Table
from search.studies.objectives import Limit
from search.studies.recipes import baseline_params
from search.studies.study import Study, StudyError

STUDY = make_study(Path(), trials=20)


def params(lr: float, *, kimg: float = 2.0, fraction: float = 0.3) -> dict[str, Any]:
    point = STUDY.space.defaults({"generator.family": "left", "generator.left.lr": lr, "synthesis.fraction": fraction})
    return {**point, MARK: kimg}


def earlier(trial: int, lr: float = 1e-3, *, accuracy: float = 0.7, kid: float | None = 0.3, **changes: Any) -> Remembered:
    given: dict[str, Any] = {"params": params(lr), "scores": {"val_accuracy": accuracy, "val_kid_random": kid}, "generator_s": 6.0, "rest_s": 2.0}
    return Remembered(**{"run": "runs/first", "trial": trial, "use": "told", "state": "complete", **given, **changes})


def recalled(*trials: Remembered, **changes: Any) -> Model:
    model = Model(replace(STUDY, **changes))
    for at, item in enumerate(trials):
        model.recall(item, at - len(trials))
    return model


def test_a_trial_that_is_told_is_known_but_neither_tried_nor_on_the_front() -> None:
    model = recalled(earlier(4))
    assert (model.told, model.front, model.tried) == (1, [], set())
    assert [item.values for item in model.trials()] == [(-0.7, 0.3)] and model.trials()[0].seconds == 2.0
    [(known, mark)] = model.rungs()
    assert known.elsewhere and mark == 2.0 and known.distances == {2.0: 0.3} and known.rate == 3.0
    here = model.known(params(1e-3))
    assert not here.elsewhere and here.mark == 0.0 and not here.distances, "nothing of it stands in this study's store"


def test_a_generator_in_the_store_counts_as_trained_and_its_stages_as_paid() -> None:
    model = recalled(earlier(4, keys=("a/00000010",)))
    known = model.known(params(1e-3))
    assert not known.elsewhere and known.mark == 2.0 and known.latest is None and known.origin == "trial 4 of runs/first"
    point = params(1e-3, fraction=0.6)
    model.add(Asked(trial=1, move="reuse", reason="", params=point, recipe={}, epoch=1, time_s=0.0))
    stages = [{"stage": "generator", "key": "a/00000010", "seconds": 6.0}, {"stage": "inspector", "key": "b", "seconds": 1.5}]
    scores = {"val_accuracy": 0.8, "val_kid_random": 0.3}
    model.tell(Record(trial=1, state="complete", scores=scores, stages=stages, started_s=0.0, ended_s=1.0, epoch=1))
    assert known.latest == 1 and known.seconds == {2.0: 6.0} and model.front == [(-0.8, 0.3)]
    assert len({item.number for item in model.trials()}) == 1, "one generator at one mark, whoever trained it"


def test_seconds_are_those_from_the_first_step_to_the_latest_mark() -> None:
    model = recalled(earlier(4), earlier(5, params=params(1e-3, kimg=4.0), generator_s=11.0), earlier(6, generator_s=None, rest_s=None))
    [known] = model.generators.values()
    assert known.rate == 11.0 / 4.0 and np.isnan(model.trials()[-1].seconds)


def test_seconds_of_another_device_are_left_out_of_the_model() -> None:
    timed = [earlier(i, 1e-3 * (1 + i), accuracy=0.6 + 0.01 * i) for i in range(5)]
    assert Expectations(recalled(*timed)).fit() is not None
    strange = [replace(item, rest_s=None) for item in timed]
    assert Expectations(recalled(*strange)).fit() is None, "what a trial takes here is not known, so that nothing can be weighed by it"
    assert Expectations(recalled(*timed, *strange)).fit() is not None


def test_failures_and_limits_are_understood_as_own_ones() -> None:
    broken = earlier(4, state="failed", scores={})
    behind = earlier(5, 2e-3, state="failed", scores={}, failed_in="pool", rungs={"2": 0.4})
    model = recalled(broken, behind, earlier(6, 3e-3, keys=("a",)), limits=(Limit(score="val_accuracy", bound=0.75, direction="maximize"),))
    told = {known.params["generator.left.lr"]: known for known in model.generators.values()}
    assert told[1e-3].broken and not told[2e-3].broken and told[2e-3].distances == {2.0: 0.4}
    assert not told[3e-3].kept, "it breaks this study's limit"


def test_settings_of_earlier_runs_are_weighed_as_new_generators_here() -> None:
    trials = [earlier(i, 1e-3 * (1 + i), accuracy=0.6 + 0.02 * i, kid=0.5 - 0.05 * i) for i in range(6)]
    plan = Plan(study=STUDY, baselines=baseline_params(STUDY.space, ("plain",)), starts=(), earlier=trials)
    moves = Moves(plan)
    fitted = Expectations(moves.model).fit()
    assert fitted is not None
    weighed = list(Proposals(STUDY.space, moves.model, dict.fromkeys(moves.model.families, (2.0, 4.0)), random.Random(0), KINDS).candidates(fitted))
    assert all(not candidate.generator.elsewhere and not candidate.generator.mark for candidate in weighed)
    assert {candidate.generator.origin for candidate in weighed} & {item.name for item in trials}
    moves.add(Asked(trial=0, move="baseline", reason="", params=plan.baselines[0], recipe={}, epoch=1, time_s=0.0))
    moves.tell(Record(trial=0, state="complete", started_s=0.0, ended_s=1.0, epoch=1))
    moves.add(Asked(trial=1, move="baseline", reason="", params=plan.baselines[1], recipe={}, epoch=1, time_s=0.0))
    move = moves.next(2, is_free=lambda move: True)
    assert isinstance(move, Move) and move.kind == "explore" and "hypervolume expected" in move.reason and move.parent is None


def test_what_lies_in_the_folder_is_what_was_learned(tmp_path: Path) -> None:
    failed = earlier(5, state="failed", scores={}, failed_in="pool", rest_s=None)
    memory = Memory(trials=(earlier(4, keys=("a", "b")), failed), lines=("one line.",))
    data = memory.to_bytes()
    assert Memory.from_bytes(data) == memory and Memory.from_bytes(Memory().to_bytes()) == Memory()
    assert STUDY.resolved is not None
    study = replace(STUDY, resolved=replace(STUDY.resolved, warm_start=content_hash(data)))
    with pytest.raises(StudyError, match="cannot be read"):
        read_memory(study, tmp_path)
    (tmp_path / FILE).write_bytes(data)
    assert read_memory(study, tmp_path) == memory and read_memory(STUDY, tmp_path) == Memory()


def with_trials(trials: int, **search: Any) -> Study:
    return replace(STUDY, search=replace(STUDY.search, trials=trials, **search))


def test_the_best_are_those_that_no_other_dominates_spread_over_the_front() -> None:
    front = [earlier(i, 1e-3 + 1e-4 * i, accuracy=0.6 + 0.02 * i, kid=0.1 + 0.02 * i) for i in range(8)]
    worse = [earlier(20, 5e-3, accuracy=0.5, kid=0.9), earlier(21, 6e-3, state="pruned", scores={}), earlier(22, 7e-3, kid=None)]
    chosen = [item.trial for item in best([*worse, *front], with_trials(100))]
    assert len(chosen) == 4 and {0, 7} <= set(chosen) and not {20, 21, 22} & set(chosen)
    assert [item.trial for item in best([*worse, *front], with_trials(45))] == [7, 0], "one of twenty trials"
    assert [item.trial for item in best([*worse, *front], with_trials(10))] == [7], "at least one, the best by the first objective"
    starts = Memory(trials=[replace(item, use="start", params=params(1e-3, kimg=4.0)) for item in front[:2]]).starts(STUDY)
    assert len(starts) == 1 and starts[0][1][MARK] == 2.0, "equal settings once, at the lowest mark"
    assert Memory(trials=front).starts(STUDY) == [], "the linked models weigh them themselves"
    assert len(Memory(trials=front).starts(with_trials(100, sampler="tpe"))) == 4


def played(table: Table, *, seed: int, trials: int) -> list[Remembered]:
    """What an earlier study of a table has learned."""
    search = Search(study_plan(table_study(table, seed=seed, trials=trials), table))
    simulate(search, table, workers=2)
    paid: set[str] = set()
    found = []
    for record in sorted(search.ledger.records.values(), key=lambda record: (record.ended_s, record.trial)):
        own = [stage for stage in record.stages if stage["key"] not in paid]
        paid |= {stage["key"] for stage in own}
        if search.ledger.asked[record.trial].move == "baseline" or record.state == "failed":
            continue
        found.append(
            Remembered(
                run="runs/first",
                trial=record.trial,
                use="told",
                state=record.state,
                params=search.ledger.asked[record.trial].params,
                scores=record.scores,
                rungs=record.rungs,
                generator_s=record.scores.get("generator_s"),
                rest_s=sum(stage["seconds"] for stage in own if stage["stage"] != "generator"),
            )
        )
    return found


@pytest.mark.slow
def test_a_search_that_is_told_of_its_table_is_faster_and_starts_of_another_do_not_hurt() -> None:
    """On a made-up table, with nothing of the earlier study in the store: all that is saved is what need not be found out again."""
    table, other = random_table(1), random_table(101)
    yardstick = Yardstick(table)
    shares: dict[str, list[float]] = {"cold": [], "starts": []}
    for seed in (1, 3, 5):
        study = table_study(table, seed=seed, trials=40)
        starts = [replace(item, use="start") for item in best(played(other, seed=50 + seed, trials=40), study)]
        cold = replay(study_plan(study, table), table, workers=2)
        told = replay(study_plan(study, table, earlier=played(table, seed=50 + seed, trials=40)), table, workers=2)
        assert yardstick.seconds_to(told, 0.9) < 0.7 * yardstick.seconds_to(cold, 0.9)
        shares["cold"].append(yardstick.share_at(cold))
        shares["starts"].append(yardstick.share_at(replay(study_plan(study, table, starts=Memory(trials=starts).starts(study)), table, workers=2)))
    assert np.mean(shares["starts"]) > np.mean(shares["cold"]) - 0.05, shares
