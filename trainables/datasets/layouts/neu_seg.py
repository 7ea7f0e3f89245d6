"""NEU_Seg: three classes of NEU with masks of class numbers, and images that show several of them.

H. Dong, K. Song, Y. He, J. Xu, Y. Yan, Q. Meng, IEEE TII 16 (2020) 7448-7458. `images/{training,test}/<6 digits>.jpg` has its mask of the same digits
under `annotations/`. The published split holds turned copies of its test images in training; one number in both parts is two pictures.
"""

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.datasets.listing import DEFECT_FREE, Listing, Problem, Sample, dataset_root, gather, read_files
from trainables.datasets.pictures import is_image, read_numbers
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError

CLASSES = ("inclusion", "patches", "scratches")
"""Number k + 1 in a mask is the k-th."""

_PARTS = {"training": "train", "test": "test"}


class NeuSeg:
    """Lists NEU_Seg."""

    def recognises(self, path: Path) -> bool:
        """Wants images and annotations of one part."""
        return any((path / "images" / part).is_dir() and (path / "annotations" / part).is_dir() for part in _PARTS)

    def listing(self, settings: DataSettings) -> Listing:
        """Lists images with their masks, which are read to learn what class an image is of: the one that covers most of it.

        Raises:
            DatasetError: no folder, or not this layout.
        """
        root = dataset_root(settings)
        if not self.recognises(root):
            raise DatasetError(
                f"{root}: no images/training beside annotations/training inside, and neither a test part.\n"
                "  Expected images/{training,test}/<6 digits>.jpg and annotations/{training,test}/<the same digits>.png."
            )
        samples: list[Sample] = []
        found: dict[str, list[str]] = {kind: [] for kind in ("bare", "orphan", "broken", "empty", "several")}
        for part, published in _PARTS.items():
            masks = {file.stem: file for file in _files(root / "annotations" / part)}
            images = _files(root / "images" / part)
            found["orphan"] += [str(masks[stem]) for stem in sorted(masks.keys() - {image.stem for image in images})]
            for image in images:
                name, mask = image.relative_to(root).as_posix(), masks.get(image.stem)
                if mask is None:
                    found["bare"].append(str(image))
                    continue
                try:
                    areas = _areas(mask)
                except DatasetError as error:
                    found["broken"].append(str(error))
                    continue
                if not areas.any():
                    found["empty"].append(str(mask))
                shown = [cls for cls, area in zip(CLASSES, areas, strict=False) if area]
                if len(shown) > 1:
                    found["several"].append(f"{name}: {', '.join(shown)}")
                cls = CLASSES[int(areas[: len(CLASSES)].argmax())] if areas.any() else DEFECT_FREE
                samples.append(Sample(name=name, cls=cls, file=image, mask=mask, published=published))
        read = partial(read_files, numbers=True)
        return Listing(root=root, classes=CLASSES, samples=samples, problems=_problems(found), read=read)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if is_image(file))


def _areas(mask: Path) -> npt.NDArray[np.int64]:
    """Counts the pixels of each number from 1 in a mask, (255,). Numbers that no class has are left to the survey, which tells all of them.

    Raises:
        DatasetError: the mask cannot be read.
    """
    return np.bincount(read_numbers(mask).ravel(), minlength=256)[1:]


def _problems(found: dict[str, list[str]]) -> list[Problem]:
    return [
        *gather("error", "masks that cannot be read", found["broken"], "Copy them anew from the source, or remove them with their images."),
        *gather(
            "warning", "images without a mask", found["bare"], "They are left out: the mask says what class they are of. Add annotations/<name>.png."
        ),
        *gather("warning", "masks without an image", found["orphan"], "They are left out. Add images/<name>.jpg, or remove them."),
        *gather("warning", "empty masks, whose images count as defect-free", found["empty"], "Draw the defects, if there are any."),
        *gather("note", "images of several classes, each labelled by the class that covers most of it", found["several"]),
    ]
