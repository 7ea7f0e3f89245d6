"""Photometric stereo: three grey files per picture, stacked into channels that are measured quantities and no colours.

Saiz et al. (Appl. Sci. 11:6368, section 2.1) have curvature, range and texture. Either each picture is `<class>/<picture>_<name>.png` once for each
of three names (`data.photometric.names`, R, G and B unless said otherwise; `-` and `.` do in the place of `_`), or each channel is a folder,
`<name>/<class>/<picture>.png`. Both may lie under train, val and test. Masks as for `image_folder`, by the picture's name without the channel's.
Such a listing is `physical`, and so is its pack: changes that treat channels as colours (DiffAugment's `color`, jitter of saturation or hue) must
not be applied.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables.datasets.layouts.image_folder import FREE_FOLDERS, class_folders
from trainables.datasets.layouts.mask_folders import find_masks
from trainables.datasets.listing import DEFECT_FREE, Listing, Picture, Problem, Sample, dataset_root, gather, read_files
from trainables.datasets.pictures import is_coloured, is_image, read_picture
from trainables.datasets.settings import DataSettings, PhotometricSettings
from trainables.errors import DatasetError


@dataclass(kw_only=True, slots=True)
class _Found:
    """One picture."""

    published: str
    cls: str
    files: dict[str, Path]
    """Name of a channel -> its file."""


class PhotometricStereo:
    """Lists pictures of three files each."""

    def recognises(self, path: Path) -> bool:
        """Wants a picture that has all three files, under the usual names."""
        return any(len(picture.files) == 3 for picture in _pictures(path, PhotometricSettings().names).values())

    def listing(self, settings: DataSettings) -> Listing:
        """Lists every picture that has all three files.

        Raises:
            DatasetError: no folder, or no picture of three files.
        """
        root = dataset_root(settings)
        names = settings.photometric.names
        samples: list[Sample] = []
        torn: list[str] = []
        for name, picture in sorted(_pictures(root, names).items()):
            if missing := [channel for channel in names if channel not in picture.files]:
                torn.append(f"{name}: no {', '.join(missing)}")
                continue
            first, *others = (picture.files[channel] for channel in names)
            samples.append(Sample(name=name, cls=picture.cls, file=first, planes=tuple(others), published=picture.published))
        if not samples:
            one = names[0]
            raise DatasetError(
                f"{root}: no picture has a file for each of {', '.join(names)}.\n"
                f"  Expected <class>/<picture>_{one}.png and so on, or {one}/<class>/<picture>.png; data.photometric.names names the channels."
            )
        problems: list[Problem] = gather("error", "pictures without all three files", torn, "Add the missing files, or remove the others.")
        if (masks := find_masks(root, settings)) is not None:
            samples, told = masks.give(samples)
            problems += told
        classes = sorted({sample.cls for sample in samples} - {DEFECT_FREE})
        return Listing(root=root, classes=tuple(classes), samples=samples, problems=problems, read=read_channels, physical=True)


def read_channels(sample: Sample) -> Picture:
    """Reads a sample's three grey files as the channels of one picture, and its mask.

    Raises:
        DatasetError: a file cannot be read, is in colour, or the sizes differ.
    """
    first = read_files(sample)
    assert sample.file is not None
    channels = []
    for file in (sample.file, *sample.planes):
        pixels = first.pixels if file == sample.file else read_picture(file)
        if is_coloured(pixels):
            raise DatasetError(f"{file}: in colour; cannot serve as one channel of three")
        channels.append(pixels if pixels.ndim == 2 else pixels[..., 0])
        if channels[-1].shape != channels[0].shape:
            (height, width), (first_height, first_width) = channels[-1].shape, channels[0].shape
            raise DatasetError(f"{file}: {width}x{height} beside {first_width}x{first_height}; cannot serve as one channel of three")
    return Picture(pixels=np.stack(channels, axis=2), mask=first.mask)


def _pictures(root: Path, names: Sequence[str]) -> dict[str, _Found]:
    """Finds the pictures by their names below the data set's folder, without the channel's; some may lack a channel."""
    found: dict[str, _Found] = {}

    def add(base: Path, published: str, folder: Path, stem: str, channel: str, file: Path) -> None:
        cls = DEFECT_FREE if folder.name.lower() in FREE_FOLDERS else folder.name
        name = f"{folder.relative_to(base).as_posix()}/{stem}{file.suffix.lower()}"
        found.setdefault(name, _Found(published=published, cls=cls, files={})).files[channel] = file

    if all((root / name).is_dir() for name in names):
        for channel in names:
            for published, folder in class_folders(root / channel):
                for file in _images(folder):
                    add(root / channel, published, folder, file.stem, channel, file)
        return found
    named = re.compile(rf"(.+)[_.-]({'|'.join(map(re.escape, names))})")
    for published, folder in class_folders(root):
        for file in _images(folder):
            if match := named.fullmatch(file.stem):
                add(root, published, folder, match[1], match[2], file)
    return found


def _images(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if is_image(file))
