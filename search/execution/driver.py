"""Drives the trials of a prepared study until none is left or something asks to stop. Called by the runner."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Protocol

from reports.records import Asked, Record
from reports.trust import Bounds
from search.asker import FINISHED, WAIT, Asker, Build, Observer
from search.confirm import most
from search.console import Header
from search.execution.attempt import Attempt, Halt
from search.fronts import violation
from search.memory.remembered import read_memory
from search.moves import Plan, starting_points
from search.runs.ledger import Ledger
from search.runs.refresh import Refresher
from search.spending.ending import Ending
from search.spending.forecast import Forecast, forecast
from search.spending.took import todo, took
from search.studies.recipes import baseline_params, build_recipe, drawing_settings, untrained_families
from search.studies.study import Study
from trainables.errors import StoreError
from trainables.progress import Progress
from trainables.recipe import Recipe
from trainables.store import Store

TRIAL_FUNCTION = "trainables.trial:run_trial"
OK, FAILED, INTERRUPTED = 0, 1, 130
LOOK_S = 1.0
"""How often a driver looks whether it is to stop."""
GIVE_UP_S = 25.0
"""A Ray that was killed together with this process never answers again: so long after a signal the driver ends without it."""


class Watcher(Observer, Protocol):
    """Who is told everything: the console."""

    def started(self, header: Header) -> None: ...
    def stopped(self, reason: str) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """With what trials run."""

    workers: int
    threads: int
    gpus_per_trial: float
    device: str
    function: str = TRIAL_FUNCTION


class Stop:
    """Whether the run is to end early, and why: a signal, `tundish stop`, or another driver that took over."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._looked_s = 0.0
        self.reason: str | None = None

    def __call__(self) -> bool:
        """Looks, at most once in `LOOK_S`."""
        if self.reason is None and time.monotonic() - self._looked_s > LOOK_S:
            self._looked_s = time.monotonic()
            if self._ledger.stop_wanted():
                self.reason = "stopped by `tundish stop`"
            elif not self._ledger.lease.is_mine():
                self.reason = "taken over by another driver"
        return self.reason is not None

    @contextmanager
    def on_signals(self, give_up: Callable[[], None] | None = None) -> Iterator[None]:
        """Makes Ctrl-C and SIGTERM a request to save and stop; a second one ends the process at once.

        Args:
            give_up: called from another thread where the request is not met within `GIVE_UP_S` seconds.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        timer = threading.Timer(GIVE_UP_S, give_up) if give_up is not None else None

        def ask(number: int, frame: FrameType | None) -> None:
            if self.reason is not None:
                raise KeyboardInterrupt
            self.reason = f"interrupted by {signal.Signals(number).name}"
            if timer is not None:
                timer.daemon = True
                timer.start()

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if timer is not None:
                timer.cancel()


def drive(
    study: Study,
    store: Store,
    ledger: Ledger,
    means: Means,
    *,
    observer: Watcher,
    command: str,
    where: str,
    inline: bool,
    plan: Plan | None = None,
    write: Callable[[Ledger], None] | None = None,
) -> int:
    """Runs the trials of a resolved study until none is left or something asks to stop; gives the exit code.

    Args:
        study: resolved.
        store: of the stages.
        ledger: of the run, held by this process.
        means: with what trials run.
        observer: who is told everything.
        command: the line that continues the run.
        where: where trials run, in a phrase.
        inline: True runs them in this process; False on Ray, which is connected already.
        plan: baselines, starting points and the cost of stages, where they are not the study's own.
        write: what is rewritten now and then and at the end; `refresh` by default.

    Raises:
        StudyError: what the run has learned from earlier ones is gone.
    """
    memory = read_memory(study, ledger.run)
    plan = plan or Plan(
        study=study,
        baselines=baseline_params(study.space, study.search.baselines),
        starts=[*starting_points(study), *memory.starts(study)],
        earlier=memory.told,
        untrained=untrained_families(study),
        drawing=drawing_settings(study),
    )
    ending = Ending(study, ledger, workers=means.workers, gpus=means.gpus_per_trial, store=store)
    asker = Asker(ledger, plan=plan, build=recipe_builder(study), store=store, observer=observer, ending=ending)
    stop = Stop(ledger)
    header = _header(study, plan, asker, ledger, means, where, ending)
    observer.started(replace(header, facts={**header.facts, **({"learned": " ".join(memory.lines)} if memory.lines else {})}))
    refresher = Refresher(lambda: (write or refresh)(ledger), changes=lambda: len(ledger.asked) + len(ledger.records))
    problem: Exception | None = None

    def give_up() -> None:
        observer.stopped(_verdict(ledger, stop, None, command, ending))
        ledger.close()
        os._exit(INTERRUPTED)

    try:
        with stop.on_signals(None if inline else give_up):
            if inline:
                run_inline(asker, store, means, stop)
            else:
                from search.execution.on_ray import run_on_ray

                run_on_ray(asker, store, means, stop)
    except Exception as error:
        problem = error
        raise
    finally:
        try:
            refresher.close()
        except Exception as error:
            problem = problem or error
        observer.stopped(_verdict(ledger, stop, problem, command, ending))
    if problem is not None:
        raise problem
    return _exit_code(ledger, stop, ending)


def recipe_builder(study: Study) -> Build:
    """Fixes the study of `build_recipe`."""
    return partial(build_recipe, study)


def run_inline(asker: Asker, store: Store, means: Means, stop: Callable[[], bool]) -> None:
    """Runs one trial after the other in this process."""
    while not stop():
        asked = asker.ask()
        if isinstance(asked, str):
            assert asked in (FINISHED, WAIT) and not asker.running, "with one trial at a time there is nothing to wait for"
            return
        attempt = Attempt(means.function, Recipe.from_plain(asked.recipe), store.root, device=means.device, threads=means.threads)
        try:
            while not stop():
                item = attempt.pull()
                if isinstance(item, Progress):
                    if (reason := asker.progress(asked.trial, item)) is None:
                        continue
                    attempt.close()
                    asker.prune(asked.trial, reason)
                    break
                if isinstance(item, Halt):
                    raise StoreError(item.message)
                asker.finish(asked.trial, item)
                break
        finally:
            attempt.close()


def refresh(ledger: Ledger) -> None:
    """Writes the Parquet files and the report anew, if the run is still this driver's."""
    from reports.page import write_report
    from reports.tables import write_parquet

    if ledger.lease.is_mine():
        write_parquet(ledger.run)
        write_report(ledger.run)


