"""Which samplers can serve which space: said at validation. The samplers themselves are in `search.samplers`. Imports no Optuna."""

import math
from collections.abc import Iterator
from typing import Any

from spaces.domains import Choice, Fixed, Float, Int
from spaces.space import Space, Tree

MOST_POINTS = 20_000
"""Points of a grid that can be walked over."""
UNSAFE = ("cmaes", "cma_es", "cma-es", "cmaessampler")
"""Names of the one sampler that is refused whatever the study."""
WHY_UNSAFE = (
    "CMA-ES keeps its state in the study's storage and unpickles it from there, so that whoever can write the storage could run code here; "
    "nothing is ever unpickled. Take linked, tpe or gp"
)


def is_unsafe(name: Any) -> bool:
    """Says whether a name means the sampler that unpickles."""
    return isinstance(name, str) and name.lower() in UNSAFE


def sampler_problem(sampler: str, space: Space) -> str | None:
    """Says why a sampler cannot serve a space; None where it can. Each can weigh any number of objectives, or none of them."""
    if sampler == "grid":
        return _grid_problem(space)
    if sampler == "gp" and (choosers := list(_choosers(space.tree, ""))):
        told = ", ".join(choosers)
        cure = f"leave {'it' if len(choosers) == 1 else 'each'} one option, or take linked, tpe or nsga2"
        return f"gp models settings that always apply, and here {told} decide{'s' * (len(choosers) == 1)} which others do; {cure}"
    return None


def _grid_problem(space: Space) -> str | None:
    ranges = [name for name, domain in space.names().items() if isinstance(domain, Float)]
    if ranges:
        shown = ", ".join(ranges[:3]) + (f" and {len(ranges) - 3} more" if len(ranges) > 3 else "")
        return f"grid: a continuous range has no steps; give a list of values, or one, for {shown}"
    count = grid_size(space)
    if count > MOST_POINTS:
        return f"grid: {count:.3g} points are more than can be walked over ({MOST_POINTS}); narrow the space, or take qmc, which fills it evenly"
    return None


def grid_size(space: Space) -> int:
    """Counts the points of a space without continuous ranges; all marks of a generator count as one, because it begins at the lowest."""
    return _count({name: domain for name, domain in space.tree.items() if name != "generator.kimg"})


def _count(tree: Tree) -> int:
    return math.prod(_options(domain) for domain in tree.values())


def _options(domain: Any) -> int:
    if isinstance(domain, Choice):
        return sum(_count(inner) for inner in domain.options.values())
    return domain.high - domain.low + 1 if isinstance(domain, Int) else len(domain.grid(2))


def _choosers(tree: Tree, prefix: str) -> Iterator[str]:
    """Names the choices under which different settings vary."""
    for key, domain in tree.items():
        if isinstance(domain, Choice):
            below = f"{prefix}{key}".rpartition(".")[0]
            if len(domain.options) > 1 and any(_varies(inner) for inner in domain.options.values()):
                yield f"{prefix}{key}"
            elif len(domain.options) == 1:
                yield from _choosers(next(iter(domain.options.values())), f"{below}." if below else "")


def _varies(tree: Tree) -> bool:
    return any(not isinstance(domain, Fixed) and (not isinstance(domain, Choice) or len(domain.options) > 1) for domain in tree.values()) or any(
        isinstance(domain, Choice) and any(_varies(inner) for inner in domain.options.values()) for domain in tree.values()
    )
