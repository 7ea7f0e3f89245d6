"""`tundish run --dry-run`: the study as it would be run, three trials that it might try, and what it will take. Writes nothing that stays.

The study is resolved in a temporary folder, with a store that looks into the real one and keeps to itself what it is given.
"""

import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.resources import detect
from reports.run import read_run
from search.execution.driver import Means, recipe_builder
from search.memory.remembered import read_memory
from search.prepare import Place, resolve
from search.runs.ledger import Ledger
from search.spending.budget import show_amount
from search.spending.ending import refuse_budget
from search.spending.forecast import Forecast, Range, forecast, show_range
from search.spending.probe import Asking, Beside, existing_store, first_stage, probe, stored_gib
from search.spending.took import Took, earlier_trials, todo, took
from search.studies.continuing import continue_study
from search.studies.extending import Extension, refuse_without_run
from search.studies.growth import with_added
from search.studies.recipes import at_lowest_mark, baseline_params
from search.studies.settings import Storage
from search.studies.study import Study
from search.studies.study_file import load_study
from spaces.domains import Choice, Domain, Fixed
from trainables.errors import TrialFailure
from trainables.recipe import Recipe, Unit
from trainables.seeds import child_seed
from trainables.store import Store

SAMPLED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A trial that the study might try."""

    params: Mapping[str, Any]
    """Its settings that vary in the study."""
    stage: str
    """What it would look for first in the store, and whether that is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreseen:
    """What a dry run found."""

    study: Study
    """Resolved, with the folders that it would run in."""
    samples: Sequence[Sample]
    left: Forecast | None
    resting_on: str
    """What the forecast was made from."""
    learned: Sequence[str] = ()
    """What the search has learned from earlier runs, or would."""


def foresee(study: Study, means: Means, *, fresh: bool, extend: bool | Extension, say: Callable[[str], None]) -> Foreseen:
    """Resolves a study, samples recipes and foresees what is left of it.

    Args:
        study: as it was read, and checked.
        means: with what it would run.
        fresh: whether an earlier run is left out of account.
        extend: whether `search.trials` of an earlier run may grow, or what it is extended by.
        say: told what goes on, a line at a time.

    Raises:
        StudyError, BadInput: it cannot be run; as a run would say it.
    """
    run, storage = study.run_folder, study.storage
    goes_on = not fresh and (run / "study.yaml").exists()
    records = {trial.number: trial for trial in read_run(run).trials if trial.record is not None} if goes_on else {}
    if not goes_on:
        refuse_without_run(extend, run, fresh=fresh)
    else:
        study = continue_study(load_study(run / "study.yaml"), study, extend=extend)
    own = [took(trial.asked, trial.record) for trial in records.values() if trial.record is not None]
    earlier = earlier_trials(study, device=means.device)
    ended = {number: trial.record for number, trial in records.items() if trial.record is not None}
    refuse_budget(study, ended, own, earlier, workers=means.workers, gpus=means.gpus_per_trial)
    with tempfile.TemporaryDirectory(prefix="tundish-dry-") as folder:
        behind = existing_store(storage.store)
        store = Beside(Path(folder) / "store", behind)
        grown = study if study.resolved is not None else with_added(study)
        aside = replace(grown, storage=Storage(runs=str(Path(folder) / "runs"), store=store.root))
        resolved = _resolved(aside, store, means)
        learned = read_memory(resolved, run if goes_on else resolved.run_folder).lines
        samples = [_sample(resolved, number, Asking(Path(store.root), behind), means) for number in _first_numbers(resolved)]
        probed = _probed(resolved, store, means, [*own, *earlier], say)
        ahead = todo(resolved, own)
        found = forecast(resolved, ahead, own, [*earlier, *probed], workers=means.workers, gpus=means.gpus_per_trial, device=means.device)
    told = [f"{len(own)} trials of this run"] if own else []
    told += [f"{len(earlier)} trials of other runs"] if earlier else []
    told += [f"a probe of {', '.join(str(item.family or item.inspector) for item in probed)}"] if probed else []
    return Foreseen(
        study=replace(resolved, storage=storage), samples=samples, left=found, resting_on=" and ".join(told) or "nothing", learned=learned
    )


