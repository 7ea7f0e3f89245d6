"""Made-up tables, and tables made from others by a stated change: where a search should do well, and where it must not do badly."""

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from search.replay.table import About, Table, generator_key
from search.studies.objectives import Objective
from trainables.seeds import child_seed

MARKS = (2.0, 6.0, 18.0)
FAMILIES: dict[str, dict[str, tuple[Any, ...]]] = {
    "dcgan": {"g_lr": (1e-4, 3e-4, 1e-3), "batch": (16, 32), "latent_dim": (32, 100)},
    "wgan_gp": {"lr": (3e-5, 1e-4, 3e-4), "n_critic": (2, 5), "latent_dim": (32, 100)},
    "lm_gan": {"lr": (5e-5, 2e-4), "n_critic": (2, 5), "mapping_depth": (2, 4)},
    "pe_gan": {"lr": (1e-4, 3e-4, 9e-4), "n_critic": (2, 5)},
    "cutpaste": {"blend": (0.0, 1.0)},
}
"""Families of the made-up table with their axes: 40 generators."""
UNTRAINED = "cutpaste"
"""Learns nothing, so that all its marks are one."""
BEHIND: dict[str, tuple[Any, ...]] = {
    "synthesis.fraction": (0.1, 0.3, 0.5, 0.7),
    "inspector.fcn.augment": ("none", "flips"),
    "inspector.fcn.lr": (1e-3, 3e-3),
}
GOALS = (Objective(score="val_macro_f1", direction="maximize"), Objective(score="val_kid_inspector", direction="minimize"))


def random_table(seed: int = 0, *, noise: float = 1.0, share: float = 0.7) -> Table:
    """Makes a table in closed form with random weights: settings add up, a few of them interact, quality grows with the mark.

    Args:
        seed: of its weights.
        noise: of the scores beside what the formula says; 1 is as large as that of small real inspectors.
        share: of the generator in a trial at the top mark that shares nothing.
    """
    rng = random.Random(child_seed(seed, "replay", "table"))
    rows: list[dict[str, Any]] = []
    points = [{f"{name}": value for name, value in zip(BEHIND, values, strict=True)} for values in itertools.product(*BEHIND.values())]
    behind = [(point, _worth(BEHIND, point, random.Random(child_seed(seed, "behind")))) for point in points]
    for family, axes in FAMILIES.items():
        level, speed, slope = rng.uniform(0.2, 0.6), math.exp(rng.uniform(-0.7, 0.7)), rng.uniform(0.6, 1.4)
        best_fraction = rng.uniform(0.2, 0.6)
        weights = random.Random(child_seed(seed, family))
        order = weights.random()
        for values in itertools.product(*axes.values()):
            settings = dict(zip(axes, values, strict=True))
            final = level + 0.5 * _worth(axes, settings, random.Random(child_seed(seed, family, "weights")))
            likeness, use = (level + 0.5 * _worth(axes, settings, random.Random(child_seed(seed, family, name))) for name in ("likeness", "use"))
            pace = math.exp(rng.gauss(0.0, 0.25)) * (0.5 + order)
            for kimg in MARKS:
                learned = family != UNTRAINED
                quality = final - (0.5 * math.exp(-pace * kimg / 6.0) if learned else 0.25)
                seconds = speed * kimg if learned else 0.02
                drawn = random.Random(child_seed(seed, family, *map(str, values), f"{kimg if learned else 0:g}"))
                quality += 0.02 * noise * drawn.gauss(0.0, 1.0)
                kid = 0.15 * math.exp(-2.0 * (0.6 * quality + 0.4 * likeness))
                rung = kid * math.exp(0.15 * noise * drawn.gauss(0.0, 1.0))
                for point, worth in behind:
                    miss = (point["synthesis.fraction"] - min(0.9, best_fraction + 0.4 * quality)) ** 2
                    f1 = 0.55 + 0.12 * slope * (0.6 * quality + 0.4 * use) + 0.06 * worth - 0.15 * miss + 0.008 * noise * drawn.gauss(0.0, 1.0)
                    rows.append(
                        {"generator.family": family, "generator.kimg": kimg, "synthesis.amount": "fraction", "inspector.kind": "fcn", **point}
                        | {f"generator.{family}.{name}": value for name, value in settings.items()}
                        | {"rung_score": rung, "generator_s": seconds, "downstream_s": 1.0 + 0.5 * point["synthesis.fraction"]}
                        | {"val_macro_f1": f1, "val_kid_inspector": kid}
                    )
    about = About(objectives=GOALS, baseline_s=1.0, notes=(f"made up in closed form, seed {seed}; not measured",))
    names = dict.fromkeys(name for row in rows for name in row)
    return with_share(Table({name: [row.get(name) for row in rows] for name in names}, about, where="made-up table"), share)


def _worth(axes: Mapping[str, Sequence[Any]], point: Mapping[str, Any], rng: random.Random) -> float:
    """Adds up what each value is worth, about 0 to 1 in all, with one interaction of the first two settings."""
    total, scale = 0.0, 1.0 / len(axes)
    for name, values in axes.items():
        worths = [rng.random() for _ in values]
        total += scale * worths[values.index(point[name])]
    names = list(axes)[:2]
    worths = [rng.random() for _ in itertools.product(*(axes[name] for name in names))]
    at = list(itertools.product(*(axes[name] for name in names))).index(tuple(point[name] for name in names))
    return total + 0.5 * scale * worths[at]


def with_share(table: Table, share: float) -> Table:
    """Multiplies all seconds behind generators by one number, so that generators are a given share of trials at the top mark that share nothing.

    Args:
        table: taken as it is.
        share: in (0, 1); 0.2 makes an inspector-heavy table.
    """
    top = [point for point in table.points.values() if point.params["generator.kimg"] == table.marks[-1]]
    generators_s = sum(table.ladder(point.params)[table.marks[-1]].generator_s for point in top)
    behind_s = sum(point.pool_s + point.downstream_s for point in top)
    factor = generators_s / behind_s * (1.0 - share) / share
    columns = {**table.columns, **{name: [factor * value for value in table.columns[name]] for name in ("downstream_s", "pool_s")}}
    note = f"seconds behind generators times {factor:.3g}, so that generators are {share:.0%} of a trial that shares nothing"
    about = replace(table.about, baseline_s=factor * table.about.baseline_s, notes=(*table.about.notes, note))
    return Table(columns, about, where=table.where)


def with_misleading_rungs(table: Table, seed: int = 0) -> Table:
    """Gives every generator the rung scores of another, drawn at random, so that they say nothing about it."""
    names = list(dict.fromkeys(generator_key(point.params) for point in table.points.values()))
    names.sort(key=lambda key: sorted(key, key=str).__repr__())
    others = random.Random(child_seed(seed, "replay", "rungs")).sample(names, len(names))
    given = dict(zip(names, others, strict=True))
    scores = []
    for row in range(table.length):
        params = {name: values[row] for name, values in table.columns.items() if name.startswith("generator.") and values[row] is not None}
        other = table.ladder(dict(given[generator_key(params)]))
        scores.append(other[float(params["generator.kimg"])].rung_score)
    note = "rung scores are those of other generators, drawn at random"
    return Table({**table.columns, "rung_score": scores}, replace(table.about, notes=(*table.about.notes, note)), where=table.where)
