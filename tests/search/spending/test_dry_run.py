"""The dry run: what it says of a study, from earlier runs or a probe, and that it leaves nothing behind."""

import re
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fake_study import Silent, make_study
from small_study import small_study

from search import cli
from search.runner import dry_run, run_study
from search.spending import probe
from search.spending.probe import Asking, Beside, existing_store, first_stage
from search.studies.recipes import at_lowest_mark, baseline_params, build_recipe
from search.studies.study import StudyError
from search.studies.study_file import parse_study
from trainables.errors import TrialFailure
from trainables.progress import Progress
from trainables.recipe import Recipe
from trainables.store import Store

STUDY = small_study("trials: 12, marks: [2], confirm: {top: 1, seeds: 2}")


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> str:
    """A trial whose stages take five seconds each by its own clock, and which stores 3 MiB behind 5 of its generator; names it."""
    now = [0.0]
    monkeypatch.setattr(probe.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(probe, "PROBE_S", 1.0)

    def run(recipe: Recipe, store: Store, *, device: str, threads: int) -> Iterator[Progress]:
        yield Progress(stage="data")
        if recipe.generator is None:
            store.lookup("inspector", "abc")
            for step in range(1, 11):
                now[0] += 0.5
                yield Progress(stage="inspector", metrics={"share": step / 100})
            if recipe.inspector.settings.get("epochs") == probe.BRIEF_EPOCHS:
                store.publish("inspector", "abc", {"weights": bytes(3 << 20)})
            return
        store.lookup("generator/def", "00000040")
        if recipe.generator.family == "wgan_gp":
            raise TrialFailure("diverged", "too fast")
        for step in range(1, 11):
            now[0] += 0.5
            yield Progress(stage="generator", kimg=step / 20)
        if recipe.generator.kimg == probe.BRIEF_KIMG and recipe.inspector.settings.get("epochs") == probe.BRIEF_EPOCHS:
            store.publish("generator/def", "00000001", {"weights": bytes(5 << 20)})
            store.publish("inspector", "def", {"weights": bytes(3 << 20)})

    module = types.ModuleType("a_dry_trial")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_dry_trial", module)
    return "a_dry_trial:run"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def foresee(*sets: str, function: str, say: Callable[[str], None] = lambda line: None) -> str:
    return "\n".join(dry_run(parse_study(STUDY, "small.yaml", sets), inline=True, say=say, function=function))


def test_a_study_that_nobody_has_run_is_probed_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trial: str) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    told = foresee("space.generator.family=[dcgan]", "search.marks=[2, 4]", "search.budget.hours=0.01", function=trial, say=said.append)
    assert said == ["measuring a few steps of mobilenet_v2", "measuring a few steps of dcgan"]
    assert "extractor: random" in told and "fingerprint:" in told, "the study is shown resolved"
    assert told.count("generator/def/00000040 (to be made)") == 3 and told.count("generator.dcgan.g_lr") >= 4
    # Ten seconds for a thousand images, fifty for an inspector: eleven trials, and confirmations of two seeds.
    assert "15 trials to come, confirmations included" in told and "a probe of mobilenet_v2, dcgan" in told
    assert "time  " in told and "search.budget.hours: 36 s, which ends it early" in told
    # Eleven generators with their inspectors, and six inspectors more.
    stored = re.search(r"disk  ([\d.]+) to ([\d.]+) GiB", told)
    assert stored is not None and float(stored[1]) < (11 * 8 + 6 * 3) / 1024 < float(stored[2]) < 0.3
    assert files(tmp_path) == set()
    monkeypatch.setattr(probe, "MOST_S", 1.0)
    slow = foresee("space.generator.family=[dcgan]", function=trial)
    assert "time  " in slow and "disk  not known before the first trials" in slow, "what would take long is not weighed"


def test_a_family_that_fails_its_probe_is_told_and_what_is_not_known_is_not_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trial: str) -> None:
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    foresee(function=trial, say=said.append)
    assert "wgan_gp could not be measured: too fast" in said