def lines(found: Foreseen) -> list[str]:
    """Writes what is printed."""
    told = [found.study.to_yaml().rstrip(), "", *(f"# {line}" for line in found.learned), f"# {SAMPLED} trials that it might try:"]
    for i, sample in enumerate(found.samples, start=1):
        told += [f"{i}. {sample.stage}", *(f"     {name}: {_said(value)}" for name, value in sample.params.items())]
    left, budget = found.left, found.study.search.budget
    if left is None:
        return [*told, "", "What it will take is not known: neither earlier trials nor a probe tell."]
    told += ["", f"{left.trials} trials to come, confirmations included; 8 of 10 such studies would take, by {found.resting_on}:"]
    told.append(f"  time  {show_range(left.hours)}")
    if left.gpu_hours.high > 0:
        told.append(f"  GPUs  {show_range(left.gpu_hours, lambda hours: f'{hours:.3g}')} GPU-hours")
    if budget.price_per_gpu_hour is not None:
        told.append(f"  cost  {show_range(left.gpu_hours.times(budget.price_per_gpu_hour), lambda cost: show_amount('money', cost, budget))}")
    disk = show_range(left.disk_gib, lambda size: f"{size:.3g}") + " GiB" if left.disk_gib is not None else "not known before the first trials"
    told.append(f"  disk  {disk}")
    for name, bound in budget.amounts.items():
        needed = {"hours": left.hours, "gpu_hours": left.gpu_hours, "money": left.gpu_hours.times(budget.price_per_gpu_hour or 0.0)}.get(name)
        if needed is not None:
            told.append(f"  search.budget.{name}: {show_amount(name, bound, budget)}, {_enough(needed, bound)}")
    return told


def _enough(needed: Range, bound: float) -> str:
    if needed.high <= bound:
        return "which is enough"
    return "which ends it early" if needed.low > bound else "which may end it early"


def _said(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _resolved(study: Study, store: Store, means: Means) -> Study:
    """Resolves a study as its run would, in the folders that it is given."""
    ledger = Ledger(study.run_folder)
    try:
        return resolve(study, store, Place(device=means.device, bf16=detect().bf16), ledger, command="")
    finally:
        ledger.close()


def _first_numbers(study: Study) -> range:
    """Gives the numbers of the first trials that the search suggests."""
    first = len(baseline_params(study.space, study.search.baselines))
    return range(first, first + SAMPLED)


def _sample(study: Study, number: int, store: Asking, means: Means) -> Sample:
    """Draws a trial, and asks it what it would look for."""
    rng = random.Random(child_seed(study.seed, "sampler", number))
    params: Mapping[str, Any] = at_lowest_mark(study, study.space.sample(rng))
    found = first_stage(_recipe(study, params), store, function=means.function, device=means.device, threads=means.threads)
    # What does not vary stands in the study.
    varied = {name: params[name] for name, domain in study.space.active(params).items() if _varies(domain)}
    if found is None:
        return Sample(params=varied, stage="nothing of it is trained")
    why = ", from which the generator learns to tell the classes" if found.stage == "inspector" else ""
    return Sample(params=varied, stage=f"{found.stage}/{found.key}{why} ({'in the store' if found.ready else 'to be made'})")


def _varies(domain: Domain) -> bool:
    """Says whether a setting is more than one value, or names the family or inspector of a trial."""
    return isinstance(domain, Choice) or not isinstance(domain, Fixed)


def _recipe(study: Study, params: Mapping[str, Any]) -> Recipe:
    return recipe_builder(study)(params, units=(Unit(),), judge=False)


def _probed(study: Study, store: Beside, means: Means, known: Sequence[Took], say: Callable[[str], None]) -> list[Took]:
    """Probes the families and inspectors of which no earlier trial tells."""
    like = [item for item in known if item.device == means.device]
    points: dict[str, dict[str, Any]] = {}
    for point in baseline_params(study.space, ("plain",)):
        kind = str(point["inspector.kind"])
        if not any(item.inspector == kind and item.rest_s is not None for item in like):
            points.setdefault(kind, point)
    for family in study.families:
        if not any(item.family == family and item.kimg_s is not None for item in like):
            points[family] = at_lowest_mark(study, study.space.defaults({"generator.family": family}))
    found: list[Took] = []
    weighed = True
    for name, point in points.items():
        say(f"measuring a few steps of {name}")
        recipe = _recipe(study, point)
        try:
            measured = probe(recipe, store, function=means.function, device=means.device, threads=means.threads)
        except TrialFailure as failure:
            say(f"{name} could not be measured: {failure}")
            continue
        if measured is None:
            continue
        # The largest are those that take too long: a sum without them would promise too little, so that one is enough to end the weighing.
        gib = stored_gib(recipe, store, function=means.function, device=means.device, threads=means.threads) if weighed else None
        weighed = gib is not None
        found.append(measured._replace(stored_gib=gib))
    return found if weighed else [item._replace(stored_gib=None) for item in found]
