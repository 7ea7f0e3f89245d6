"""Budgets and stops: how they are read and refused, what counts, when a search closes and when nothing starts any more."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ended_trials import EXPLORED, REAL
from fake_study import fixed_cost, make_study

from reports.records import ENDED, Asked, Record
from search.asker import FINISHED, WAIT, Asker
from search.execution.driver import recipe_builder
from search.moves import Plan, starting_points
from search.runs.ledger import Ledger
from search.spending.budget import Budget, Using, spent
from search.spending.ending import Ending, read_ended, refuse_budget, size_gib
from search.spending.stops import Stops
from search.spending.took import Todo, Took, todo
from search.studies.budgets import BudgetSettings, StopSettings
from search.studies.continuing import continue_study
from search.studies.objectives import Limit
from search.studies.recipes import baseline_params
from search.studies.settings import Resolved
from search.studies.study import Study, StudyError
from search.studies.study_file import parse_study
from trainables.progress import Scores, StageUse
from trainables.store import Store

BASE = "study: s\ndata: {backgrounds: folder}\nspace: {generator: {family: dcgan}, inspector: {kind: fcn}}\nscores: {extractor: random}\n"


def budgeted(folder: Path, budget: BudgetSettings, **changes: Any) -> Study:
    study = make_study(folder, **changes)
    return replace(study, search=replace(study.search, budget=budget))


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("{hours: 0}", "hours: 0 is spent before anything begins"),
        ("{hours: -2}", "hours: -2 is spent before anything begins"),
        ("{gpu_hours: .inf}", "gpu_hours: inf"),
        ("{hours: long}", "search.budget.hours: 'long' is not a number"),
        ("{hour: 3}", "search.budget.hour: no such setting; did you mean hours?"),
        ("{money: 20}", "money: needs price_per_gpu_hour"),
        ("{disk_gib: 0}", "disk_gib: 0 is spent"),
        ("{stops: {plateau: 0}}", "plateau: 0 is fewer than 1 trial"),
        ("{stops: {least_gain: -1}}", "least_gain: -1.0 is not above 0"),
        ("{stops: {least_gain: 0.1, over: 1}}", "over: 1 is fewer than 2"),
        ("{stops: {target: {test_accuracy: 0.9}}}", "search.budget.stops.target.test_accuracy: test_accuracy: the test split is read once"),
        ("{stops: {target: {val_iou: 0.9}}}", "a score of task segment"),
        ("{stops: {target: {val_accurracy: 0.9}}}", "did you mean val_accuracy?"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_with_its_line(budget: str, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_study(f"{BASE}search:\n  budget: {budget}\n", "s.yaml")
    assert str(caught.value).startswith("s.yaml:") and said in str(caught.value)


def test_a_budget_is_read_and_written_back_and_its_target_named_in_full() -> None:
    text = (
        BASE.replace("random", "auto") + "search: {budget: {hours: 2, money: 9, price_per_gpu_hour: 3, stops: {target: {val_kid: 0.05}, plateau: 8}}}"
    )
    study = parse_study(text, "s.yaml")
    assert study.search.budget.amounts == {"hours": 2.0, "money": 9.0}
    assert parse_study(study.to_yaml(), "again.yaml").search == study.search
    resolved = study.resolve(Resolved(extractor="inspector", precision="fp32", fingerprint="f"))
    assert resolved.search.budget.stops.target == {"val_kid_inspector": 0.05}


def test_a_budget_may_change_while_a_run_goes_on() -> None:
    saved = parse_study(BASE + "search: {budget: {hours: 2, stops: {target: {val_kid: 0.1}}}}", "s.yaml")
    now = parse_study(BASE + "search: {budget: {hours: 4, stops: {plateau: 9}}}", "s.yaml")
    assert continue_study(saved, now).search.budget == now.search.budget
    with pytest.raises(StudyError, match=r"search\.marks"):
        continue_study(saved, parse_study(BASE + "search: {marks: [3], budget: {hours: 4}}", "s.yaml"))


def test_work_is_counted_once_however_often_it_was_met() -> None:
    stages = [{"stage": "generator", "key": "g", "seconds": 5.0}, {"stage": "pool", "key": "p", "seconds": 2.0}]
    found = spent([_record(0, stages=stages), _record(1, stages=stages)])
    assert (found.generators_s, found.downstream_s) == (5.0, 2.0)


def _record(trial: int, start: float = 0.0, end: float = 3600.0, **changes: Any) -> Record:
    return Record(**{"trial": trial, "state": "complete", "started_s": start, "ended_s": end, "epoch": 1} | changes)


@pytest.mark.parametrize(
    ("settings", "used"),
    [
        # Two trials side by side before, half an hour since this driver began, in which two run, each on half a GPU.
        ({"hours": 9.0}, {"hours": 1.5}),
        ({"gpu_hours": 9.0}, {"gpu_hours": 1.25}),
        ({"money": 9.0, "price_per_gpu_hour": 4.0}, {"money": 5.0}),
        ({"disk_gib": 9.0}, {"disk_gib": 3.5}),
        ({}, {}),
    ],
)
def test_what_is_used_counts_all_drivers_and_the_trials_in_flight(settings: dict[str, float], used: dict[str, float]) -> None:
    study = budgeted(Path(), BudgetSettings(**settings))
    before = [_record(0, gpus=0.5), _record(1, gpus=0.5)]
    budget = Budget(study, before, workers=2, gpus=0.5, begun_s=9000.0, size_gib=lambda: 3.5)
    found = budget.used(Using(now_s=10800.0, running={2: 9900.0, 3: 9900.0}))
    assert found == pytest.approx(used)


def test_a_trial_that_ended_here_is_counted_once() -> None:
    budget = Budget(budgeted(Path(), BudgetSettings(gpu_hours=9.0)), gpus=1.0)
    budget.add(EXPLORED._replace(gpus=1.0, wall_s=3600.0), here=True)
    budget.add(EXPLORED._replace(gpus=1.0, wall_s=3600.0), here=False)
    assert budget.used(Using(now_s=0.0, running={})) == {"gpu_hours": 1.0}


def test_the_disk_is_measured_once_for_each_trial_that_starts_or_ends() -> None:
    measured: list[int] = []

    def size() -> float:
        measured.append(1)
        return 1.0

    budget = Budget(budgeted(Path(), BudgetSettings(disk_gib=9.0)), size_gib=size)
    for running in ({}, {}, {0: 0.0}, {0: 0.0}):
        budget.used(Using(now_s=0.0, running=running))
    assert len(measured) == 2


def test_a_search_closes_while_there_is_enough_for_the_confirmations() -> None:
    study = budgeted(Path(), BudgetSettings(hours=4.0))
    budget = Budget(study, workers=1)
    confirmations = Todo(confirm_real=2, confirm_leaders=1)
    for ended in (REAL, REAL._replace(inspector="large"), EXPLORED, EXPLORED._replace(inspector="large"), EXPLORED):
        budget.add(ended, here=True)
    closed = [budget.closed(Using(now_s=3600 * hours, running={}), confirmations) for hours in (1.0, 3.9)]
    assert closed[0] is None and closed[1] is not None
    assert "search.budget.hours: 3.9 h of 4.0 h are used, and" in closed[1] and "kept for the confirmations" in closed[1]
    # Without confirmations to come, there is room for as long as one more trial of ten minutes fits.
    assert [budget.closed(Using(now_s=3600 * hours, running={}), Todo()) is None for hours in (3.8, 3.9)] == [True, False]
    assert budget.exhausted(Using(now_s=3600 * 3.99, running={})) is None
    assert "4.0 h of 4.0 h are used" in str(budget.exhausted(Using(now_s=3600 * 4.0, running={})))


def test_no_more_than_half_a_budget_is_kept() -> None:
    budget = Budget(budgeted(Path(), BudgetSettings(hours=1.0)), workers=1)
    for _ in range(4):
        budget.add(REAL._replace(rest_s=36000.0), here=True)
        budget.add(REAL._replace(rest_s=36000.0, inspector="large"), here=True)
    now = Todo(confirm_real=9)
    assert budget.closed(Using(now_s=1700.0, running={}), now) is None
    assert budget.closed(Using(now_s=1900.0, running={}), now) is not None


def ended_trials(study: Study, values: list[tuple[float, float] | None]) -> Stops:
    """Tells stops of trials of a quarter of an hour each, one after the other; None failed."""
    stops = Stops(study)
    for trial, value in enumerate(values):
        asked = Asked(trial=trial, move="explore", reason="", params={}, recipe={}, epoch=1, time_s=0.0)
        scores = {} if value is None else {"val_accuracy": value[0], "val_kid_random": value[1], "inspector_params_m": 9.0 if value[0] > 0.9 else 1.0}
        state: Any = "failed" if value is None else "complete"
        stops.add(asked, _record(trial, 900.0 * trial, 900.0 * (trial + 1), state=state, scores=scores))
    return stops


@pytest.mark.parametrize(
    ("stops", "values", "said"),
    [
        ({"target": {"val_accuracy": 0.8}}, [(0.7, 0.1), (0.79, 0.1)], None),
        ({"target": {"val_accuracy": 0.8}}, [(0.7, 0.1), (0.8, 0.1), (0.9, 0.1)], "trial 1 has val_accuracy 0.8"),
        ({"target": {"val_accuracy": 0.8, "val_kid_random": 0.05}}, [(0.85, 0.1), (0.6, 0.01)], None),
        ({"target": {"val_accuracy": 0.8, "val_kid_random": 0.05}}, [(0.85, 0.1), (0.85, 0.05)], "trial 1 has"),
        ({"target": {"val_accuracy": 0.8}}, [(0.95, 0.1)], None),  # It breaks the limit.
        ({"plateau": 3}, [(0.7, 0.1), (0.6, 0.2), None], None),
        ({"plateau": 3}, [(0.7, 0.1), (0.6, 0.2), None, (0.7, 0.1)], "3 trials have ended since"),
        ({"plateau": 3}, [(0.7, 0.1), (0.6, 0.2), (0.6, 0.09), (0.5, 0.3)], None),
        ({"plateau": 3}, [(0.7, 0.1), (0.6, 0.2), (0.95, 0.01), (0.5, 0.3)], "3 trials have ended"),
        ({"plateau": 2}, [None, None, None], None),  # Where nothing was found there is no plateau.
        ({"least_gain": 0.1, "over": 2}, [(0.7, 0.1), (0.6, 0.2), (0.65, 0.15)], "less than 10.00%"),
        ({"least_gain": 0.1, "over": 2}, [(0.7, 0.1), (0.6, 0.2), (0.8, 0.05)], None),
        ({"least_gain": 0.1, "over": 5}, [(0.7, 0.1), (0.6, 0.2), (0.65, 0.15)], None),
        ({}, [(0.7, 0.1)] * 50, None),
    ],
)
def test_a_search_stops_at_a_target_a_plateau_and_too_little_gain(stops: dict[str, Any], values: Any, said: str | None) -> None:
    study = budgeted(Path(), BudgetSettings(stops=StopSettings(**stops)))
    study = replace(study, limits=(Limit(score="inspector_params_m", bound=5.0, direction="minimize"),))
    found = ended_trials(study, values).reached()
    assert found is None if said is None else found is not None and said in found


def test_baselines_and_confirmations_stop_nothing() -> None:
    study = budgeted(Path(), BudgetSettings(stops=StopSettings(target={"val_accuracy": 0.5}, plateau=1)))
    stops = Stops(study)
    for trial, move in enumerate(("baseline", "confirm", "baseline")):
        asked = Asked(trial=trial, move=move, reason="", params={}, recipe={}, epoch=1, time_s=0.0)
        stops.add(asked, _record(trial, scores={"val_accuracy": 0.9, "val_kid_random": 0.1}))
    assert stops.reached() is None


class Play:
    """A run whose trials take as long as they are told to, on a clock of its own; one driver after the other."""

    def __init__(self, folder: Path, budget: BudgetSettings, **changes: Any) -> None:
        self.study = budgeted(folder, budget, **changes)
        self.now_s = 1000.0
        self._ledger: Ledger | None = None
        self.drive()

    def drive(self, budget: BudgetSettings | None = None) -> None:
        """Starts another driver, with another budget where one is given."""
        self.close()
        if budget is not None:
            self.study = replace(self.study, search=replace(self.study.search, budget=budget))
        study, self._ledger = self.study, Ledger(self.study.run_folder)
        plan = Plan(study=study, baselines=baseline_params(study.space, ("plain",)), starts=starting_points(study), cost=fixed_cost)
        store = Store(study.storage.store)
        self.ending = Ending(study, self._ledger, workers=1, gpus=0.0, store=store, clock=lambda: self.now_s)
        self.asker = Asker(self._ledger, plan=plan, build=recipe_builder(study), store=store, ending=self.ending, clock=lambda: self.now_s)

    def close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()

    def run(self, seconds: float = 600.0, *, most: int = 100) -> list[str]:
        """Runs trials until there is none, and gives their moves."""
        moves = []
        while len(moves) < most and isinstance(asked := self.asker.ask(), Asked):
            self.now_s += seconds
            values: dict[str, float | None] = {"val_accuracy": 0.5 + 0.001 * asked.trial, "val_kid_random": 0.5}
            if asked.recipe["generator"] is None:
                values["val_kid_random"] = None
            stages = [StageUse(unit=0, stage="inspector", key=str(asked.trial), reused=False, seconds=1.0, device="cpu")]
            self.asker.finish(asked.trial, Scores(values=values, units=[values], confusion={}, classes=[], conditions={}, stages=stages))
            moves.append(asked.move)
        return moves


@pytest.fixture
def playing(tmp_path: Path) -> Iterator[Callable[..., Play]]:
    """Starts runs, and gives them back at the end."""
    begun: list[Play] = []

    def start(budget: BudgetSettings, **changes: Any) -> Play:
        begun.append(Play(tmp_path, budget, **changes))
        return begun[-1]

    yield start
    for play in begun:
        play.close()


def test_a_run_ends_within_its_hours_with_its_confirmations_done(playing: Callable[..., Play]) -> None:
    play = playing(BudgetSettings(hours=3.0), trials=60, top=1)
    moves = play.run()
    assert moves.count("confirm") == 4 and moves[-4:] == ["confirm"] * 4 and 5 <= len(moves) - 4 < 18
    assert play.now_s - 1000.0 <= 3.0 * 3600 and play.ending.reason is not None and "kept for the confirmations" in play.ending.reason
    assert play.asker.ask() == FINISHED
    known = read_ended(play.study.run_folder)
    assert known is not None and known["reason"] == play.ending.reason


def test_a_run_that_ended_goes_on_when_its_budget_is_raised_and_not_before(playing: Callable[..., Play]) -> None:
    play = playing(BudgetSettings(hours=3.0), trials=60, top=1)
    first = play.run()
    play.now_s += 1e6
    play.drive()
    assert play.ending.reason is not None and play.run() == [], "the time in which nothing ran does not count, and a closed search stays closed"
    play.drive(BudgetSettings(hours=6.0))
    assert play.ending.reason is None and not (play.study.run_folder / ENDED).exists()
    more = play.run()
    assert more.count("explore") + more.count("reuse") + more.count("promote") > 5
    known = list(play.asker._ledger.records.values())
    assert sum(record.ended_s - record.started_s for record in known) <= 6.0 * 3600 and len(first) + len(more) == len(known)


def test_nothing_starts_once_all_is_used_not_even_a_confirmation(playing: Callable[..., Play]) -> None:
    play = playing(BudgetSettings(hours=1.0), trials=60, top=1)
    play.run(600.0, most=3)
    moves = play.run(7200.0)
    assert len(moves) == 1, "only the trial in flight overran"
    assert play.asker.ask() == FINISHED and play.ending.reason is not None and "confirmations were not run" in play.ending.reason


def test_trials_in_flight_are_waited_for_when_all_is_used(playing: Callable[..., Play]) -> None:
    play = playing(BudgetSettings(hours=1.0), trials=60, top=1)
    play.run(600.0, most=3)
    asked = play.asker.ask()
    assert isinstance(asked, Asked)
    play.now_s += 7200.0
    assert play.asker.ask() == WAIT


def test_a_search_that_reached_its_target_is_confirmed(playing: Callable[..., Play]) -> None:
    play = playing(BudgetSettings(stops=StopSettings(target={"val_accuracy": 0.504})), trials=60, top=1)
    moves = play.run()
    assert moves == ["baseline", "baseline", "explore", "explore", moves[4], "confirm", "confirm", "confirm", "confirm"]
    assert play.ending.reason is not None and "stops.target: trial 4" in play.ending.reason


def test_a_run_without_a_budget_ends_as_ever(playing: Callable[..., Play]) -> None:
    play = playing(BudgetSettings(), trials=6, top=0)
    assert len(play.run()) == 6 and play.ending.reason is None and not (play.study.run_folder / ENDED).exists()


def test_the_size_of_a_run_and_its_store_is_that_of_their_files(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    before = size_gib(tmp_path / "run", store)
    store.publish("generator", "a", {"x": bytes(2**20)})
    (tmp_path / "run" / "trials").mkdir(parents=True)
    (tmp_path / "run" / "trials" / "y").write_bytes(bytes(2**20))
    assert size_gib(tmp_path / "run", store) - before == pytest.approx(2 / 1024, rel=1e-2)
    assert store.published_bytes == 2**20


@pytest.mark.parametrize(
    ("budget", "gpus", "ended", "earlier", "said"),
    [
        ({"hours": 1.0}, 0.0, 2, [], "search.budget.hours: 2.0 h are used already, of 60 min"),
        ({"hours": 1.0}, 0.0, 2, [], "--set search.budget.hours=4"),
        ({"hours": 3.0}, 0.0, 2, [], None),
        ({"gpu_hours": 1.0}, 0.0, 0, [], "trials hold no GPU here"),
        ({"money": 1.0, "price_per_gpu_hour": 2.0}, 0.0, 0, [], "search.budget.hours"),
        ({"gpu_hours": 1.0}, 1.0, 2, [], "2 GPU-hours are used already"),
        ({"hours": 0.1}, 0.0, 0, [REAL, REAL._replace(inspector="large")] * 3, "do not pay for the 2 baselines alone"),
        ({"hours": 1.0}, 0.0, 0, [REAL, REAL._replace(inspector="large")] * 3, None),
        ({"money": 0.1, "price_per_gpu_hour": 2.0}, 1.0, 0, [REAL, REAL._replace(inspector="large")] * 3, "0.10 EUR do not pay"),
        ({"hours": 0.1}, 0.0, 0, [], None),
    ],
)
def test_a_budget_that_is_spent_or_too_small_is_refused_with_what_to_raise(
    budget: dict[str, float], gpus: float, ended: int, earlier: list[Took], said: str | None
) -> None:
    study = budgeted(Path(), BudgetSettings(**budget))
    records = {number: _record(number, 3600.0 * number, 3600.0 * (number + 1), gpus=gpus) for number in range(ended)}
    own = [EXPLORED] * ended
    if said is None:
        refuse_budget(study, records, own, earlier, workers=1, gpus=gpus)
        return
    with pytest.raises(StudyError) as caught:
        refuse_budget(study, records, own, earlier, workers=1, gpus=gpus)
    assert said in str(caught.value)


def test_a_run_that_is_through_may_be_started_again_whatever_its_budget() -> None:
    study = budgeted(Path(), BudgetSettings(hours=1.0), trials=3, top=0)
    own = [REAL, REAL, EXPLORED]
    assert todo(study, own).trials == 0
    refuse_budget(study, {0: _record(0, 0.0, 9e4)}, own, [], workers=1, gpus=0.0)
