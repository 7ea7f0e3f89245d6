"""Killed anywhere and run again, a study ends as one that was never disturbed."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from driving import KILLED, drive, environment, program
from fake_study import POINTS, make_study
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from reports.records import Asked, Record, read_record, trial_folder, trial_numbers


def story(folder: Path) -> dict[int, Any]:
    """What must be equal: parameters, move and scores of each trial."""
    run = make_study(folder).run_folder
    told = {}
    for number in trial_numbers(run):
        asked, record = read_record(trial_folder(run, number), Asked), read_record(trial_folder(run, number), Record)
        assert asked is not None and record is not None
        told[number] = (asked.move, asked.parent, dict(asked.params), record.state, dict(record.scores))
    return told


def assert_once(folder: Path) -> None:
    """Every number has one end, Optuna agrees, and every key was published once."""
    run = make_study(folder).run_folder
    numbers = trial_numbers(run)
    assert numbers == list(range(len(numbers)))
    study = optuna.load_study(study_name="fake", storage=JournalStorage(JournalFileBackend(str(run / "optuna.journal"))))
    assert [trial.user_attrs["trial"] for trial in study.trials] == numbers
    assert all(trial.state.is_finished() for trial in study.trials)
    published = Counter((folder / "store" / "published.txt").read_text(encoding="utf-8").split())
    assert set(published.values()) == {1}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Any]:
    """The study run from beginning to end, in a process of its own as the others."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert drive(folder).returncode == 0
    return story(folder)


def test_killed_at_every_point_in_turn(tmp_path: Path, undisturbed: dict[int, Any]) -> None:
    """One study is killed at each point, each time in a later trial, and ends as if it never was."""
    for trial, point in enumerate(POINTS, start=2):
        assert drive(tmp_path, "--kill", f"{point}:{trial}").returncode == KILLED, point
    end = drive(tmp_path)
    assert end.returncode == 0, end.stderr
    assert story(tmp_path) == undisturbed
    assert_once(tmp_path)
    attempts = [read_record(trial_folder(make_study(tmp_path).run_folder, trial), Record).attempts for trial in range(4, 11)]  # type: ignore[union-attr]
    assert max(attempts) > 1, "no trial was ever begun twice, so nothing was tested"


@pytest.mark.slow
@pytest.mark.parametrize("trial", [0, 1, 5, 8, 11, 12, 15, 17])
@pytest.mark.parametrize("point", POINTS)
def test_killed_once(tmp_path: Path, undisturbed: dict[int, Any], point: str, trial: int) -> None:
    """Each point in baselines, explored, promoted, reused and confirmed trials."""
    died = drive(tmp_path, "--kill", f"{point}:{trial}").returncode
    # A trial that finds its stages ready, or has no generator, does not pass the points in between.
    assert died == KILLED or (died == 0 and point in ("mid-mark", "before done.json", "after done.json"))
    assert drive(tmp_path).returncode == 0
    assert story(tmp_path) == undisturbed
    assert_once(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random(tmp_path: Path, undisturbed: dict[int, Any], seed: int) -> None:
    """Killed from outside, again and again, at moments that nobody chose."""
    rng = random.Random(seed)
    for _ in range(8):
        with subprocess.Popen(
            program(tmp_path), env=environment(FAKE_PAUSE_S="0.1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            time.sleep(rng.uniform(0.4, 1.6))
            process.kill()
    assert drive(tmp_path).returncode == 0
    assert story(tmp_path) == undisturbed
    assert_once(tmp_path)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("point", ["after asked.json", "mid-mark", "before done.json", "after done.json", "after record.json", "after tell"])
def test_two_workers_killed_on_ray(tmp_path: Path, ray_folder: Path, point: str) -> None:
    """The driver, or a worker of two, is killed: the same set of numbers, one end each, one publish per key."""
    options = ("--ray", "--workers", "2")
    in_worker = point in ("mid-mark", "before done.json", "after done.json")
    first = drive(tmp_path, *options, "--kill", point if in_worker else f"{point}:6", ray_folder=ray_folder)
    assert first.returncode == (0 if in_worker else KILLED), first.stderr
    if not in_worker:
        last = drive(tmp_path, *options, ray_folder=ray_folder)
        assert last.returncode == 0, last.stderr
    assert len(story(tmp_path)) == 18
    assert_once(tmp_path)


@pytest.mark.ray
def test_ray_agrees_with_this_process(tmp_path: Path, ray_folder: Path, undisturbed: dict[int, Any]) -> None:
    """One worker on Ray, killed in the middle of a trial, gives the numbers of the inline run."""
    end = drive(tmp_path, "--ray", "--kill", "before done.json", ray_folder=ray_folder)
    assert end.returncode == 0, end.stderr
    assert not (tmp_path / "kill.json").exists(), "no worker was killed, so nothing was tested"
    assert story(tmp_path) == undisturbed
    assert_once(tmp_path)


@pytest.mark.ray
@pytest.mark.slow
def test_one_worker_on_ray_whose_driver_is_killed(tmp_path: Path, ray_folder: Path, undisturbed: dict[int, Any]) -> None:
    """The same, the driver being killed instead."""
    assert drive(tmp_path, "--ray", "--kill", "after record.json:7", ray_folder=ray_folder).returncode == KILLED
    end = drive(tmp_path, "--ray", ray_folder=ray_folder)
    assert end.returncode == 0, end.stderr
    assert story(tmp_path) == undisturbed
    assert_once(tmp_path)


@pytest.mark.ray
@pytest.mark.slow
def test_a_driver_whose_ray_is_ended_with_it_still_says_how_to_continue(tmp_path: Path, ray_folder: Path, undisturbed: dict[int, Any]) -> None:
    """SIGTERM to the whole process group, as `timeout` and batch systems send it, takes Ray away from under the driver."""
    tmp_path.mkdir(exist_ok=True)
    driver = subprocess.Popen(
        program(tmp_path, "--ray"), env=environment(ray_folder, FAKE_PAUSE_S="3"), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    run = make_study(tmp_path).run_folder
    while driver.poll() is None and not trial_folder(run, 4).exists():
        time.sleep(0.2)
    os.killpg(driver.pid, signal.SIGTERM)
    said, _ = driver.communicate(timeout=90)
    assert driver.returncode == 130 and "Continue with" in said
    assert drive(tmp_path).returncode == 0
    assert story(tmp_path) == undisturbed
