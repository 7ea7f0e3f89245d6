"""A study under chaos ends as one that was never disturbed.

Which equality can be asked for: what is suggested depends on the records that are known at that moment, and on nothing else. With one worker these
are the same in every life, so a disturbed study must equal an undisturbed one trial by trial: move, reason, parent, settings, state, failure, scores,
rungs and stages. With two workers the order in which trials end differs from run to run, killed or not, and with it what is known when the next is
asked. Then there must be the same numbers, each ended once, each with the end that its recipe has in any store; and each suggestion must be the one
that a study makes that knows what was known then.
"""

import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from judging import (
    KILLED,
    REFUSED,
    assert_ended_well,
    assert_scores_are_those_of_the_recipes,
    assert_suggestions_follow_from_records,
    assert_whole,
    story,
)
from lives import Folder, Life, Nursery, Program, environment

from search.runs.index import JOURNAL

STUDY = """
study: chaos
seed: 5
data: {{size_px: 32, procedural: {{per_class: 12, defect_free: 6}}}}
space:
  generator.family: [dcgan, wgan_gp]
  inspector.kind: [mobilenet_v2, resnet18]
objectives: {{val_accuracy: maximize, val_kid: minimize}}
scores: {{extractor: random}}
search:
  trials: {trials}
  marks: [2, 4]
  baselines: [plain]
  confirm: {{top: 2, seeds: 2}}
  stopping: {{least_results: 3}}
resources: {{precision: fp32, workers: {workers}, cpus_per_trial: 1}}
"""

STORE_FAULTS: dict[str, dict[str, Any]] = {
    "failing for moments": {"failing": 0.15, "moments": 3, "slow_s": 0.02},
    "failing though done": {"failing": 0.15, "moments": 2, "arrives": True},
    "torn write": {"after": 30, "torn_write": 4},
    "torn publication": {"after": 30, "torn_write": 1, "torn_name": "done.json"},
    "full": {"after": 30, "room_bytes": 30_000},
    "fuller": {"after": 30, "room_bytes": 700},
    "read-only": {"after": 40, "read_only": True},
    "broken": {"after": 45, "broken": True},
}
RUN_FAULTS: dict[str, dict[str, Any]] = {
    "run folder failing for moments": {"failing": 0.2},
    "run folder read-only": {"after": 14, "read_only": True},
    "run folder cut off": {"file_bytes": 0},
}
PAUSE_S = 0.02
"""Of every step of a training, so that there are moments to be killed in."""

Strike = Callable[[Life], None]


class Killer:
    """Lives through one study: each life is told what goes wrong and what strikes it, and is looked into after its death."""

    def __init__(self, folder: Folder, begin: Callable[[list[str], dict[str, str], Path], Life], *options: str, **known: str) -> None:
        self.folder, self._begin, self._options, self._known = folder, begin, options, known
        self.kills: Counter[str] = Counter()
        self.codes: Counter[int] = Counter()
        self._published: dict[str, str] = {}

    def live(
        self,
        strike: Strike = lambda life: None,
        *,
        kind: str | None = None,
        faulty: bool = True,
        seed: int = 0,
        pause_s: float = PAUSE_S,
        tries: int = 3,
    ) -> int:
        """Begins a life, lets it be struck, and gives its exit code. A machine that was too busy to start Ray is asked again."""
        faults, run = dict(STORE_FAULTS.get(kind or "", {})), dict(RUN_FAULTS.get(kind or "", {}))
        if "file_bytes" in run:
            journal = self.folder.run / JOURNAL
            run["file_bytes"] = max(25_000, journal.stat().st_size + 1000 if journal.exists() else 0)
        elif run:
            run["seed"] = seed
        known = self._known | {"CHAOS_FAULTS": json.dumps(faults | {"seed": seed}), "CHAOS_RUN": json.dumps(run), "CHAOS_PAUSE_S": str(pause_s)}
        before = self.folder.log.stat().st_size if self.folder.log.exists() else 0
        deaths = len(self.folder.told("deaths.txt"))
        life = self._begin(self.folder.words(*self._options, faulty=faulty), environment(self.folder.root, **known), self.folder.log)
        try:
            strike(life)
            code = life.end()
        finally:
            life.kill()
        self.kills["in a write"] += len(self.folder.told("deaths.txt")) - deaths
        self.codes[code] += 1
        log = self.folder.log.read_bytes()[before:].decode(errors="replace")
        if code == REFUSED and "Ray did not start on this machine" in log and tries > 1:
            return self.live(strike, kind=kind, faulty=faulty, seed=seed, pause_s=pause_s, tries=tries - 1)
        assert_ended_well(code, log)
        now = self.folder.publications()
        assert all(now.get(key) == attempt for key, attempt in self._published.items()), "what is stored under a key never changes"
        self._published = now
        return code

    def wait(self, life: Life, ends: int, wait_s: float) -> bool:
        """Waits until so many more trials have ended, and a moment longer, but for no further trial: on a fast machine a moment may be many. Says
        whether the life is still there."""
        wanted = self.folder.ended() + ends
        while life.code() is None and self.folder.ended() < wanted:
            time.sleep(0.01)
        moment = time.monotonic() + wait_s
        while life.code() is None and self.folder.ended() <= wanted and time.monotonic() < moment:
            time.sleep(0.01)
        return life.code() is None

    def kill_driver(self, life: Life, label: str = "driver") -> None:
        """Kills the driver, if it lives."""
        if life.code() is None:
            life.kill()
            self.kills[label] += life.end() == KILLED

    def kill_worker(self, life: Life, rng: random.Random) -> None:
        """Kills a worker, as soon as there is one, and no running trial is failed for having lost too many."""
        while life.code() is None:
            workers = self.folder.workers()
            if workers and not self.folder.is_endangered():
                self.kills["worker"] += _kill(rng.choice(workers))
                return
            time.sleep(0.05)


