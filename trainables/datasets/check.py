"""What a person wants to know before a run: problems, images per class and split, share of area that defects fill. Behind `tundish data check`."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trainables.datasets.listing import Problem, load_listing
from trainables.datasets.packs import pack_of
from trainables.datasets.problems import defect_shares, problems_of
from trainables.datasets.settings import DataSettings
from trainables.datasets.splits import PARTS, split
from trainables.datasets.survey import survey
from trainables.errors import DatasetError


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassSummary:
    """One class in numbers."""

    images: int
    pictures: int
    """Different ones: groups."""
    split: Mapping[str, int]
    """train, val, test -> images, with the settings as they are; empty where the data set cannot be split."""
    defect_share: tuple[float, float, float] | None
    """Least, median and largest share of the picture that defects fill; None where neither masks nor boxes are known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """All that checking found."""

    problems: list[Problem]
    classes: dict[str, ClassSummary]
    """Class name -> numbers; `defect_free` last, where there is any."""
    sizes_px: tuple[tuple[int, int], tuple[int, int]] | None
    """Smallest and largest (width, height); None without a readable image."""
    coloured: int
    """Images whose channels differ."""
    masked: int
    """Images with a mask."""
    boxed: int
    """Images with boxes."""
    published: Mapping[str, int]
    """train, val, test -> images, as the publisher split them; empty where nobody did."""

    @property
    def passed(self) -> bool:
        """True without errors."""
        return all(problem.severity != "error" for problem in self.problems)


def examine(settings: DataSettings) -> Examination:
    """Reads a whole data set and judges it.

    Raises:
        DatasetError: it cannot be listed at all.
    """
    found = survey(load_listing(settings), size_px=settings.size_px, channels=settings.channels, added=settings.added)
    problems = problems_of(found, settings)
    counts: Mapping[str, Mapping[str, int]] = {}
    if all(problem.severity != "error" for problem in problems):
        try:
            counts = split(pack_of(found, settings), settings).counts
        except DatasetError as error:
            what, _, cure = str(error).partition("\n  ")
            problems.insert(0, Problem(severity="error", what=what, cure=cure))
    shares = defect_shares(found)
    names = np.array([sample.cls for sample in found.samples], dtype=np.str_)
    classes = {}
    for name in [*found.listing.classes, *sorted(set(names.tolist()) - set(found.listing.classes))]:
        own = shares.get(name, np.empty(0))
        classes[name] = ClassSummary(
            images=int((names == name).sum()),
            pictures=len(np.unique(found.groups[names == name])),
            split=counts.get(name, {}),
            defect_share=(float(own.min()), float(np.median(own)), float(own.max())) if len(own) else None,
        )
    low, high = (found.sizes.min(axis=0), found.sizes.max(axis=0)) if len(found.sizes) else (None, None)
    sizes = None if low is None or high is None else ((int(low[1]), int(low[0])), (int(high[1]), int(high[0])))
    parts = [sample.published for sample in found.samples]
    return Examination(
        problems=problems,
        classes=classes,
        sizes_px=sizes,
        coloured=int(found.coloured.sum()),
        masked=int(found.has_mask.sum()),
        boxed=sum(bool(sample.boxes) for sample in found.samples),
        published={part: parts.count(part) for part in PARTS if part in parts},
    )


def check(settings: DataSettings) -> list[Problem]:
    """Lists every problem of a data set; errors first.

    Raises:
        DatasetError: it cannot be listed at all.
    """
    return examine(settings).problems
