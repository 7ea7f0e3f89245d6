"""Any folder of folders: `<class>/*.png|jpg|bmp|tif`, or the same under train, val and test. The layout of a user's own images.

Masks, where there are any, lie in a folder of their own with the same folders and names: `data.masks_path`, or `masks` beside the classes.
"""

import re
from pathlib import Path

from trainables.datasets.layouts.boxes import read_boxes, unmatched
from trainables.datasets.layouts.mask_folders import FOLDER, find_masks
from trainables.datasets.listing import DEFECT_FREE, EXAMPLES, Listing, Problem, Sample, dataset_root, existing_folder
from trainables.datasets.pictures import is_image
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError

FREE_FOLDERS = ("background", "good", "normal")
"""Folder names, in any case, that mark defect-free images."""

CROP_NAME = re.compile(r"(.+)\.crop-\d+-\d+")
"""Stem of a square that `data crop` cut out: the picture it came from, and where from."""

_PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test", "testing": "test"}


class ImageFolder:
    """Lists folders of images."""

    def recognises(self, path: Path) -> bool:
        """Wants at least one folder with an image right inside."""
        return any(is_image(file) for _, folder in class_folders(path) for file in folder.iterdir())

    def listing(self, settings: DataSettings) -> Listing:
        """Lists every class; squares cut from one picture are a group.

        Raises:
            DatasetError: no folder, or none inside it.
        """
        root = dataset_root(settings)
        folders = class_folders(root)
        if not folders:
            raise DatasetError(f"{root}: no folder inside.\n  Expected one folder of images per class: {root}/<class>/*.png, jpg, bmp or tif.")
        masks = find_masks(root, settings)
        annotations, problems = read_boxes(existing_folder(settings.boxes_path, "data.boxes_path")) if settings.boxes_path else ({}, [])
        samples: list[Sample] = []
        used: set[str] = set()
        empty: list[str] = []
        for published, folder in folders:
            files = sorted(file for file in folder.rglob("*") if is_image(file))
            if not files:
                empty.append(str(folder))
            cls = DEFECT_FREE if folder.name.lower() in FREE_FOLDERS else folder.name
            for file in files:
                crop = CROP_NAME.fullmatch(file.stem)
                annotation = annotations.get(file.stem)
                used.add(file.stem)
                samples.append(
                    Sample(
                        name=file.relative_to(root).as_posix(),
                        cls=cls,
                        file=file,
                        boxes=annotation.boxes if annotation else (),
                        group=crop[1] if crop else None,
                        published=published,
                    )
                )
        if empty:
            cure = "Put images in (png, jpg, bmp or tif), or remove the folder."
            problems.append(Problem(severity="error", what="classes without an image", where=tuple(empty[:EXAMPLES]), count=len(empty), cure=cure))
        loose = [str(file) for file in sorted(root.iterdir()) if is_image(file)]
        if loose:
            cure = "They are left out. Move them into the folder of their class."
            problems.append(
                Problem(severity="warning", what="images outside of any class folder", where=tuple(loose[:EXAMPLES]), count=len(loose), cure=cure)
            )
        if masks is not None:
            samples, told = masks.give(samples)
            problems += told
        if annotations:
            problems += unmatched([sample for sample in samples if sample.cls != DEFECT_FREE], annotations, used)
        classes = sorted({sample.cls for sample in samples} - {DEFECT_FREE})
        return Listing(root=root, classes=tuple(classes), samples=samples, problems=problems)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def class_folders(root: Path) -> list[tuple[str, Path]]:
    """Gives the class folders with the published part they lie in; empty without one."""
    top = [folder for folder in _folders(root) if folder.name.lower() != FOLDER]
    if top and all(folder.name.lower() in _PARTS for folder in top):
        return [(_PARTS[part.name.lower()], folder) for part in top for folder in _folders(part)]
    return [("", folder) for folder in top]