def test_a_run_that_has_begun_is_foreseen_from_its_own_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trial: str) -> None:
    monkeypatch.chdir(tmp_path)
    study = parse_study(STUDY, "small.yaml", ["search.trials=6"])
    assert run_study(study, inline=True, observer=Silent(), command="tundish run small.yaml", function="fake_study:run_fake") == 0
    before = files(tmp_path)
    with pytest.raises(StudyError, match="--extend"):
        foresee("search.trials=9", function=trial)
    more = parse_study(STUDY, "small.yaml", ["search.trials=9"])
    told = "\n".join(dry_run(more, inline=True, extend=True, say=lambda line: None, function=trial))
    assert "5 trials to come" in told and "9 trials of this run" in told and "probe of" in told
    assert files(tmp_path) == before
    other = foresee("study=other", function=trial)
    assert "9 trials of other runs" in other and files(tmp_path) == before
    elsewhere, learns = "storage.runs=elsewhere", "search.warm_start=[runs/small]"
    assert "other runs" not in foresee("study=other", elsewhere, function=trial)
    assert "9 trials of other runs" in foresee("study=other", elsewhere, learns, function=trial), "those that it learns from, wherever they lie"
    assert "9 trials of other runs" in foresee("study=other", learns, function=trial), "once"
    assert files(tmp_path) == before


def test_what_cannot_be_run_is_refused_as_a_run_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trial: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match="trials hold no GPU here"):
        foresee("search.budget.gpu_hours=3", function=trial)
    assert files(tmp_path) == set()


def test_the_command_prints_what_was_found_and_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.runner.dry_run", lambda study, **how: [study.name, *sorted(name for name, on in how.items() if on is True)])
    done = CliRunner().invoke(cli.cli, ["demo", "--dry-run", "--inline"])
    assert done.exit_code == 0 and done.output == "demo\ninline\n"


def test_a_trial_is_asked_for_the_key_that_it_would_train_under(tmp_path: Path) -> None:
    """With the real trial: keys are those of its own stages, whatever the mark, and what the real store has is seen."""
    text = STUDY.replace("[dcgan, wgan_gp]", "[dcgan]").replace("marks: [2]", "marks: [2, 4]")
    study = replace(make_resolved(tmp_path, text), storage=replace(make_study(tmp_path).storage))
    behind = Store(study.storage.store)
    how: dict[str, Any] = {"function": "trainables.trial:run_trial", "device": "cpu", "threads": 1}
    points = [study.space.defaults({"generator.kimg": kimg}) for kimg in (2.0, 4.0)]
    found = [first_stage(build_recipe(study, point), Asking(tmp_path / "beside", behind), **how) for point in points]
    assert found[0] is not None and found[1] is not None
    assert found[0].stage == found[1].stage and found[0].stage.startswith("generator/")
    assert found[0].key == found[1].key, "the way to a later mark leads over the first one"
    assert not found[0].ready
    behind.publish(found[0].stage, found[0].key, {"x": b"1"})
    again = first_stage(build_recipe(study, points[0]), Asking(tmp_path / "beside", behind), **how)
    assert again is not None and again.ready and again.key == found[0].key
    baseline = first_stage(build_recipe(study, baseline_params(study.space, ("plain",))[0]), Asking(tmp_path / "beside", behind), **how)
    assert baseline is not None and baseline.stage == "inspector" and not baseline.ready
    assert at_lowest_mark(study, points[1])["generator.kimg"] == 2.0


def make_resolved(folder: Path, text: str) -> Any:
    """Resolves a study in a folder, as the start of a run does."""
    from search.prepare import Place, resolve
    from search.runs.ledger import Ledger

    storage = make_study(folder).storage
    study = replace(parse_study(text, "small.yaml"), storage=storage)
    ledger = Ledger(study.run_folder)
    try:
        return resolve(study, Store(storage.store), Place(device="cpu", bf16=False), ledger, command="")
    finally:
        ledger.close()


def test_a_store_beside_another_finds_what_that_has_and_keeps_what_it_is_given(tmp_path: Path) -> None:
    assert existing_store(str(tmp_path / "nowhere")) is None and not (tmp_path / "nowhere").exists()
    behind = Store(tmp_path / "real")
    behind.publish("pool", "a", {"x": b"1"})
    beside = Beside(tmp_path / "beside", existing_store(str(tmp_path / "real")))
    found = beside.lookup("pool", "a")
    assert found is not None and found.read("x") == b"1"
    beside.publish("pool", "b", {"x": b"2"})
    assert behind.lookup("pool", "b") is None and beside.lookup("pool", "b") is not None
