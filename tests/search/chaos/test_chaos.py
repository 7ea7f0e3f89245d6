"""A study under chaos ends as one that was never disturbed.

Which equality can be asked for: what is suggested depends on the records that are known at that moment, and on nothing else. With one worker these
are the same in every life, so a disturbed study must equal an undisturbed one trial by trial: move, reason, parent, settings, state, failure, scores,
rungs and stages. With two workers the order in which trials end differs from run to run, killed or not. Then each trial that was asked must have
ended once, with the scores that its recipe has by the formula of these trials, and so in any run; and as many trials must have been asked.
"""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from lives import Folder, Life, Nursery, environment
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from reports.records import Asked, Record
from search.runs.index import JOURNAL, Index
from search.runs.status import summarize
from search.studies.study_file import load_study
from trainables.cleaning import clean
from trainables.store import Store

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
KILLED = -signal.SIGKILL
REFUSED = 1
"""Exit code of a life that ended with one message."""

STORE_FAULTS: dict[str, dict[str, Any]] = {
    "failing for moments": {"failing": 0.15, "moments": 3, "slow_s": 0.02},
    "failing though done": {"failing": 0.15, "moments": 2, "arrives": True},
    "torn write": {"after": 30, "torn_write": 4},
    "torn publication": {"after": 30, "torn_write": 9},
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


def story(records: dict[int, tuple[Asked, Record]]) -> dict[int, Any]:
    """What must be equal of each trial: all but times, attempts and whether a stage was found ready."""
    told = {}
    for number, (asked, record) in records.items():
        stages = [(stage["unit"], stage["stage"], stage["key"], stage["seconds"]) for stage in record.stages]
        suggested = (asked.move, asked.reason, asked.parent, dict(asked.params))
        told[number] = (suggested, record.state, record.failure, record.message, dict(record.scores), dict(record.rungs), stages)
    return told


def assert_whole(folder: Folder, log: str) -> None:
    """Every trial has one end, Optuna agrees, nothing was published twice, and what is left over can be cleaned away."""
    assert "Traceback" not in log, log[log.index("Traceback") :][:4000]
    records = folder.records()
    assert sorted(records) == list(range(len(records)))
    summary = summarize(folder.run)
    assert summary["state"] == "finished" and sum(summary["trials"].values()) + summary["confirmations"] >= len(records)
    study = load_study(folder.run / "study.yaml")
    index = Index(folder.run, name=study.name, goals=study.objectives, space=study.space, limits=study.limits)
    asked = {number: pair[0] for number, pair in records.items()}
    assert not index.sync(asked, {number: pair[1] for number, pair in records.items()}), "the journal is what the records say"
    journal = optuna.load_study(study_name="chaos", storage=JournalStorage(JournalFileBackend(str(folder.run / JOURNAL))))
    assert [trial.user_attrs["trial"] for trial in journal.trials] == list(records) and all(trial.state.is_finished() for trial in journal.trials)
    assert folder.told("twice.txt") == [], "a key was published twice"
    store = Store(folder.store)
    used = {
        f"{'generator/' if stage['stage'] == 'generator' else stage['stage'] + '/'}{stage['key']}"
        for _, record in records.values()
        for stage in record.stages
    }
    entries = {f"{entry.stage}/{entry.key}": entry for entry in store.entries()}
    assert used <= set(entries)
    clean(store, young_s=0.0)
    for name, entry in entries.items():
        assert entry.is_whole(), name
        attempts = [path.name for path in (folder.store / name).iterdir() if path.is_dir()]
        assert attempts == [entry.attempt], f"{name}: what nobody names was not cleaned away"
    assert clean(store, young_s=0.0).size_bytes == 0


def assert_ended_well(code: int, log: str) -> None:
    """A life was killed, or came to its end, or was ended by what failed, with a message that says where, why and how to go on."""
    assert code in (0, KILLED, REFUSED), (code, log)
    assert "Traceback" not in log, log
    if code == REFUSED:
        error = log[log.rindex("error: ") :]
        assert "cannot be " in error and str(os.sep) in error and "again" in error, log


class Killer:
    """Lives through one study: each life is told what goes wrong and when it is killed, and is looked into after its death."""

    def __init__(self, folder: Folder, begin: Callable[[list[str], dict[str, str], Path], Life], *options: str) -> None:
        self.folder, self._begin, self._options = folder, begin, options
        self.kills: Counter[str] = Counter()
        self.codes: Counter[int] = Counter()
        self._published: dict[str, str] = {}

    def live(self, *, faults: dict[str, Any], run: dict[str, Any], faulty: bool, during: Callable[[Life], None], pause_s: float) -> int:
        """Begins a life and lets `during` have its way with it; gives its exit code."""
        known = {"CHAOS_FAULTS": json.dumps(faults), "CHAOS_RUN": json.dumps(run), "CHAOS_PAUSE_S": str(pause_s)}
        before = self.folder.log.stat().st_size if self.folder.log.exists() else 0
        deaths = len(self.folder.told("deaths.txt"))
        life = self._begin(self.folder.words(*self._options, faulty=faulty), environment(self.folder.root, **known), self.folder.log)
        during(life)
        code = life.end()
        if len(self.folder.told("deaths.txt")) > deaths:
            self.kills["in a write"] += len(self.folder.told("deaths.txt")) - deaths
        elif code == KILLED:
            self.kills["driver"] += 1
        self.codes[code] += 1
        assert_ended_well(code, self.folder.log.read_text(encoding="utf-8", errors="replace")[before:])
        now = self.folder.publications()
        assert all(now.get(key) == attempt for key, attempt in self._published.items()), "what is stored under a key never changes"
        self._published = now
        return code

    def after(self, ends: int, wait_s: float) -> Callable[[Life], None]:
        """Kills a driver so long after so many more trials have ended."""

        def during(life: Life) -> None:
            wanted, deadline = self.folder.ended() + ends, time.monotonic() + 60
            while life.code() is None and self.folder.ended() < wanted and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(wait_s)
            life.kill()

        return during


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    opened = Nursery(tmp_path_factory.mktemp("nursery"))
    yield opened
    opened.close()


def undisturbed(folder: Folder, nursery: Nursery) -> dict[int, Any]:
    """Runs a study from beginning to end, on a plain disk."""
    known = environment(folder.root, CHAOS_FAULTS="{}", CHAOS_RUN="{}", CHAOS_PAUSE_S="0")
    code = nursery.bear(folder.words("--inline", faulty=False), known, folder.log).end()
    log = folder.log.read_text(encoding="utf-8")
    assert code == 0, log
    assert_whole(folder, log)
    return story(folder.records())


def chaos(folder: Folder, nursery: Nursery, rng: random.Random, *, kills: int, troubles: int) -> Killer:
    """Kills a study so often, and lets something fail in so many more of its lives, in an order that the generator draws."""
    killer = Killer(folder, nursery.bear, "--inline")
    kinds = [*STORE_FAULTS, *RUN_FAULTS]
    rng.shuffle(kinds)
    lives: list[str | None] = [*kinds[:troubles], *[None] * kills]
    rng.shuffle(lives)
    while lives:
        kind = lives.pop()
        faults, run = dict(STORE_FAULTS.get(kind or "", {})), dict(RUN_FAULTS.get(kind or "", {}))
        if "file_bytes" in run:
            journal = folder.run / JOURNAL
            run["file_bytes"] = max(25_000, journal.stat().st_size + rng.randrange(200, 2500) if journal.exists() else 0)
        if kind in STORE_FAULTS:
            faults["seed"] = rng.randrange(10**6)
        # Where something fails by itself, the kill is only for a life that it did not end.
        ends, wait_s = (3, 0.0) if kind else (rng.choice([0, 0, 1, 1, 2]), rng.uniform(0.05, 0.6))
        before = sum(killer.kills.values())
        faulty = kind in STORE_FAULTS or rng.random() < 0.7
        code = killer.live(faults=faults, run=run, faulty=faulty, during=killer.after(ends, wait_s), pause_s=0.02)
        assert code != 0, "the study was over before the chaos was"
        if kind is None and sum(killer.kills.values()) == before:
            lives.append(None)  # It ended by itself, so it does not count.
    return killer


@pytest.mark.parametrize(
    ("seed", "trials", "kills", "troubles"),
    [(2, 8, 4, 3), (1, 40, 20, len(STORE_FAULTS) + len(RUN_FAULTS))],
)
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_under_chaos_ends_as_an_undisturbed_one(tmp_path: Path, nursery: Nursery, seed: int, trials: int, kills: int, troubles: int) -> None:
    """One worker, in the driver's process: the very same records."""
    text = STUDY.format(trials=trials, workers=1)
    wanted = undisturbed(Folder(tmp_path / "calm", text), nursery)
    assert len(wanted) >= trials and (trials < 40 or {state for _, state, *_ in wanted.values()} == {"complete", "pruned", "failed"})
    folder = Folder(tmp_path / "chaos", text)
    killer = chaos(folder, nursery, random.Random(seed), kills=kills, troubles=troubles)
    assert sum(killer.kills.values()) >= kills and killer.kills["driver"] >= kills
    assert killer.live(faults={}, run={}, faulty=True, during=lambda life: None, pause_s=0.0) == 0
    assert_whole(folder, folder.log.read_text(encoding="utf-8", errors="replace"))
    assert story(folder.records()) == wanted
    print(f"kills {dict(killer.kills)}, exit codes {dict(killer.codes)}, {len(wanted)} trials")
