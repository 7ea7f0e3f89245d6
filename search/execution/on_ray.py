"""Runs trials with Ray Tune: warm, reused actors, as many at once as the means allow. Imported only where Ray is used."""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from search.asker import Asker
from trainables.store import Store

if TYPE_CHECKING:
    from search.execution.driver import Means

TUNE_SETTINGS = {
    # Results are texts for the asker; loggers would write five files a trial and keep every trial in memory.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # A result carries an item, and no metric that Tune could check.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Ctrl-C is the runner's.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Tune's old console honours verbose=0; the console is ours.
    "RAY_AIR_NEW_OUTPUT": "0",
    # A trial that works on for longer after a request to stop is ended; what it has published stays.
    "TUNE_FORCE_TRIAL_CLEANUP_S": "10",
    # Snapshots of the experiment are never read.
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
}


LOG = "ray.log"
"""What Tune says of workers that died, traceback and all; the console says it in a line."""


class _Log(logging.FileHandler):
    """Writes a log file where that is possible; a run does not end because its log cannot be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Adds an entry."""
        with contextlib.suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Leaves an entry out."""


def _log_errors(path: Path) -> None:
    """Sends what Tune says into a file."""
    logger = logging.getLogger("ray.tune")
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    for handler in [handler for handler in logger.handlers if isinstance(handler, _Log)]:
        logger.removeHandler(handler)
        handler.close()
    logger.addHandler(_Log(path))


def run_on_ray(asker: Asker, store: Store, means: "Means", stop: Callable[[], bool]) -> None:
    """Runs trials until none is left or `stop` says so. Ray is connected already.

    Raises:
        Exception: whatever the asker raised, once all actors have ended.
    """
    os.environ.update(TUNE_SETTINGS)
    from ray import tune

    from search.execution.searcher import RecordSearcher, RungScheduler, StopWhen
    from search.execution.worker import Worker

    _log_errors(asker.folder / LOG)
    settings = {"function": means.function, "store": store.root, "device": means.device, "threads": means.threads}
    searcher = RecordSearcher(asker, settings)
    resources = {"cpu": float(means.threads), **({"gpu": means.gpus_per_trial} if means.gpus_per_trial else {})}
    scratch = tempfile.mkdtemp(prefix="tundish-tune-")
    try:
        tune.Tuner(
            tune.with_resources(Worker, resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=RungScheduler(searcher),
                num_samples=-1,
                reuse_actors=True,
                max_concurrent_trials=means.workers,
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=tune.RunConfig(
                name="study",
                storage_path=scratch,
                verbose=0,
                # Looking whether to stop reads the run's folder, which may fail too.
                stop=StopWhen(lambda: bool(searcher.guarded(stop)) or searcher.problem is not None),
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False, checkpoint_frequency=0),
            ),
        ).fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if searcher.problem is not None:
        raise searcher.problem
