"""What a data set holds before any pixel is read: samples, classes and what a loader found wrong. Loaders make it; the survey reads it."""

import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from trainables.datasets import DATASETS
from trainables.datasets.pictures import Mask, read_mask, read_numbers, read_picture
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError
from trainables.registry import pick, resolve

DEFECT_FREE = "defect_free"
"""Class name of images without a defect, whatever their folder is called."""

EXAMPLES = 3
"""Example paths that a problem names."""

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong, or worth knowing, about a data set."""

    severity: Severity
    """error: a run refuses the data set. warning: a run goes on, its numbers may suffer. note: nothing to mend."""
    what: str
    """One sentence."""
    where: tuple[str, ...] = ()
    """Example paths or class names; `count` says how many there are."""
    count: int = 1
    cure: str = ""
    """What mends it; empty where nothing needs to be."""


def gather(severity: Severity, what: str, found: Iterable[str], cure: str = "") -> list[Problem]:
    """Makes one problem of all that were found; none where nothing was."""
    where = list(found)
    return [Problem(severity=severity, what=what, where=tuple(where[:EXAMPLES]), count=len(where), cure=cure)] if where else []


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One image of a data set, not yet read."""

    name: str
    """Path below the data set's folder; the name in packs and messages."""
    cls: str
    """Class name of the image as a whole; `defect_free` for an image without a defect."""
    file: Path | None = None
    """None for an image that is drawn."""
    mask: Path | None = None
    """File that says which pixels are defects."""
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    """Defects as (left, top, right, bottom), in fractions of the picture's width and height."""
    group: str | None = None
    """What the loader knows of its origin: samples with one group show one part or picture."""
    published: str = ""
    """Split the publisher put it in: train, val, test, or nothing."""
    clean: bool = False
    """True where the image shows no defect though its class is not `defect_free`: classes may be surfaces, good and defective alike."""
    planes: tuple[Path, ...] = ()
    """Files of the second and third channel, where each channel is a grey file of its own."""

    @property
    def free(self) -> bool:
        """Whether the image is known to show no defect."""
        return self.clean or self.cls == DEFECT_FREE


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A decoded image."""

    pixels: npt.NDArray[np.uint8]
    """(H, W) grey or (H, W, 3) colour."""
    mask: Mask | None
    """(H, W), true on defects, or class numbers (0 background, k + 1 for `Listing.classes[k]`); None where none is known."""


def read_files(sample: Sample, *, numbers: bool = False) -> Picture:
    """Reads a sample's image and mask; with `numbers` the mask's values are class numbers, else all that is marked is of the image's class.

    Raises:
        DatasetError: a file cannot be read, or the mask is of another size.
    """
    assert sample.file is not None
    pixels = read_picture(sample.file)
    mask: Mask | None = None
    if sample.mask is not None:
        mask = read_numbers(sample.mask) if numbers else read_mask(sample.mask)
    if mask is not None and mask.shape != pixels.shape[:2]:
        raise DatasetError(f"{sample.mask}: mask of {mask.shape[1]}x{mask.shape[0]} beside an image of {pixels.shape[1]}x{pixels.shape[0]}")
    return Picture(pixels=pixels, mask=mask)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """All samples of a data set."""

    root: Path | None
    """Folder; None for surfaces that are drawn."""
    classes: tuple[str, ...]
    """Defect classes, without `defect_free`, in the order of their labels; a mask's number k + 1 is the k-th."""
    samples: Sequence[Sample]
    problems: Sequence[Problem] = field(default_factory=tuple)
    """What the loader found wrong with the layout."""
    read: Callable[[Sample], Picture] = read_files
    independent: bool = False
    """True where every sample is known to show a picture of its own, so that near-copies need not be looked for."""
    physical: bool = False
    """True where the three channels are measured quantities (curvature, range, texture) and no colours: nothing may tint or mix them."""
    content: str = ""
    """What decides pixels and masks beyond the samples and their files (settings, the version of what draws them); part of the fingerprint."""


class Loader(Protocol):
    """Knows one layout."""

    def recognises(self, path: Path) -> bool:
        """Tells whether a folder has this layout, from names alone."""

    def listing(self, settings: DataSettings) -> Listing:
        """Lists a folder.

        Raises:
            DatasetError: nothing there can be used at all.
        """


def load_listing(settings: DataSettings) -> Listing:
    """Lists the data set that settings name, with the user's own groups.

    Raises:
        SettingsError: no such data set.
        DatasetError: the folder is missing, unreadable or not of this layout; or the table of groups cannot be read.
    """
    loader: Loader = pick(DATASETS, settings.dataset, "dataset")()
    listing = loader.listing(settings)
    if settings.groups is None:
        return listing
    if listing.root is None:
        raise DatasetError(f"data.groups: {settings.dataset} is drawn, each picture for itself.\n  Drop data.groups: {settings.groups}.")
    # It reads samples itself, so it is found only now.
    from trainables.datasets.copies.group_table import add_groups

    samples, problems = add_groups(listing.samples, settings.groups)
    return replace(listing, samples=samples, problems=[*listing.problems, *problems])


def dataset_root(settings: DataSettings) -> Path:
    """Gives the folder of a data set, once it is known to be one that can be read.

    Raises:
        DatasetError: no folder is named, or it is missing, or no folder, or unreadable.
    """
    if settings.path is None:
        raise DatasetError(f"data.path: {settings.dataset} needs a folder.\n  Name it in the study file, or with --data PATH.")
    return existing_folder(settings.path, "data.path")


def existing_folder(path: str, setting: str) -> Path:
    """Gives a folder that exists and can be listed; `setting` names where it came from.

    Raises:
        DatasetError: it cannot.
    """
    folder = Path(path).expanduser()
    if not folder.exists():
        parent = next(parent for parent in folder.absolute().parents if parent.exists())
        raise DatasetError(f"{setting}: {folder} does not exist.\n  Expected a folder; the nearest one that exists is {parent}.")
    if not folder.is_dir():
        raise DatasetError(f"{setting}: {folder} is a file.\n  Expected a folder of images; give the folder that holds it: {folder.parent}")
    # Searching for files skips folders that cannot be read, as if they were empty: a class would be lost without a word.
    closed: list[OSError] = []
    for _ in os.walk(folder, onerror=closed.append):
        pass
    if closed:
        named = ", ".join(str(error.filename) for error in closed[:EXAMPLES]) + (" and others" if len(closed) > EXAMPLES else "")
        cure = f"Give yourself the right to read it: chmod -R u+rX {shlex.quote(str(folder))}"
        raise DatasetError(f"{setting}: {named} cannot be read ({closed[0].strerror}).\n  {cure}")
    return folder


def detect_layout(path: str | Path) -> str:
    """Names the data set layout that a folder has.

    Raises:
        DatasetError: the folder is missing, or has none of the known layouts.
    """
    folder = existing_folder(str(path), "path")
    for name, spec in DATASETS.items():
        if resolve(spec)().recognises(folder):
            return name
    published = ", ".join(name for name in DATASETS if name not in ("procedural", "image_folder"))
    raise DatasetError(
        f"{folder}: none of the known layouts.\n"
        "  Expected folders of images, one per class (<class>/*.png, jpg, bmp or tif; a folder named background, good or normal holds "
        f"defect-free ones), or a published data set as it comes: {published}."
    )
