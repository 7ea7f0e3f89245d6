"""Severstal: steel strips of 1600x256 px with run-length encoded masks of four classes, cut into six squares each.

Kaggle competition "Severstal: Steel Defect Detection" (2019): `train_images/<9 hex>.jpg` and `train.csv` with `ImageId,ClassId,EncodedPixels`. An
image without a row is defect-free. The squares are those of the LM-GAN paper: 256 px, no overlap, the last 64 columns dropped. Kaggle numbers the
classes and does not name them.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.datasets.layouts.run_lengths import Runs, areas_between, paint, read_table
from trainables.datasets.listing import DEFECT_FREE, Listing, Picture, Sample, dataset_root, gather
from trainables.datasets.pictures import is_image, read_picture
from trainables.datasets.settings import DataSettings, SeverstalSettings
from trainables.errors import DatasetError

WIDTH, HEIGHT = 1600, 256
"""Of every picture, in pixels."""

CLASSES = ("defect_1", "defect_2", "defect_3", "defect_4")
"""By ClassId."""

EDGES = np.arange(0, WIDTH + 1 - WIDTH % HEIGHT, HEIGHT)
"""Columns where squares begin and end: 0, 256, ... 1536."""

TABLE, IMAGES = "train.csv", "train_images"


class Severstal:
    """Lists Severstal."""

    def recognises(self, path: Path) -> bool:
        """Wants the table beside the folder of images."""
        return (path / TABLE).is_file() and (path / IMAGES).is_dir()

    def listing(self, settings: DataSettings) -> Listing:
        """Lists six squares of each picture; they are a group.

        Raises:
            DatasetError: no folder, not this layout, or a table that cannot be read.
        """
        root = dataset_root(settings)
        if not self.recognises(root):
            raise DatasetError(f"{root}: no {TABLE} beside a folder {IMAGES} inside.\n  Expected both, as Kaggle's archive has them.")
        wanted = settings.severstal
        files = sorted(file for file in (root / IMAGES).iterdir() if is_image(file))
        if not files:
            raise DatasetError(f"{root / IMAGES}: no image inside.\n  Expected <9 hex>.jpg of {WIDTH}x{HEIGHT} px.")
        table = read_table(root / TABLE, pixels=WIDTH * HEIGHT, classes=len(CLASSES), exists={file.name for file in files}.__contains__)
        classes, numbers = _classes(table.runs, wanted)
        samples: list[Sample] = []
        small: list[str] = []
        for file in files:
            areas = _areas(table.runs.get(file.name, {}), numbers, len(classes))
            for left, own in zip(EDGES.tolist(), areas, strict=False):
                name = f"{IMAGES}/{file.stem}.crop-{left}-0{file.suffix}"
                defective = int(own.sum()) >= wanted.min_area_px
                if own.any() and not defective:
                    small.append(f"{name}: {own.sum()} px")
                cls = classes[int(own.argmax())] if defective else DEFECT_FREE
                samples.append(Sample(name=name, cls=cls, file=file, mask=root / TABLE if defective else None, group=file.stem))
        what = f"crops with fewer than {wanted.min_area_px} marked pixels, taken as defect-free"
        return Listing(
            root=root,
            classes=classes,
            samples=samples,
            problems=[*table.problems, *gather("note", what, small, "data.severstal.min_area_px says how many it takes.")],
            read=partial(_read, whole=lru_cache(maxsize=1)(read_picture), runs=table.runs, numbers=numbers),
            content=f"severstal {wanted.labels} {wanted.min_area_px}",
        )


def _classes(runs: dict[str, dict[int, Runs]], wanted: SeverstalSettings) -> tuple[tuple[str, ...], npt.NDArray[np.uint8]]:
    """Names the classes that occur, and gives the number in masks of each ClassId, (5,), 0 for background."""
    occurring = sorted({number for own in runs.values() for number in own})
    numbers = np.zeros(1 + len(CLASSES), dtype=np.uint8)
    if wanted.labels == "defect":
        numbers[1:] = 1
        return ("defect",), numbers
    numbers[occurring] = np.arange(1, 1 + len(occurring))
    return tuple(CLASSES[number - 1] for number in occurring), numbers


def _areas(runs: dict[int, Runs], numbers: npt.NDArray[np.uint8], classes: int) -> npt.NDArray[np.int64]:
    """Counts the marked pixels of each class in each square of a picture: (6, classes)."""
    areas = np.zeros((len(EDGES) - 1, classes), dtype=np.int64)
    for number, own in runs.items():
        areas[:, numbers[number] - 1] += areas_between(own, EDGES * HEIGHT)
    return areas


def _read(
    sample: Sample, *, whole: Callable[[Path], npt.NDArray[np.uint8]], runs: dict[str, dict[int, Runs]], numbers: npt.NDArray[np.uint8]
) -> Picture:
    """Reads a square; `whole` keeps the last picture, because its squares follow each other."""
    assert sample.file is not None
    pixels = whole(sample.file)
    if pixels.shape[:2] != (HEIGHT, WIDTH):
        raise DatasetError(f"{sample.file}: {pixels.shape[1]}x{pixels.shape[0]} px, {WIDTH}x{HEIGHT} expected by the layout")
    left = int(sample.name.rpartition(".crop-")[2].split("-")[0])
    square = np.ascontiguousarray(pixels[:, left : left + HEIGHT])
    if sample.mask is None:
        return Picture(pixels=square, mask=np.zeros((HEIGHT, HEIGHT), np.uint8))
    return Picture(pixels=square, mask=numbers[paint(runs[sample.file.name], HEIGHT, left, left + HEIGHT)])
