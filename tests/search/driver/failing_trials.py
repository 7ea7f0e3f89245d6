"""Trial functions that fail."""

from collections.abc import Iterator
from typing import Any

from fake_study import run_fake

from trainables.errors import TrialFailure
from trainables.progress import Progress, Scores
from trainables.recipe import Recipe


def sometimes(recipe: Recipe, store: Any, *, device: str, threads: int) -> Iterator[Progress | Scores]:
    """Diverges with dcgan."""
    if recipe.generator is not None and recipe.generator.family == "dcgan":
        raise TrialFailure("diverged", "loss is not a finite number")
    yield from run_fake(recipe, store)


def always(recipe: Recipe, store: Any, *, device: str, threads: int) -> Iterator[Progress | Scores]:
    """Fails with any generator."""
    if recipe.generator is not None:
        raise ZeroDivisionError("division by zero")
    yield from run_fake(recipe, store)
