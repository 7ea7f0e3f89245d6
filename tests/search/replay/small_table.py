"""A table of two families that can be worked out by hand: three generators, two marks, four settings behind them."""

import itertools
from typing import Any

from search.replay.table import About, Table
from search.studies.objectives import Objective

GOALS = (Objective(score="val_accuracy", direction="maximize"), Objective(score="val_kid_inspector", direction="minimize"))
MARKS = (2.0, 6.0)
GENERATORS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("left", {"generator.left.lr": 0.1}),
    ("left", {"generator.left.lr": 0.2}),
    ("right", {}),
)
BASELINE_S = 5.0


def small_columns() -> dict[str, list[Any]]:
    """Training takes 10 s per kimg, what is behind it 4 s; the score at a rung is 1 over the mark, plus 0.1 for each generator in order."""
    rows: list[dict[str, Any]] = []
    for (place, (family, settings)), kimg in itertools.product(enumerate(GENERATORS), MARKS):
        rung = 1.0 / kimg + 0.1 * place
        for fraction, augment in itertools.product((0.2, 0.6), ("flips", "none")):
            rows.append(
                {
                    "generator.family": family,
                    "generator.kimg": kimg,
                    **settings,
                    "synthesis.amount": "fraction",
                    "synthesis.fraction": fraction,
                    "inspector.kind": "fcn",
                    "inspector.fcn.augment": augment,
                    "generator_s": 10.0 * kimg,
                    "rung_score": rung,
                    "pool_s": 1.0,
                    "downstream_s": 4.0,
                    "val_accuracy": 0.5 + 0.02 * kimg - 0.05 * place + 0.1 * fraction + (0.03 if augment == "flips" else 0.0),
                    "val_kid_inspector": rung,
                }
            )
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}


def small_table(**changes: list[Any]) -> Table:
    """Makes the table, with some columns replaced."""
    return Table({**small_columns(), **changes}, About(objectives=GOALS, baseline_s=BASELINE_S))
