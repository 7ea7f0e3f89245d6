"""Cutting images with boxes or masks into defect-centred squares and, apart, defect-free ones, as a folder of images. Behind `tundish data crop`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import find_objects, label

from trainables.datasets.layouts.image_folder import FREE_FOLDERS
from trainables.datasets.listing import EXAMPLES, Listing, Picture, Sample, detect_layout, load_listing
from trainables.datasets.settings import DataSettings
from trainables.datasets.squares import Square, defect_map, free_squares
from trainables.errors import DatasetError

FREE_PER_PICTURE = 4
"""Defect-free squares cut from one picture at most."""

LEAST_SHARE = 0.25
"""A square is kept if it holds at least this share of the defect it was cut for, or is covered by defects to this share."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CropReport:
    """What cropping made."""

    squares: Mapping[str, int]
    """Class -> squares written; the defect-free ones under `background`."""
    skipped: list[str]
    """Pictures that gave none, with the reason."""

    def __str__(self) -> str:
        lines = [f"{count:6} squares of {name}" for name, count in self.squares.items()]
        if self.skipped:
            lines += [f"{len(self.skipped)} pictures gave none:", *(f"  {reason}" for reason in self.skipped[:EXAMPLES])]
        return "\n".join(lines)


def crop_dataset(src: str | Path, dst: str | Path, size_px: int, *, boxes_path: str | None = None) -> CropReport:
    """Cuts a data set into squares, `dst/<class>/<picture>.crop-<left>-<top>.png`, at the files' own resolution.

    Squares of one picture are recognised by their names later, and stay together in a split. A published split becomes folders train, val and test.

    Args:
        src: folder of any known layout.
        dst: folder to write; missing or empty.
        size_px: side of the squares.
        boxes_path: folder of VOC XML boxes, where `src` has neither masks nor boxes.

    Raises:
        DatasetError: nothing can be read, nothing is marked, or `dst` is in use.
    """
    target = Path(dst).expanduser()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DatasetError(f"{target}: not an empty folder.\n  Name a new one, or remove it: squares of two runs must not mix.")
    if size_px < 16:
        raise DatasetError(f"size: {size_px} px is less than 16.")
    listing = load_listing(DataSettings(dataset=detect_layout(src), path=str(src), boxes_path=boxes_path))
    if not any(sample.mask or sample.boxes for sample in listing.samples):
        raise DatasetError(f"{src}: neither masks nor boxes, so nobody knows where the defects are.\n  Name a folder of VOC XML boxes: --boxes PATH.")
    written: Counter[str] = Counter()
    skipped: list[str] = []
    for sample in listing.samples:
        try:
            picture = listing.read(sample)
        except DatasetError as error:
            skipped.append(str(error))
            continue
        if min(picture.pixels.shape[:2]) < size_px:
            skipped.append(f"{sample.name}: {picture.pixels.shape[1]}x{picture.pixels.shape[0]} is smaller than {size_px} px")
            continue
        blocked = defect_map(sample, picture, free=sample.free)
        if blocked is None:
            skipped.append(f"{sample.name}: no mask and no boxes")
            continue
        for square in defect_squares(blocked, size_px) if not sample.free else ():
            cls = _class_in(picture, square, sample, listing)
            _write(target, sample, cls, picture.pixels, square)
            written[cls] += 1
        for square in free_squares(blocked, least=size_px, most=size_px, limit=FREE_PER_PICTURE):
            _write(target, sample, FREE_FOLDERS[0], picture.pixels, square)
            written[FREE_FOLDERS[0]] += 1
    return CropReport(squares=dict(sorted(written.items())), skipped=skipped)


def defect_squares(defect: npt.NDArray[np.bool_], size_px: int) -> list[Square]:
    """Places squares over the connected parts of a defect: one at the middle of a small part, a row or field of them along a large one.

    A part that earlier squares show already gets none of its own.
    """
    height, width = defect.shape
    parts, count = label(defect, structure=np.ones((3, 3)))
    areas = np.bincount(parts.ravel(), minlength=count + 1)
    places = find_objects(parts)
    shown = np.zeros_like(defect)
    squares: list[Square] = []
    for number in sorted(range(1, count + 1), key=lambda number: (-areas[number], number)):
        rows, columns = places[number - 1]
        own = parts == number
        for top in _starts(rows.start, rows.stop, size_px, height):
            for left in _starts(columns.start, columns.stop, size_px, width):
                window = np.s_[top : top + size_px, left : left + size_px]
                fresh = int((own[window] & ~shown[window]).sum())
                if fresh >= LEAST_SHARE * min(int(areas[number]), size_px * size_px):
                    squares.append((left, top, size_px))
                    shown[window] = True
    return squares


def _starts(low: int, high: int, size_px: int, limit: int) -> list[int]:
    """Gives where squares begin that cover low..high evenly: centred if one is enough, and never outside of 0..limit."""
    count = -(-(high - low) // size_px)
    middles = [low + (high - low) * (2 * k + 1) / (2 * count) for k in range(count)]
    return [int(np.clip(round(middle - size_px / 2), 0, limit - size_px)) for middle in middles]


def _class_in(picture: Picture, square: Square, sample: Sample, listing: Listing) -> str:
    """Names the class that fills most of a square, where the mask tells classes apart; else the picture's."""
    if picture.mask is None or picture.mask.dtype == np.bool_:
        return sample.cls
    left, top, side = square
    areas = np.bincount(picture.mask[top : top + side, left : left + side].ravel(), minlength=2)[1:]
    return listing.classes[int(areas.argmax())] if areas.any() and areas.argmax() < len(listing.classes) else sample.cls


def _write(target: Path, sample: Sample, folder: str, pixels: npt.NDArray[np.uint8], square: Square) -> None:
    left, top, side = square
    stem = str(Path(sample.name).with_suffix("")).replace("/", "__")
    path = target / sample.published / folder / f"{stem}.crop-{left}-{top}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side])).save(path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written ({error.strerror or error}).\n  Name another folder, or free some space.") from error