def _header(study: Study, plan: Plan, asker: Asker, ledger: Ledger, means: Means, where: str, ending: Ending) -> Header:
    stopping, confirmations = study.search.stopping, most(study)
    # A study that goes on after it was judged may have other leaders, whose confirmations come on top.
    confirmed = sum(ledger.asked[number].move == "confirm" for number in ledger.records)
    facts = {"data": _data(study, ledger.run), "where": f"{where}, {means.workers} at once", "report": str(ledger.run / "report.html")}
    if (used := ending.used({})) is not None:
        facts["budget"] = f"{used} used"

    def left(finished: Sequence[tuple[Asked, Record]]) -> Forecast | None:
        own = [took(asked, record) for asked, record in finished]
        ahead = todo(study, own, closed=ending.reason is not None)
        return forecast(study, ahead, own, workers=means.workers, gpus=means.gpus_per_trial)

    return Header(
        study=study.name,
        run=str(ledger.run),
        objectives=[(item.score, item.direction) for item in study.objectives],
        planned=plan.trials + confirmed + confirmations.real + confirmations.leaders + confirmations.twins + confirmations.race,
        bounds=Bounds(stopping.least_results, stopping.least_correlation, stopping.least_low),
        workers=means.workers,
        facts=facts,
        finished=[(ledger.asked[number], record) for number, record in sorted(ledger.records.items())],
        keeps=lambda record: not violation(record, study.limits),
        left=left,
        used=lambda: ending.used(asker.in_flight),
    )


def _data(study: Study, run: Path) -> str:
    """Says what is trained and validated on, in images of the rarest to the commonest class."""
    said = f"{study.data.dataset}, {study.data.size_px} px"
    environment = run / "environment.json"
    if not environment.exists():
        return said
    counts = json.loads(environment.read_text(encoding="utf-8")).get("split_counts", {}).values()
    each = []
    for part, name in (("train", "training"), ("val", "validation"), ("test", "test")):
        numbers = sorted({count[part] for count in counts})
        each += [f"{numbers[0]} to {numbers[-1]} {name}" if len(numbers) > 1 else f"{numbers[0]} {name}"] if numbers else []
    return f"{said}; images of a class: {', '.join(each)}" if each else said


def _verdict(ledger: Ledger, stop: Stop, problem: Exception | None, command: str, ending: Ending) -> str:
    """Says how the run ended, and the line that continues it where it is not done."""
    if problem is not None or stop.reason is not None:
        return f"{stop.reason or 'stopped by an error'}; every finished trial is kept. Continue with: {command}"
    if _exit_code(ledger, stop, ending) == FAILED:
        return f"no trial with synthetic images succeeded. See {ledger.run / 'trials'}/*/error.txt and {ledger.run / 'report.html'}"
    if ending.reason is not None:
        name = ending.reason.partition(":")[0]
        return f"ended early. {ending.reason}. Report: {ledger.run / 'report.html'}\nIt goes on with more: {command} --set {name}=..."
    return f"done. Report: {ledger.run / 'report.html'}"


def _exit_code(ledger: Ledger, stop: Stop, ending: Ending) -> int:
    if stop.reason is not None:
        return INTERRUPTED
    ended = [record for number, record in ledger.records.items() if ledger.asked[number].move not in ("baseline", "confirm")]
    # A budget that ended before the first of them is no failure of theirs.
    return OK if any(record.state == "complete" for record in ended) or (ending.reason is not None and not ended) else FAILED
