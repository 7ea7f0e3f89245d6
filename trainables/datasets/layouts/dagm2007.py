"""DAGM 2007: ten computed textures, good and with one defect each, `Class<n>/{Train,Test}/<number>.PNG`, masks in `Label` beside the images.

M. Wieler, T. Hahn, Weakly Supervised Learning for Industrial Optical Inspection, DAGM 2007. Masks are coarse ellipses, `Label/<number>_label.PNG`, of
defective images only. `Label/Labels.txt`, where it is present, has a line per image behind its first: number, 0 or 1 for defective, image, and at its
end the mask; tabs between them. It gives all three kinds of labels: surface (the folder), image (good or defective) and pixel (the mask). What the
classes are, and DAGM_MIX, is told in `labelling`; a path may also name a single `Class<n>`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from trainables.datasets.layouts.labelling import DEFECT, class_of, classes_of, thin_good
from trainables.datasets.listing import Listing, Problem, Sample, dataset_root, gather
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError

_CLASS = re.compile(r"class_?(\d+)", re.IGNORECASE)
_PARTS = ("train", "test")
_MARK = "_label"


@dataclass(kw_only=True, slots=True)
class _Part:
    """One folder of images."""

    surface: str
    published: str
    folder: Path


class Dagm2007:
    """Lists DAGM 2007, whole or a single class."""

    def recognises(self, path: Path) -> bool:
        """Wants `Class<n>/Train` or `Class<n>/Test`, or a folder `Class<n>` with a `Label` folder."""
        parts = _parts(path)
        return bool(parts) and (parts[0].folder.parent != path or any((part.folder / "Label").is_dir() for part in parts))

    def listing(self, settings: DataSettings) -> Listing:
        """Lists every image with its surface, and with the mask of its defect.

        Raises:
            DatasetError: no folder, or not this layout.
        """
        root = dataset_root(settings)
        parts = _parts(root)
        if not parts:
            raise DatasetError(f"{root}: no folder Class<n>/Train or Class<n>/Test inside.\n  Expected Class1/Train/0576.PNG, its mask in Label, ...")
        several = len({part.surface for part in parts}) > 1
        found: list[tuple[str, Sample]] = []
        problems: list[Problem] = []
        for part in parts:
            images = {file.stem: file for file in _images(part.folder)}
            masks = {file.stem.removesuffix(_MARK): file for file in _images(part.folder / "Label") if file.stem.endswith(_MARK)}
            told = _told(part.folder / "Label", problems)
            problems += _judge(part.folder, images, masks, told)
            for stem, file in sorted(images.items()):
                defective = stem in masks or told.get(stem, False)
                cls, clean = class_of(part.surface, DEFECT if defective else None, settings.surfaces, several=several)
                name = file.relative_to(root).as_posix()
                found.append((part.surface, Sample(name=name, cls=cls, clean=clean, file=file, mask=masks.get(stem), published=part.published)))
        samples = thin_good(found, settings.surfaces)
        return Listing(root=root, classes=classes_of(samples), samples=samples, problems=problems)


def _parts(root: Path) -> list[_Part]:
    """Finds the folders of images, in the order of the classes' numbers."""
    numbered = sorted((int(match[1]), folder) for folder in (root, *_folders(root)) if (match := _CLASS.fullmatch(folder.name)))
    return [
        _Part(surface=f"class{number}", published=part.name.lower(), folder=part)
        for number, folder in numbered
        for part in reversed(_folders(folder))
        if part.name.lower() in _PARTS
    ]


def _folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if file.suffix.lower() == ".png" and not file.name.startswith(".")] if folder.is_dir() else []


def _told(folder: Path, problems: list[Problem]) -> dict[str, bool]:
    """Reads which images are defective, by their numbers; empty without a `Labels.txt`."""
    file = next((file for file in sorted(folder.glob("*.txt")) if file.name.lower() == "labels.txt"), None)
    if file is None:
        return {}
    told: dict[str, bool] = {}
    strange = []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines()[1:], start=2):
        cells = line.split()
        if len(cells) >= 2 and cells[1] in ("0", "1"):
            told[cells[0]] = cells[1] == "1"
        elif cells:
            strange.append(f"{file}:{number}: {line.strip()!r}")
    cure = "Copy the file anew from the source, or remove it: masks alone say which images are defective."
    problems += gather("error", "lines of Labels.txt without a number and 0 or 1", strange, cure)
    return told


def _judge(folder: Path, images: dict[str, Path], masks: dict[str, Path], told: dict[str, bool]) -> list[Problem]:
    """Compares images, masks and `Labels.txt`."""
    bare = [str(images[stem]) for stem in sorted(images) if told.get(stem) and stem not in masks]
    torn = [str(masks[stem]) for stem in sorted(masks) if told.get(stem) is False]
    orphans = [str(masks[stem]) for stem in sorted(masks) if stem not in images]
    lost = [str(folder / f"{stem}.PNG") for stem in sorted(told) if stem not in images]
    return [
        *gather("error", "classes without an image", [] if images else [str(folder)], "Put images in (<number>.PNG), or remove the folder."),
        *gather("warning", "defective images without a mask", bare, "They are used for their class alone. Add Label/<number>_label.PNG."),
        *gather("error", "masks of images that Labels.txt calls good", torn, "Correct Labels.txt, or remove the mask."),
        *gather("warning", "masks without an image", orphans, "They are left out. Add the image of the same number, or remove them."),
        *gather("note", "images of Labels.txt that are not there", lost),
    ]
