"""Masks in a folder of their own that mirrors the images' folders: `masks/<class>/<name of the image>.png`. Called by loaders of users' images."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from trainables.datasets.listing import Problem, Sample, existing_folder, gather
from trainables.datasets.pictures import is_image
from trainables.datasets.settings import DataSettings

FOLDER = "masks"
"""Name of a folder of masks beside the class folders; no class can be called this."""

ENDS = ("", "_mask", "_label")
"""What a mask's name may add to its image's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskFolder:
    """A folder of masks."""

    root: Path
    masks: dict[str, Path]
    """Path below the folder without suffix -> file."""

    def give(self, samples: Iterable[Sample]) -> tuple[list[Sample], list[Problem]]:
        """Gives each sample its mask, and says which are missing or left over; a defect-free image needs none."""
        given: list[Sample] = []
        used: set[str] = set()
        bare: list[str] = []
        for sample in samples:
            stem = str(Path(sample.name).with_suffix(""))
            key = next((stem + end for end in ENDS if stem + end in self.masks), None)
            if key is None and not sample.free:
                bare.append(sample.name)
            if key is not None:
                used.add(key)
                sample = replace(sample, mask=self.masks[key])
            given.append(sample)
        orphans = [str(file) for key, file in self.masks.items() if key not in used]
        cure = f"They are used for their class alone. Add {self.root}/<class>/<name of the image>.png."
        return given, [
            *gather("warning", "images without a mask", bare, cure),
            *gather("warning", "masks without an image", orphans, "They are left out. Name each like its image, in a folder of the same class."),
        ]


def find_masks(root: Path, settings: DataSettings) -> MaskFolder | None:
    """Finds the masks of a folder of images: where the settings say, else in a folder `masks` inside it, or beside it where it is called `images`.

    Raises:
        DatasetError: the folder that the settings name cannot be read.
    """
    places = [root / FOLDER, *([root.parent / FOLDER] if root.name.lower() == "images" else [])]
    named = existing_folder(settings.masks_path, "data.masks_path") if settings.masks_path else None
    folder = named or next((place for place in places if place.is_dir()), None)
    if folder is None:
        return None
    masks = {file.relative_to(folder).with_suffix("").as_posix(): file for file in sorted(folder.rglob("*")) if is_image(file)}
    return MaskFolder(root=folder, masks=masks)
