"""NEU-DET: the six classes of NEU-CLS with boxes, in the original flat archive or the Kaggle packaging.

Y. He, K. Song, Q. Meng, Y. Yan, IEEE TIM 69 (2020) 1493-1504. `<class>_<N>.jpg` is the picture `<code>_<N>.bmp` of NEU-CLS. The class of an image
is that of its file name: some of its boxes may show another. Kaggle's `validation` is the part that results are reported on, so it is the test part.
"""

from collections.abc import Iterator
from pathlib import Path

from trainables.datasets.layouts.boxes import Annotation, read_boxes, unmatched
from trainables.datasets.layouts.neu_cls import CODES
from trainables.datasets.listing import Listing, Problem, Sample, dataset_root, gather
from trainables.datasets.pictures import is_image
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError

CLASSES = tuple(CODES.values())

_PACKAGINGS = (("IMAGES", "ANNOTATIONS", ""), ("train/images", "train/annotations", "train"), ("validation/images", "validation/annotations", "test"))
"""Folder of images, folder of box files, and the part of the published split; the first one is the original archive's."""


class NeuDet:
    """Lists NEU-DET."""

    def recognises(self, path: Path) -> bool:
        """Wants a folder of images beside one of box files, and an image there that is named like one of NEU-DET."""
        beside = any((path / images).is_dir() and (path / boxes).is_dir() for images, boxes, _ in _PACKAGINGS)
        return beside and any(_class_of(file) in CLASSES for _, file in _images(path))

    def listing(self, settings: DataSettings) -> Listing:
        """Lists images with their boxes, wherever in the data set the box file lies.

        Raises:
            DatasetError: no folder, or no file there is named like one of NEU-DET.
        """
        root = dataset_root(settings)
        # All box files together: the box file of crazing_240 lies under validation, its image under train.
        annotations, problems = read_boxes(root)
        samples: list[Sample] = []
        strangers: list[str] = []
        astray: list[str] = []
        for published, file in _images(root):
            cls = _class_of(file)
            if cls not in CLASSES:
                strangers.append(str(file))
                continue
            if file.parent.name in CLASSES and file.parent.name != cls:
                astray.append(str(file))
            boxes = annotations[file.stem].boxes if file.stem in annotations else ()
            samples.append(Sample(name=file.relative_to(root).as_posix(), cls=cls, file=file, boxes=boxes, published=published))
        if not samples:
            raise DatasetError(
                f"{root}: no image is named like one of NEU-DET.\n"
                "  Expected IMAGES/<class>_<N>.jpg and ANNOTATIONS/<class>_<N>.xml, or {train,validation}/images/<class>/<class>_<N>.jpg and "
                f"{{train,validation}}/annotations/<class>_<N>.xml, with a class of {', '.join(CLASSES)}."
            )
        problems += gather("warning", "images of no known class", strangers, f"They are left out. The classes are {', '.join(CLASSES)}.")
        problems += gather("warning", "images in the folder of another class than their name's", astray, "They count as what they are named.")
        problems += unmatched(samples, annotations, {Path(sample.name).stem for sample in samples}, folder="the folder of annotations")
        problems += _other_classes(samples, annotations)
        present = {sample.cls for sample in samples}
        return Listing(root=root, classes=tuple(cls for cls in CLASSES if cls in present), samples=samples, problems=problems)


def _images(root: Path) -> Iterator[tuple[str, Path]]:
    """Yields the images with their published part."""
    for folder, _, published in _PACKAGINGS:
        yield from ((published, file) for file in sorted((root / folder).rglob("*")) if is_image(file))


def _class_of(file: Path) -> str:
    """Reads the class from a file name, from the right: `pitted_surface_1` and `rolled-in_scale_1` hold the separator themselves."""
    cls, _, number = file.stem.rpartition("_")
    return cls if number.isdigit() else ""


def _other_classes(samples: list[Sample], annotations: dict[str, Annotation]) -> list[Problem]:
    """Notes boxes that are said to show another class than their image."""
    found = []
    for sample in samples:
        annotation = annotations.get(Path(sample.name).stem)
        if annotation is not None:
            found += [f"{sample.name}: a box of {name or 'no name'}" for name in annotation.names if name != sample.cls]
    return gather("note", "boxes of another class than their image", found, "The image keeps the class of its name; the boxes count as its defects.")
