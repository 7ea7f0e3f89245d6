"""What repeats over seeds say: a mean with its interval and its test, several tests together, and which seed the numbers change with.

Pure arithmetic on plain numbers; called by `verdict`, and by `race`, which drops who has lost. Two layouts are known:

- *one seed after another*: repeats are independent, Student's t with n - 1 degrees of freedom holds;
- *crossed*: every seed of the generator meets every seed of the inspector. Two generators with five inspectors each are no ten independent repeats:
  all five share what their generator is. Mean squares of generators and of inspectors are added, as if nothing of what they have in common were
  known, and the t quantile lies between those of both degrees of freedom, weighted by what each contributes (W. Cochran, G. Cox, "Experimental
  designs", 2nd ed. 1957, section 4.14, known to err on the safe side: A. Lee, J. Gurland, J. Am. Stat. Assoc. 70, 1975).
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
EQUAL = 1e-9
"""Standard errors below this share of the values are rounding: such repeats are all the same."""

Seeds = tuple[int, int, int]
"""Seed of the generator, seed of the inspector, fold: what one repeat is told from another by."""


class Estimate(NamedTuple):
    """The mean of repeats, with how sure it is."""

    mean: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    error: float
    """Standard error; 0 where all repeats are the same."""
    p: float
    """Of the two-sided test that the mean is truly 0: 1 where it is 0, and 0 where repeats that are all the same are not."""

    @property
    def p_above(self) -> float:
        """Of the one-sided test that the mean is truly 0 or less."""
        return self.p / 2 if self.mean > 0 else 1 - self.p / 2


class Components(NamedTuple):
    """What of the variance of one score comes from where. Shares of their sum, each between 0 and 1."""

    generator: float
    inspector: float
    rest: float
    """What only this generator does with this inspector, and what no seed explains."""
    negative: tuple[str, ...]
    """Which of generator and inspector were estimated below 0, and stand as 0."""
    generators: int
    inspectors: int


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Gives the Student t interval of the mean of independent repeats at 95 %; none for fewer than two values."""
    found = _independent(values)
    return None if found is None else (found.low, found.high)


def estimate(values: Mapping[Seeds, float]) -> Estimate | None:
    """Gives mean, interval and test of repeats, as their layout allows it; none for fewer than two."""
    if (table := grid(values)) is not None:
        return _crossed(table)
    return _independent(list(values.values()))


def cells(values: Mapping[Seeds, float]) -> dict[Seeds, float]:
    """Takes means over the folds of each pair of seeds, as fold 0: folds share their training images, and are no repeats of each other."""
    found: dict[Seeds, list[float]] = {}
    for (generator, inspector, _), value in values.items():
        found.setdefault((generator, inspector, 0), []).append(value)
    return {seeds: sum(own) / len(own) for seeds, own in found.items()}


def grid(values: Mapping[Seeds, float]) -> list[list[float]] | None:
    """Lays crossed repeats out as a table, a row for each generator and a column for each inspector; None where they are not crossed.

    Repeats of which some are missing, so that the table has holes, keep the inspectors that every generator has met.
    """
    own = cells(values)
    generators = sorted({generator for generator, _, _ in own})
    inspectors = sorted({inspector for _, inspector, _ in own})
    met = [inspector for inspector in inspectors if all((generator, inspector, 0) in own for generator in generators)]
    if len(generators) < 2 or len(met) < 2:
        return None
    return [[own[generator, inspector, 0] for inspector in met] for generator in generators]


def components(values: Mapping[Seeds, float]) -> Components | None:
    """Splits the variance of crossed repeats; None where they are not crossed, or all the same.

    The analysis of variance of two crossed random factors with one number in a cell (S. Searle, G. Casella, C. McCulloch, "Variance components",
    1992, section 4.3): mean squares stand for their expectations, e, e + I g and e + G i.
    """
    if (table := grid(values)) is None:
        return None
    between_rows, between_columns, rest = _mean_squares(table)
    rows, columns = len(table), len(table[0])
    generator, inspector = (between_rows - rest) / columns, (between_columns - rest) / rows
    rounding = (EQUAL * max(abs(value) for row in table for value in row)) ** 2
    total = max(0.0, generator) + max(0.0, inspector) + rest
    if total <= rounding:
        return None
    negative = tuple(name for name, value in (("generator", generator), ("inspector", inspector)) if value < -rounding)
    return Components(max(0.0, generator) / total, max(0.0, inspector) / total, rest / total, negative, rows, columns)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p values for being several: any true hypothesis is rejected with the level's probability at most, however they hang together.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6, 1979; as adjusted p values.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    found, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = least
    return found


def _independent(values: Sequence[float]) -> Estimate | None:
    count = len(values)
    if count < 2:
        return None
    mean = sum(values) / count
    variance = sum((value - mean) ** 2 for value in values) / (count - 1) / count
    return _weigh(mean, [(variance, count - 1)], max(abs(value) for value in values))


def _crossed(table: list[list[float]]) -> Estimate:
    rows, columns = len(table), len(table[0])
    values = [value for row in table for value in row]
    between_rows, between_columns, _ = _mean_squares(table)
    parts = [(between_rows / len(values), rows - 1), (between_columns / len(values), columns - 1)]
    return _weigh(sum(values) / len(values), parts, max(abs(value) for value in values))


def _mean_squares(table: list[list[float]]) -> tuple[float, float, float]:
    """Gives the mean squares between rows, between columns, and of what neither explains."""
    rows, columns = len(table), len(table[0])
    of_rows = [sum(row) / columns for row in table]
    of_columns = [sum(row[j] for row in table) / rows for j in range(columns)]
    mean = sum(of_rows) / rows
    between_rows = columns * sum((value - mean) ** 2 for value in of_rows) / (rows - 1)
    between_columns = rows * sum((value - mean) ** 2 for value in of_columns) / (columns - 1)
    rest = sum((table[i][j] - of_rows[i] - of_columns[j] + mean) ** 2 for i in range(rows) for j in range(columns))
    return between_rows, between_columns, rest / ((rows - 1) * (columns - 1))


def _weigh(mean: float, parts: Sequence[tuple[float, int]], scale: float) -> Estimate:
    """Makes an estimate of a mean and the parts of its variance, each with its degrees of freedom."""
    error = math.sqrt(sum(variance for variance, _ in parts))
    if error <= EQUAL * scale:
        return Estimate(mean, mean, mean, 0.0, 1.0 if abs(mean) <= EQUAL * scale else 0.0)
    half = error * _quantile((1 - CONFIDENCE) / 2, parts)
    return Estimate(mean, mean - half, mean + half, error, _p_value(abs(mean) / error, parts))


def _quantile(tail: float, parts: Sequence[tuple[float, int]]) -> float:
    """Gives the t that is exceeded with a probability, for parts of a variance: that of the only one, or the mean weighted by their shares."""
    return -sum(variance * float(stdtrit(freedom, tail)) for variance, freedom in parts) / sum(variance for variance, _ in parts)


def _p_value(t: float, parts: Sequence[tuple[float, int]]) -> float:
    """Gives the two-sided p value: the level at which the interval just reaches 0."""
    if len(parts) == 1:
        return 2 * float(stdtr(parts[0][1], -t))
    # Between the p values of both degrees of freedom, and falling in t: halved until a float tells no more apart.
    each = [2 * float(stdtr(freedom, -t)) for _, freedom in parts]
    low, high = math.log(max(min(each), 1e-300)), math.log(max(max(each), 1e-300))
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _quantile(math.exp(middle) / 2, parts) > t else (low, middle)
    return math.exp((low + high) / 2)