def _kill(process: int) -> bool:
    """Kills a process that was alive a moment ago; says whether it still was."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
        return True
    return False


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    opened = Nursery(Folder(tmp_path_factory.mktemp("nursery"), STUDY.format(trials=4, workers=1)))
    yield opened
    opened.close()


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("trials", "kills", "troubles"), [(8, 4, 3), (40, 20, len(STORE_FAULTS) + len(RUN_FAULTS))])
def test_a_study_under_chaos_ends_as_an_undisturbed_one(tmp_path: Path, nursery: Nursery, trials: int, kills: int, troubles: int) -> None:
    """One worker, in the driver's process: the very same records."""
    text, rng = STUDY.format(trials=trials, workers=1), random.Random(trials)
    calm = Folder(tmp_path / "calm", text)
    assert Killer(calm, nursery.bear, "--inline").live(faulty=False, pause_s=0.0) == 0
    assert_whole(calm)
    wanted = story(calm.records())
    assert len(wanted) >= trials and (trials < 40 or {state for _, state, *_ in wanted.values()} == {"complete", "pruned", "failed"})

    folder = Folder(tmp_path / "chaos", text)
    killer = Killer(folder, nursery.bear, "--inline")
    lives: list[str | None] = [*rng.sample([*STORE_FAULTS, *RUN_FAULTS], troubles), *[None] * kills]
    rng.shuffle(lives)
    for left, kind in zip(range(len(lives), 0, -1), lives, strict=True):
        # Where something fails by itself, the kill is only for a life that it did not end. Each life leaves some trials to those after it.
        ends, wait_s = (3, 0.0) if kind else (rng.choice([0, 0, 1, 1, 2]), rng.uniform(0.05, 0.6))
        ends = min(ends, (len(wanted) - folder.ended()) // left)

        def strike(life: Life, ends: int = ends, wait_s: float = wait_s) -> None:
            killer.wait(life, ends, wait_s)
            killer.kill_driver(life)

        code = killer.live(strike, kind=kind, faulty=kind in STORE_FAULTS or rng.random() < 0.7, seed=rng.randrange(10**6))
        assert code != 0, "the study was over before the chaos was"
    assert killer.kills["driver"] >= kills
    assert killer.live(pause_s=0.0) == 0
    assert_whole(folder)
    found = folder.records()
    assert story(found) == wanted
    assert_suggestions_follow_from_records(folder.run, found)
    print(f"kills {dict(killer.kills)}, exit codes {dict(killer.codes)}, {len(wanted)} trials")


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("trials", "rounds"), [(12, [1, 1]), (40, [5, 4, 4, 3])])
def test_two_workers_on_ray_under_chaos(tmp_path: Path, ray_folder: Path, monkeypatch: pytest.MonkeyPatch, trials: int, rounds: list[int]) -> None:
    """Workers are killed so often in each life, then the driver, or both; every second life has a store that fails besides."""
    folder, rng = Folder(tmp_path / "chaos", STUDY.format(trials=trials, workers=2)), random.Random(trials)

    def begin(words: list[str], known: dict[str, str], log: Path) -> Life:
        return Program(words, known, log)

    killer = Killer(folder, begin, RAY_TMPDIR=str(ray_folder))
    for position, strikes in enumerate(rounds):

        def strike(life: Life, position: int = position, strikes: int = strikes) -> None:
            for _ in range(strikes):
                if killer.wait(life, 1, rng.uniform(0.0, 0.4)):
                    killer.kill_worker(life, rng)
            if killer.wait(life, 1, rng.uniform(0.0, 0.4)):
                if position % 2:
                    killer.kills["both"] += sum(map(_kill, folder.workers()))
                killer.kill_driver(life, "both" if position % 2 else "driver")

        assert killer.live(strike, kind="failing for moments" if position % 2 else None, seed=rng.randrange(10**6)) != 0
    for kind in ("full", "read-only"):
        assert killer.live(lambda life: None, kind=kind, faulty=True) == 1
    assert killer.live() == 0
    assert sum(killer.kills.values()) >= sum(rounds) + len(rounds) and min(killer.kills[label] for label in ("worker", "driver", "both")) > 0
    assert_whole(folder)
    assert "its worker process died (1 of 3); the trial is run again" in folder.log.read_text(encoding="utf-8", errors="replace")
    found = folder.records()
    monkeypatch.setenv("CHAOS_NOTES", str(folder.root))
    assert_scores_are_those_of_the_recipes(found)
    assert_suggestions_follow_from_records(folder.run, found)
    print(f"kills {dict(killer.kills)}, exit codes {dict(killer.codes)}, {len(found)} trials")
