"""One pass over every picture of a data set: what can be read, at the training size, with the facts that packing and checking need."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.datasets.copies.additions import grown_groups
from trainables.datasets.copies.groups import find_groups, look
from trainables.datasets.listing import EXAMPLES, Listing, Problem, Sample, gather
from trainables.datasets.pictures import Mask, fit, fit_mask, is_coloured, pixel_hash, values_of
from trainables.errors import DatasetError


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """The readable samples of a listing, in its order; arrays have one row for each."""

    listing: Listing
    samples: list[Sample]
    images: npt.NDArray[np.uint8]
    """(N, C, S, S)."""
    masks: npt.NDArray[np.uint8]
    """(N, S, S) of class numbers: 0 for background or where there is no mask, k + 1 for the k-th class of the listing."""
    has_mask: npt.NDArray[np.bool_]
    """Whether the defects of a sample are known pixel by pixel; a defect-free one's are."""
    sizes: npt.NDArray[np.int64]
    """(N, 2) height and width of the files in pixels."""
    coloured: npt.NDArray[np.bool_]
    """Whether channels differ."""
    mask_share: npt.NDArray[np.float64]
    """Share of the picture that its mask covers, at the file's own size; nan without a mask."""
    class_share: npt.NDArray[np.float64]
    """(N, K) the same for each class of the listing."""
    hashes: list[str]
    """SHA-256 of the decoded pixels."""
    groups: npt.NDArray[np.int64]
    """Near-copies and what the loader unites share a number."""
    generations: npt.NDArray[np.int64] | None
    """(N,) 0 for samples of classes that were there first, k for those of the k-th that was added; None where none was."""
    problems: list[Problem]
    """Files that could not be read, and what is wrong with classes that were added."""


def survey(listing: Listing, *, size_px: int, channels: int, added: Sequence[str] = ()) -> Survey:
    """Reads every sample once. Unreadable ones are left out and become problems, so that all are told at once.

    Args:
        listing: the samples.
        size_px: side that images are brought to.
        channels: 1 or 3.
        added: classes that were added to the data set, oldest first; the others keep the groups that they have without these.
    """
    samples: list[Sample] = []
    shares: list[npt.NDArray[np.float64]] = []
    failures: list[str] = []
    images, masks, looks, hashes, sizes, coloured = [], [], [], [], [], []
    for sample in listing.samples:
        try:
            picture = listing.read(sample)
            marks = class_numbers(picture.mask, sample, listing)
        except DatasetError as error:
            failures.append(str(error))
            continue
        samples.append(sample)
        shares.append(_shares(picture.mask, marks, classes=len(listing.classes)))
        images.append(fit(picture.pixels, size_px, channels))
        masks.append(np.zeros((size_px, size_px), np.uint8) if marks is None else fit_mask(marks, size_px))
        looks.append(look(picture.pixels))
        hashes.append(pixel_hash(picture.pixels))
        sizes.append(picture.pixels.shape[:2])
        coloured.append(is_coloured(picture.pixels))
    hints = [sample.group for sample in samples]
    generations, problems = _generations(samples, added)
    if generations is None:
        groups = find_groups(looks, hashes, hints, search=not listing.independent)
    else:
        groups, bridges = grown_groups(looks, hashes, hints, generations, search=not listing.independent)
        cure = (
            "Each shows pictures that may lie on both sides of the earlier split: remove these, or split all anew, without data.since and data.added."
        )
        where = (samples[i].name for i in bridges)
        problems += gather("error", "images of added classes that show several different pictures of the earlier ones", where, cure)
    measured = np.stack(shares) if shares else np.empty((0, 1 + len(listing.classes)), np.float64)
    return Survey(
        listing=listing,
        samples=samples,
        images=np.stack(images) if images else np.empty((0, channels, size_px, size_px), np.uint8),
        masks=np.stack(masks) if masks else np.empty((0, size_px, size_px), np.uint8),
        has_mask=~np.isnan(measured[:, 0]),
        sizes=np.array(sizes, dtype=np.int64).reshape(-1, 2),
        coloured=np.array(coloured, dtype=bool),
        mask_share=measured[:, 0],
        class_share=measured[:, 1:],
        hashes=hashes,
        groups=groups,
        generations=generations,
        problems=[*_unreadable(failures), *problems],
    )


