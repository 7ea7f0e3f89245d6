"""Pareto fronts and hypervolume: pure functions on plain numbers. Called by the figures, the verdict and the search."""

from collections.abc import Sequence


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Tells whether `one` is nowhere worse and somewhere better; less is better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


def front(points: Sequence[Sequence[float]]) -> list[int]:
    """Lists the positions of the points that no other dominates, in order; less is better. Equal points all count."""
    return [i for i, point in enumerate(points) if not any(dominates(other, point) for other in points)]


def hypervolume(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """Measures the volume that the points dominate up to a reference point; less is better.

    Exact, by slicing along the last dimension; meant for the few objectives and small fronts of a study.
    """
    inside = [tuple(point) for point in points if all(a < r for a, r in zip(point, reference, strict=True))]
    if not inside:
        return 0.0
    if len(reference) == 1:
        return reference[0] - min(point[0] for point in inside)
    inside = sorted({inside[i] for i in front(inside)}, key=lambda point: point[-1])
    ends = [point[-1] for point in inside[1:]] + [reference[-1]]
    return sum(
        (end - point[-1]) * hypervolume([other[:-1] for other in inside[: i + 1]], reference[:-1])
        for i, (point, end) in enumerate(zip(inside, ends, strict=True))
        if end > point[-1]
    )
