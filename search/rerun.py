"""Runs one trial of a run again, in this process, and holds what comes out beside what was recorded. Called by the command line.

Nothing of the run is touched. The trial's recipe is read from its `asked.json`; its images come from the run's store, and so do finished stages,
unless all are to be made anew in a store of their own. What the run has not got in its store is published there, as by the trial itself.
"""

import pdb
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reports.records import Asked, Record, read_record, trial_folder, trial_numbers
from search.execution.driver import TRIAL_FUNCTION
from search.runs.lease import RunError
from search.studies.study import Study
from search.studies.study_file import load_study
from trainables.progress import Progress, Scores
from trainables.recipe import Recipe
from trainables.registry import resolve
from trainables.store import Store

CLOCKS = ("_s", "_ms", "_ms_p50", "_ms_p95", "_ms_per_image", "_per_second", "memory_gib")
"""Ends of names of what is measured by the clock or of the machine, and differs from one time to the next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One score of a trial, as it was recorded and as it came out now."""

    score: str
    recorded: float | None
    now: float | None

    @property
    def is_equal(self) -> bool:
        """Whether the two are the same number."""
        return self.recorded == self.now


@dataclass(frozen=True, kw_only=True, slots=True)
class Rerun:
    """What came out."""

    differences: tuple[Difference, ...]
    """Every score but those of the clock; empty where nothing was recorded."""
    recorded: str
    """How the trial had ended: complete, pruned, failed with its reason, or not at all."""
    reused: int
    """Stages that were found."""
    made: int
    """Stages that were made."""


def rerun(run: Path, number: int, *, anew: bool, debug: bool, device: str, say: Callable[[str], None]) -> Rerun:
    """Runs a trial again.

    Args:
        run: the run's folder.
        number: of the trial.
        anew: True makes all stages again, beside the store, and leaves nothing behind.
        debug: True stops in a debugger where something goes wrong.
        device: a torch device name.
        say: is told which stage is at work.

    Raises:
        RunError: there is no such run or trial.
        StoreError, BadInput, TrialFailure: as the trial itself, with all of its traceback.
    """
    study, asked, record = _read(run, number)
    with _store(study, anew=anew) as store:
        # Equal threads give equal numbers.
        threads = int(record.conditions.get("threads", 1)) if record is not None else 1
        items = resolve(TRIAL_FUNCTION)(Recipe.from_plain(asked.recipe), store, device=device, threads=threads)
        try:
            end = _last(items, say)
        except Exception:
            if debug:
                pdb.post_mortem(sys.exc_info()[2])
            raise
    known: Mapping[str, float | None] = record.scores if record is not None else {}
    names = [name for name in known if not name.endswith(CLOCKS)]
    return Rerun(
        differences=tuple(Difference(score=name, recorded=known[name], now=end.values.get(name)) for name in names),
        recorded=_ending(record),
        reused=sum(stage.reused for stage in end.stages),
        made=sum(not stage.reused for stage in end.stages),
    )


def _read(run: Path, number: int) -> tuple[Study, Asked, Record | None]:
    """Reads the study and the trial.

    Raises:
        RunError: there is no such trial.
    """
    asked = read_record(trial_folder(run, number), Asked)
    if asked is None:
        numbers = trial_numbers(run)
        there = f"there are trials {numbers[0]} to {numbers[-1]}" if numbers else "it has no trials yet"
        raise RunError(f"{run}: no trial {number}; {there}.")
    return load_study(run / "study.yaml"), asked, read_record(trial_folder(run, number), Record)


def _last(items: Iterator[Progress | Scores], say: Callable[[str], None]) -> Scores:
    """Pulls a trial to its end."""
    stage = ""
    for item in items:
        if isinstance(item, Scores):
            return item
        if item.stage != stage:
            stage = item.stage
            say(f"unit {item.unit}: {stage}")
    raise AssertionError("a trial ends with its scores")


@contextmanager
def _store(study: Study, *, anew: bool) -> Iterator[Store]:
    """Opens the run's store; or an empty one that has the data set's images, and goes in the end."""
    if not anew:
        yield Store(study.storage.store)
        return
    from trainables.datasets.packs import pack_dataset

    with tempfile.TemporaryDirectory(prefix="tundish-rerun-") as folder:
        store = Store(folder)
        fingerprint, _ = pack_dataset(study.data, store)
        if study.resolved is not None and fingerprint != study.resolved.fingerprint:
            raise RunError(
                f"{study.data.path or study.data.dataset}: the images are not those that the run began with.\n  Put them back as they were."
            )
        yield store


def _ending(record: Record | None) -> str:
    if record is None:
        return "it has not ended"
    return f"failed: {record.failure}" if record.state == "failed" else record.state
