"""What the search's courses of a unit come to together: one for each set of classes that is pretended to be unseen. Called by `zero_shot.unit`."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from trainables.bench import UnitResult

TOGETHER: dict[str, Callable[[list[float]], float]] = {
    "generator_s": sum,
    "inspector_s": sum,
    "generator_peak_memory_gib": max,
    "inspector_peak_memory_gib": max,
}
"""Costs that the courses have together: all are trained, one after another. Of other costs, and of scores, the mean is taken."""

DRAW_SCORES = "draw_scores"
"""Condition of a unit with several courses: the validation scores of each, in their order."""


def mean_of_draws(draws: Sequence[UnitResult], pretended: Sequence[Sequence[str]]) -> UnitResult:
    """Gives the means of what the courses scored, what they cost together, and the sum of what was confused.

    A value is null where it is for one of them, as with units. One that not all of them have, of a class that is not always pretended to be unseen,
    is kept with its draw alone. Counts of images are means: of how many a course's numbers hold for. Synthetic ones, and all that is not a
    number, are those of the first course.

    Args:
        draws: what each course came to; at least one. `conditions` holds counts of images alone.
        pretended: the classes that were pretended to be unseen in each.
    """
    first = draws[0]
    result = replace(first, values={}, confusion={}, uses=[use for draw in draws for use in draw.uses])
    for name in first.values:
        if all(name in draw.values for draw in draws):
            found = [value for draw in draws if (value := draw.values[name]) is not None]
            result.values[name] = float(TOGETHER.get(name, statistics.fmean)(found)) if len(found) == len(draws) else None
    for name in first.confusion:
        result.confusion[name] = np.sum([np.array(draw.confusion[name]) for draw in draws], axis=0).tolist()
    result.conditions = {"pretended_unseen": [list(classes) for classes in pretended]}
    result.conditions |= {name: round(statistics.fmean(draw.conditions[name] for draw in draws)) for name in first.conditions}
    if len(draws) > 1:
        result.conditions[DRAW_SCORES] = [{name: value for name, value in draw.values.items() if name.startswith("val_")} for draw in draws]
    return result
