"""Scores of an inspection system that first names the surface of an image, or finds it unknown, and then looks for defects on it.

Called by whoever measures a `trainables.two_stage.system.TwoStage`.
"""

import statistics
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

Alert = Literal["none", "unseen", "defect"]


class Case(NamedTuple):
    """What an image truly shows."""

    surface: str
    defective: bool


class Reaction(NamedTuple):
    """What the system made of it."""

    surface: str | None
    """The surface whose detector was asked; None where none was."""
    alert: Alert


class SystemScores(NamedTuple):
    """How often the system is wrong, each time as a number of images, and as a share of those that it could happen to; null where there are none."""

    wrong_routing: int
    """Images that did not go where they belong: of a known surface to another one's detector or to none, of an unknown one to any."""
    wrong_routing_share: float | None
    """Of all images."""
    missed_unseen: int
    """Images of unknown surfaces that went to a detector."""
    missed_unseen_share: float | None
    """Of the images of unknown surfaces."""
    false_unseen: int
    """Images of known surfaces that were called unseen."""
    false_unseen_share: float | None
    """Of the images of known surfaces."""
    false_alarms: int
    """Sound images of known surfaces that raised an alert, of whichever kind: somebody had to look in vain."""
    false_alarms_share: float | None
    """Of the sound images of known surfaces."""
    missed_defects: int
    """Defective images of known surfaces that raised no alert. One that was called unseen is not missed: somebody looks at it."""
    missed_defects_share: float | None
    """Of the defective images of known surfaces."""


def system_scores(cases: Sequence[Case], reactions: Sequence[Reaction], known: Collection[str]) -> SystemScores:
    """Counts what went wrong.

    Args:
        cases: what each image shows.
        reactions: what the system made of each.
        known: surfaces that the system has a detector for.
    """
    pairs = list(zip(cases, reactions, strict=True))
    inside = [(case, made) for case, made in pairs if case.surface in known]
    outside = [made for case, made in pairs if case.surface not in known]
    missed_unseen = sum(made.surface is not None for made in outside)
    false_unseen = sum(made.surface is None for _, made in inside)
    wrong = missed_unseen + sum(made.surface != case.surface for case, made in inside)
    sound = [made for case, made in inside if not case.defective]
    flawed = [made for case, made in inside if case.defective]
    false_alarms = sum(made.alert != "none" for made in sound)
    missed = sum(made.alert == "none" for made in flawed)
    return SystemScores(
        *(wrong, _share(wrong, pairs)),
        *(missed_unseen, _share(missed_unseen, outside)),
        *(false_unseen, _share(false_unseen, inside)),
        *(false_alarms, _share(false_alarms, sound)),
        *(missed, _share(missed, flawed)),
    )


def _share(count: int, of: Sequence[object]) -> float | None:
    return count / len(of) if of else None


class Latency(NamedTuple):
    """Time for one image alone, from its pixels to the verdict."""

    median_ms: float
    p95_ms: float
    """The time that 95 of 100 images stay within."""


def latency(times_s: Sequence[float]) -> Latency:
    """Summarises how long images took.

    Args:
        times_s: seconds of each, one at least.
    """
    ordered = sorted(times_s)
    # Straight between the two nearest, as numpy's percentile has it.
    place = 0.95 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    p95 = ordered[below] + (place - below) * (ordered[above] - ordered[below])
    return Latency(median_ms=1e3 * statistics.median(ordered), p95_ms=1e3 * p95)


class Size(NamedTuple):
    """What a system holds."""

    parameters: int
    """Numbers that were learned, running statistics and class vectors included."""
    bytes: int
    """What they take in memory and, but for a short header, on disk."""
