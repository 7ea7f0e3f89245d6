import errno
import gc
import math
import os
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from fake_study import make_study

from search.asker import Failure
from search.execution.attempt import Attempt, Halt, from_json, to_json
from search.studies.recipes import baseline_params, build_recipe
from trainables.errors import DatasetError, SettingsError, StoreError, TrialFailure
from trainables.progress import Progress, Scores, StageUse

SCORES = Scores(
    values={"val_accuracy": 0.5},
    units=[{"val_accuracy": 0.5}],
    confusion={"val": [[1, 0], [0, 1]]},
    classes=["a", "b"],
    conditions={"extractor": "random"},
    stages=[StageUse(unit=0, stage="inspector", key="k", reused=False, seconds=1.0, device="cpu")],
)

Attempting = Callable[..., Attempt]


@pytest.fixture
def attempting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attempting:
    """Makes an attempt at a trial that yields the given items, or raises the given errors."""

    def make(*items: Any) -> Attempt:
        def trial(recipe: Any, store: Any, *, device: str, threads: int) -> Iterator[Any]:
            for item in items:
                if isinstance(item, Exception):
                    raise item
                yield item() if callable(item) else item

        module = types.ModuleType("a_trial")
        module.run = trial  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "a_trial", module)
        study = make_study(tmp_path)
        recipe = build_recipe(study, baseline_params(study.space, ("plain",))[0])
        return Attempt("a_trial:run", recipe, str(tmp_path / "store"), device="cpu", threads=1)

    return make


def test_items_come_one_by_one(attempting: Attempting) -> None:
    attempt = attempting(Progress(stage="data"), SCORES)
    assert [attempt.pull(), attempt.pull()] == [Progress(stage="data"), replace(SCORES, stored_bytes=0)]


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


@pytest.mark.parametrize(
    ("error", "name", "says"),
    [
        (TrialFailure("collapsed", "all images are equal"), "collapsed", "all images are equal"),
        (DatasetError("one class only"), "bad_data", "one class only"),
        (MemoryError(), "out_of_memory", "MemoryError"),
        (OutOfMemoryError("tried to allocate 2 GiB"), "out_of_memory", "tried to allocate 2 GiB"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out_of_memory", "allocate"),
        (SettingsError("a mark beyond the horizon"), "error", "a mark beyond the horizon"),
        (ZeroDivisionError("division by zero"), "error", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_goes_wrong_has_a_name(attempting: Attempting, error: Exception, name: str, says: str) -> None:
    end = attempting(Progress(stage="data"), error)
    end.pull()
    failure = end.pull()
    assert isinstance(failure, Failure) and failure.name == name and says in failure.message
    assert failure.traceback is not None and type(error).__name__ in failure.traceback


def test_a_store_that_cannot_be_written_is_no_fault_of_the_trial(attempting: Attempting) -> None:
    assert attempting(StoreError("store/x: cannot be written (No space left on device)")).pull() == Halt(
        message="store/x: cannot be written (No space left on device)"
    )


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_what_the_machine_refuses_is_no_fault_of_the_trial(attempting: Attempting, code: int) -> None:
    halt = attempting(OSError(code, os.strerror(code), "/tmp/x")).pull()
    assert isinstance(halt, Halt) and halt.message.startswith(f"/tmp/x: {os.strerror(code)}") and "run the same command again" in halt.message
    other = attempting(OSError(errno.ENOENT, os.strerror(errno.ENOENT), "/tmp/x")).pull()
    assert isinstance(other, Failure) and other.name == "error"


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_rung_score_that_is_no_number_is_none(attempting: Attempting, score: float) -> None:
    assert attempting(Progress(stage="rung", rung_score=score)).pull() == Progress(stage="rung", rung_score=None)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_number_that_is_not_finite_ends_the_trial_at_once(attempting: Attempting, loss: float) -> None:
    reached = []
    attempt = attempting(Progress(stage="generator", metrics={"loss": loss}), lambda: reached.append(True))
    failure = attempt.pull()
    assert isinstance(failure, Failure) and failure.name == "diverged" and "not a finite number, in stage generator" in failure.message
    attempt.pull()
    assert not reached


def test_a_trial_that_says_nothing_at_its_end_has_failed(attempting: Attempting) -> None:
    failure = attempting().pull()
    assert isinstance(failure, Failure) and failure.name == "error" and "without scores" in failure.message


def test_a_failed_trial_holds_no_memory(attempting: Attempting) -> None:
    class Tensor:
        pass

    kept: list[weakref.ref[Tensor]] = []

    def fail() -> None:
        big = Tensor()
        kept.append(weakref.ref(big))
        raise RuntimeError("CUDA out of memory")

    attempt = attempting(fail)
    assert isinstance(attempt.pull(), Failure)
    gc.collect()
    assert kept[0]() is None


@pytest.mark.parametrize(
    "item",
    [
        Progress(stage="rung", metrics={"loss": 0.5}, stages=SCORES.stages),
        SCORES,
        Failure(name="error", message="m", traceback="t"),
        Halt(message="m"),
    ],
)
def test_items_travel_as_text(item: Any) -> None:
    back = from_json(to_json(item))
    assert type(back) is type(item) and asdict(back) == asdict(item)
