"""Runs a study from beginning to end: prepares it, shares out what the machine or the cluster has, drives its trials, and ends with an exit code."""

from collections.abc import Callable

from cluster.resources import default_workers, detect
from search.execution.driver import TRIAL_FUNCTION, Means, Watcher, drive
from search.prepare import Place, begun, resolve
from search.runs.ledger import Ledger
from search.spending.ending import refuse_budget
from search.spending.took import earlier_trials, took
from search.studies.checks import validate
from search.studies.extending import Extension
from search.studies.study import Study
from trainables.store import Store


def run_study(
    study: Study,
    *,
    inline: bool = False,
    fresh: bool = False,
    extend: bool | Extension = False,
    observer: Watcher,
    command: str,
    function: str = TRIAL_FUNCTION,
) -> int:
    """Runs a study, or goes on with it; returns the exit code.

    Raises:
        StudyError, BadInput, RunError, ClusterError: it cannot be run; the message says why and what to do.
    """
    validate(study)
    store = Store(study.storage.store)
    continued = begun(study, fresh=fresh, extend=extend)
    study = continued or study
    ledger = Ledger(study.run_folder)
    resolved = False
    try:
        means, where = _means(study, inline=inline, function=function)
        _refuse_budget(study, ledger, means)
        study = resolve(study, store, Place(device=means.device, bf16=detect().bf16), ledger, command=command)
        resolved = True
        return drive(study, store, ledger, means, observer=observer, command=command, inline=inline, where=where)
    finally:
        if resolved or continued is not None:
            ledger.close()
        else:
            ledger.withdraw()
        if not inline:
            from cluster.connect import disconnect

            disconnect()


def _refuse_budget(study: Study, ledger: Ledger, means: Means) -> None:
    """Refuses a budget with which there is no point in starting; other runs are read only where there is one."""
    if study.search.budget.amounts:
        own = [took(ledger.asked[number], record) for number, record in ledger.records.items()]
        earlier = earlier_trials(study, device=means.device)
        refuse_budget(study, ledger.records, own, earlier, workers=means.workers, gpus=means.gpus_per_trial)


def dry_run(
    study: Study,
    *,
    inline: bool = False,
    fresh: bool = False,
    extend: bool | Extension = False,
    say: Callable[[str], None],
    function: str = TRIAL_FUNCTION,
) -> list[str]:
    """Says what running a study would do and take, in lines; starts no Ray, and reckons with this machine alone.

    Raises:
        StudyError, BadInput: it cannot be run.
    """
    from search.spending.dry_run import foresee, lines

    validate(study)
    machine = detect()
    means = _shared(study, float(machine.cpus), float(len(machine.gpus)), inline=inline, function=function)
    return lines(foresee(study, means, fresh=fresh, extend=extend, say=say))


def _means(study: Study, *, inline: bool, function: str) -> tuple[Means, str]:
    """Shares out what there is; says in a phrase where trials run."""
    machine = detect()
    wanted = study.resources
    cpus, gpus, where = float(machine.cpus), float(len(machine.gpus)), f"in this process, {machine.cpus} CPUs"
    if not inline:
        from cluster.connect import connect

        asked = wanted.workers if wanted.workers != "auto" else 1
        asked *= wanted.cpus_per_trial if wanted.cpus_per_trial != "auto" else 1
        connection = connect(num_cpus=max(machine.cpus, asked))
        cpus, gpus, where = connection.cpus, connection.gpus, connection.describe()
    return _shared(study, cpus, gpus, inline=inline, function=function), where


def _shared(study: Study, cpus: float, gpus: float, *, inline: bool, function: str) -> Means:
    """Shares processors and accelerators out among trials."""
    wanted = study.resources
    gpus_per_trial = wanted.gpus_per_trial if wanted.gpus_per_trial != "auto" else (1.0 if gpus else 0.0)
    least = wanted.cpus_per_trial if wanted.cpus_per_trial != "auto" else 1
    workers = (
        wanted.workers if wanted.workers != "auto" else default_workers(cpus=cpus, gpus=gpus, cpus_per_trial=least, gpus_per_trial=gpus_per_trial)
    )
    workers = 1 if inline else workers
    threads = wanted.cpus_per_trial if wanted.cpus_per_trial != "auto" else max(1, int(cpus) // workers)
    device = "cuda" if gpus_per_trial > 0 else "cpu"
    return Means(workers=workers, threads=threads, gpus_per_trial=gpus_per_trial, device=device, function=function)
