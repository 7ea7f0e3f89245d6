"""A study that learns from an earlier one, run from beginning to end: what it is told, what it keeps, and that no foreign trial counts as its own."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fake_study import Silent
from small_study import small_study

from reports.records import Asked, Record, read_record, trial_folder, trial_numbers
from reports.run import read_run
from search.execution.driver import INTERRUPTED, OK
from search.memory.remembered import FILE, Memory, content_hash, read_memory
from search.moves import Moves, Plan, starting_points
from search.runner import dry_run, run_study
from search.runs.ledger import request_stop
from search.studies.recipes import baseline_params
from search.studies.study import StudyError
from search.studies.study_file import load_study, parse_study

STUDY = small_study("trials: 9, marks: [2, 4], confirm: {top: 0}", name="first")
SECOND = ("study=second", "search.warm_start=[runs/first]")
Running = Callable[..., int]


class Told(Silent):
    """Remembers what it was told; may stop a run when a trial is handed out."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.header: Any = None
        self._stop_at = stop_at

    def started(self, header: Any) -> None:
        self.header = header

    def asked(self, asked: Asked) -> None:
        if asked.trial == self._stop_at:
            request_stop(Path("runs/second"))


def run(*sets: str, observer: Any = None) -> int:
    study = parse_study(STUDY, "s.yaml", sets, thorough=True)
    return run_study(study, inline=True, observer=observer or Told(), command="tundish run s.yaml", function="fake_study:run_fake")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the first study has run."""
    folder = tmp_path_factory.mktemp("memory")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run() == OK
    return folder


@pytest.fixture
def here(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    shutil.copytree(first, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setattr("search.execution.driver.LOOK_S", 0.0)
    return tmp_path / "copy"


def asked(name: str = "second") -> list[Asked]:
    found = [read_record(trial_folder(Path("runs") / name, number), Asked) for number in trial_numbers(Path("runs") / name)]
    return [item for item in found if item is not None]


def memory(name: str = "second") -> Memory:
    return read_memory(load_study(f"runs/{name}/study.yaml"), Path("runs") / name)


def moves_of(name: str = "second") -> Moves:
    """What the search of a run knew before its first trial."""
    study, known = load_study(f"runs/{name}/study.yaml"), memory(name)
    plan = Plan(study=study, baselines=baseline_params(study.space, ("plain",)), starts=starting_points(study), earlier=known.told)
    return Moves(plan)


def test_numbers_of_equal_images_are_told_and_count_nowhere(here: Path) -> None:
    told = Told()
    assert run(*SECOND, observer=told) == OK
    known = memory()
    own = asked("first")
    searched = [item for item in own if item.move not in ("baseline", "confirm")]
    assert [item.trial for item in known.told] == [item.trial for item in searched] and {item.use for item in known.trials} == {"told"}
    for item, there in zip(known.told, searched, strict=True):
        record = read_record(trial_folder(Path("runs/first"), there.trial), Record)
        assert record is not None and item.params == there.params
        assert item.scores == {name: record.scores[name] for name in ("val_accuracy", "val_kid_random")}
        assert item.keys and item.generator_s and item.rest_s is not None
    line = f"runs/first: learned from {len(searched)} trials as they are (same images, features and code), "
    assert known.lines[0].startswith(line) and "in the store" in known.lines[0] and told.header.facts["learned"] == known.lines[0]
    moves = moves_of()
    assert moves.model.told == len(searched) and not moves.model.front and not moves.model.tried
    # Its own trials are as many as it asked for, and nothing of the others is among them.
    trials = asked()
    assert [item.trial for item in trials] == list(range(9)) and told.header.planned == 9
    assert all(item.parent is None or item.parent in range(9) for item in trials)
    assert len(pq.read_table("runs/second/trials.parquet")) == 9 == len(read_run(Path("runs/second")).trials)
    environment = json.loads(Path("runs/second/environment.json").read_text(encoding="utf-8"))
    assert environment["notes"] == [f"Warm start. {known.lines[0]}"] and environment["code"]["generators.dcgan"] >= 1
    report = Path("runs/second/report.html").read_text(encoding="utf-8")
    assert "Warm start. runs/first: learned from" in report


def test_what_was_learned_decides_from_the_first_suggestion_on(here: Path) -> None:
    assert run(*SECOND) == OK
    assert run("study=cold") == OK
    cold, warm = asked("cold"), asked()
    assert [item.params for item in cold[:3]] == [item.params for item in warm[:3]], "baselines and paper settings come first in both"
    assert "drawn from the whole space" in cold[3].reason and "hypervolume expected" in warm[3].reason
    assert any("of runs/first" in item.reason for item in warm), "a move that rests on a trial of the earlier run says so"
    reused = [item for item in warm if item.move in ("reuse", "promote") and item.parent is None]
    for item in reused:
        assert "the generator of trial " in item.reason and " of runs/first" in item.reason
        record = read_record(trial_folder(Path("runs/second"), item.trial), Record)
        assert record is not None and (item.move == "promote" or all(s["reused"] for s in record.stages if s["stage"] == "generator"))


def test_a_driver_that_is_started_again_needs_the_earlier_run_no_more(here: Path) -> None:
    assert run(*SECOND) == OK
    whole = [(item.params, item.reason) for item in asked()]
    shutil.rmtree("runs/second")
    assert run(*SECOND, observer=Told(stop_at=4)) == INTERRUPTED
    before = Path("runs/second", FILE).read_bytes()
    shutil.rmtree("runs/first")
    assert run(*SECOND) == OK
    assert [(item.params, item.reason) for item in asked()] == whole
    assert Path("runs/second", FILE).read_bytes() == before and content_hash(before) == load_study("runs/second/study.yaml").resolved.warm_start  # type: ignore[union-attr]


def test_what_was_learned_may_neither_change_nor_go(here: Path) -> None:
    assert run(*SECOND, observer=Told(stop_at=3)) == INTERRUPTED
    path = Path("runs/second", FILE)
    data = path.read_bytes()
    path.write_bytes(data + b" ")
    with pytest.raises(StudyError, match=r"warm_start\.parquet: is not what this run began with(.|\n)*Put it back"):
        run(*SECOND)
    path.unlink()
    with pytest.raises(StudyError, match=r"warm_start\.parquet: cannot be read"):
        run(*SECOND)
    with pytest.raises(StudyError, match=r"search\.warm_start: \['runs/first'\] -> \[\]"):
        run("study=second")
    path.write_bytes(data)
    assert run(*SECOND) == OK


def test_a_narrower_study_takes_what_lies_in_its_space(here: Path) -> None:
    there = [item for item in asked("first") if item.params.get("generator.family") == "dcgan"]
    low = min(item.params["generator.dcgan.g_lr"] for item in there)
    sets = ("space.generator.family=[dcgan]", f"space.generator.dcgan.g_lr={{low: {1.001 * low}}}", "search.marks=[4]", "search.trials=4")
    assert run(*SECOND, *sets) == OK
    known = memory()
    assert {item.trial for item in known.told} == {item.trial for item in there if item.params["generator.dcgan.g_lr"] > low}
    assert "because generator.family is outside of this study's space" in known.lines[0]
    assert "1 because generator.dcgan.g_lr is outside of this study's space" in known.lines[0]
    assert {item.params["generator.kimg"] for item in known.told} == {item.params["generator.kimg"] for item in there} - {None}, (
        "marks are all of use"
    )
    assert {item.params["generator.kimg"] for item in asked() if item.move != "baseline"} == {4.0}


def test_a_wider_study_knows_what_was_fixed_there(here: Path) -> None:
    fixed = ("study=fixed", "space.generator.family=[dcgan]", "space.inspector.mobilenet_v2.lr=0.002", "search.trials=5")
    assert run(*fixed) == OK
    wider = ("study=second", "search.warm_start=[runs/fixed]", "space.inspector.mobilenet_v2.lr={low: 0.001, high: 0.003}", "search.trials=4")
    assert run(*wider) == OK
    assert {item.params["inspector.mobilenet_v2.lr"] for item in memory().told} == {0.002}
    shutil.rmtree("runs/second")
    assert run(*wider[:2], "space.inspector.mobilenet_v2.lr=0.001", "search.trials=4") == OK
    assert not memory().trials and "nothing was learned" in memory().lines[0]
    assert "4 dropped: 4 because inspector.mobilenet_v2.lr is outside of this study's space" in memory().lines[0]


def test_generators_of_another_seed_would_have_to_be_trained(here: Path) -> None:
    assert run(*SECOND, "seed=2", "search.trials=5") == OK
    known = memory()
    assert known.told and not any(item.keys for item in known.told) and "in the store" not in known.lines[0]
    assert all(generator.elsewhere for generator in moves_of().model.generators.values())
    assert asked()[1].move == "explore"
    assert all(item.parent is not None for item in asked()[2:5] if item.move != "explore"), "only what this run has trained is used again"


def test_other_images_give_starting_points_only(here: Path) -> None:
    assert run(*SECOND, "data.procedural.seed=5", "search.trials=9") == OK
    known = memory()
    assert not known.told and 1 <= len(known.trials) <= 4
    assert "best trials are tried first, but its numbers are not used (other images" in known.lines[0]
    trials = asked()
    reasons = [item.reason for item in trials[3 : 3 + len(known.trials)]]
    assert reasons == [f"among the best of an earlier run: trial {item.trial} of runs/first" for item in known.trials]
    assert all(item.params["generator.kimg"] == 2.0 for item in trials[3 : 3 + len(known.trials)]), "a new generator starts at the lowest mark"
    assert not moves_of().model.told


def test_another_sampler_begins_with_the_best_of_what_it_is_not_told(here: Path) -> None:
    assert run(*SECOND, "search.sampler=random", "search.trials=6") == OK
    best = [item.reason for item in asked() if "among the best of an earlier run" in item.reason]
    assert best and asked()[3].reason == best[0]


def test_a_dry_run_says_what_would_be_learned_and_leaves_nothing(here: Path) -> None:
    files = set(here.rglob("*"))
    study = parse_study(STUDY, "s.yaml", SECOND, thorough=True)
    told = dry_run(study, inline=True, say=lambda line: None, function="fake_study:run_fake")
    assert any(line.startswith("# runs/first: learned from 8 trials") for line in told)
    assert set(here.rglob("*")) == files


@pytest.mark.parametrize("name", ["environment.json", "the code"])
def test_a_run_that_does_not_say_what_it_stood_on_gives_starting_points(here: Path, name: str) -> None:
    path = Path("runs/first/environment.json")
    plain = json.loads(path.read_text(encoding="utf-8"))
    if name == "the code":
        path.write_text(json.dumps({key: value for key, value in plain.items() if key != "code"}), encoding="utf-8")
    else:
        path.unlink()
    assert run(*SECOND, "search.trials=4") == OK
    assert not memory().told and "it does not say by which versions of the code it was made" in memory().lines[0]
