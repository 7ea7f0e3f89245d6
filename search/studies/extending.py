"""What `run --extend` makes of a run that was begun: more trials, or more of a budget, whatever the study file says.

Called by the command line, which reads the words, and by `study_file`, when a run goes on. What the study file said when a run was extended is kept
in `resolved.extended`: as long as it says the same, the run goes on as it stands; once the file was changed, it counts again.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.studies.study import Study, StudyError
from spaces.domains import nearest

BUDGETS = ("hours", "gpu_hours", "money", "disk_gib")
NAMES = ("trials", *BUDGETS)
EXAMPLES = "--extend trials=+40 (more than there are), or --extend trials=120 (in all)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """How far one number of a run is to grow."""

    amount: float
    relative: bool
    """True adds to what the run has, False names what it is to have in all."""
    said: str
    """As it was given, such as trials=+40."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extension:
    """What a run is extended by."""

    steps: Mapping[str, Step]
    """By name of the number, one of `NAMES`."""


def read_extension(texts: Sequence[str]) -> bool | Extension:
    """Reads what followed `--extend`, each time that it was given.

    Returns:
        False where it was not given; True where it stood alone, so that the study file may say more trials; else what it says.

    Raises:
        StudyError: nonsense; all of it.
    """
    steps: dict[str, Step] = {}
    problems = []
    for text in (part.strip() for given in texts for part in given.split(",") if part.strip()):
        step = _read(text)
        name = text.partition("=")[0].strip()
        if isinstance(step, str):
            problems.append(f"--extend {text}: {step}")
        elif name in steps:
            problems.append(f"--extend {text}: {name} is given twice")
        else:
            steps[name] = step
    if problems:
        raise StudyError("\n".join(problems))
    return Extension(steps=steps) if steps else len(texts) > 0


def _read(text: str) -> Step | str:
    """Reads one `name=+amount` or `name=amount`; or says what is wrong with it."""
    name, equals, said = (part.strip() for part in text.partition("="))
    if not equals:
        return f"expected {EXAMPLES}"
    if name not in NAMES:
        return f"no {name} can be extended; {nearest(name, NAMES)}"
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", said) or not math.isfinite(amount := float(said)):
        return f"{said!r} is not a number; expected {EXAMPLES}"
    if amount <= 0:
        return f"{said} would not let it grow; expected {EXAMPLES}"
    if name == "trials" and amount != int(amount):
        return f"{said} is not a whole number of trials; expected {EXAMPLES}"
    return Step(amount=amount, relative=said.startswith("+"), said=text)


def refuse_without_run(extend: bool | Extension, run: Path, *, fresh: bool) -> None:
    """Refuses to extend by an amount what was not begun, or is to begin anew.

    Raises:
        StudyError: says so.
    """
    if isinstance(extend, Extension):
        what = "--fresh begins this run anew" if fresh else f"{run}: this run has not begun"
        raise StudyError(f"{what}, so that there is nothing to extend.\n  Leave --extend out, or say it in the study file: search.trials.")


def as_it_stands(saved: Study, now: Study, extend: bool | Extension) -> tuple[Study, dict[str, float | None]]:
    """Gives the study that a run goes on with, by its own numbers where it was extended, and what to keep of what the study file says.

    Args:
        saved: as the run stands.
        now: read from the study file.
        extend: what the run is extended by.

    Raises:
        StudyError: a number would not grow, or there is none.
    """
    known = saved.resolved.extended if saved.resolved is not None else {}
    kept = {name: said for name, said in known.items() if amount_of(now, name) == said}
    wanted = {name: amount_of(saved, name) for name in kept}
    problems = []
    for name, step in extend.steps.items() if isinstance(extend, Extension) else []:
        had = amount_of(saved, name)
        if had is None:
            problems.append(f"--extend {step.said}: {saved.run_folder} has no search.budget.{name}; bound it with --set search.budget.{name}=...")
        elif not step.relative and step.amount < had:
            cure = f"expected more, for example --extend {name}=+{had:g}"
            problems.append(f"--extend {step.said}: {saved.run_folder} stands at {had:g} already, and can only grow; {cure}")
        else:
            wanted[name] = had + step.amount if step.relative else step.amount
            kept[name] = amount_of(now, name)
    if problems:
        raise StudyError("\n".join(problems))
    return _with_amounts(now, wanted), kept


def amount_of(study: Study, name: str) -> float | None:
    """Gives one of the numbers that can be extended; None for a budget without a bound."""
    amount: float | None = study.search.trials if name == "trials" else getattr(study.search.budget, name)
    return amount


def _with_amounts(study: Study, amounts: Mapping[str, float | None]) -> Study:
    bounds: dict[str, Any] = {name: amount for name, amount in amounts.items() if name in BUDGETS}
    budget = replace(study.search.budget, **bounds)
    trials = amounts.get("trials")
    return replace(study, search=replace(study.search, budget=budget, trials=study.search.trials if trials is None else int(trials)))