def _generations(samples: Sequence[Sample], added: Sequence[str]) -> tuple[npt.NDArray[np.int64] | None, list[Problem]]:
    """Says when each sample came into the data set, and which of the classes that were added there are not."""
    if not added:
        return None, []
    there = sorted({sample.cls for sample in samples})
    problems = gather(
        "error", "data.added names classes that are not there", (cls for cls in added if cls not in there), f"There are {', '.join(there)}."
    )
    if len(set(added)) < len(added) or not set(there) - set(added):
        what = "data.added names a class twice" if len(set(added)) < len(added) else "data.added names every class"
        problems += gather("error", what, [", ".join(added)], "Name each class once that was added to those which were there before.")
    when = {cls: number for number, cls in enumerate(added, start=1)}
    return np.array([when.get(sample.cls, 0) for sample in samples], dtype=np.int64), problems


def class_numbers(mask: Mask | None, sample: Sample, listing: Listing) -> npt.NDArray[np.uint8] | None:
    """Gives a mask as class numbers. The image's class is that of a boolean mask, and what it marks on a defect-free image is of no class.

    Raises:
        DatasetError: a number that no class has.
    """
    if mask is None:
        return None
    if mask.dtype == np.bool_:
        number = listing.classes.index(sample.cls) + 1 if sample.cls in listing.classes else 0
        return mask * np.uint8(number)
    strange = [value for value in values_of(mask) if value > len(listing.classes)]
    if strange:
        known = ", ".join(f"{number} {cls}" for number, cls in enumerate(listing.classes, start=1))
        shown = ", ".join(map(str, strange[:EXAMPLES])) + (f" and {len(strange) - EXAMPLES} more" if len(strange) > EXAMPLES else "")
        raise DatasetError(f"{sample.mask or sample.name}: label values {shown} that no class has; expected 0 background, {known}")
    return mask.astype(np.uint8)


def _shares(mask: Mask | None, marks: npt.NDArray[np.uint8] | None, *, classes: int) -> npt.NDArray[np.float64]:
    """Gives the share of the picture that is marked at all, and then the share of each class: (1 + classes,), nan without a mask."""
    if mask is None or marks is None:
        return np.full(1 + classes, np.nan)
    counts = np.bincount(marks.ravel(), minlength=1 + classes) / marks.size
    return np.array([(mask > 0).mean(), *counts[1:]])


def _unreadable(failures: list[str]) -> list[Problem]:
    """Sorts what could not be read by its cure."""
    kinds = {
        "images of more than 8 bits per channel": (
            "bits per channel",
            "Convert them to 8 bits, for all images by one rule: the brightness must stay comparable.",
        ),
        "masks of another size than their images": ("mask of", "Export the masks anew, or remove them."),
        "masks with label values that no class has": (
            "that no class has",
            "Correct these values in the masks: 0 for background, then the number of each class.",
        ),
        "pictures of another size than their layout has": (
            "expected by the layout",
            "Copy them anew from the source, or name the layout that they have: data.dataset.",
        ),
        "files that do not fit the other channels of their picture": (
            "as one channel of three",
            "Export the three channels of each picture anew: grey, and of one size.",
        ),
        "files that cannot be read as images": ("", "Remove them, or copy them anew from the source."),
    }
    problems = []
    for what, (mark, cure) in kinds.items():
        found = [failure for failure in failures if mark in failure]
        failures = [failure for failure in failures if failure not in found]
        if found:
            problems.append(Problem(severity="error", what=what, where=tuple(found[:EXAMPLES]), count=len(found), cure=cure))
    return problems
