"""Defect-free images for families that turn a clean surface into a defective one: the data set's own, a folder's, or mined from training pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save
from scipy.ndimage import gaussian_filter

from trainables.datasets.copies.groups import look, near_copies
from trainables.datasets.listing import Listing, Picture, Sample, existing_folder, load_listing
from trainables.datasets.packs import Pack, content_hash
from trainables.datasets.pictures import fit, is_image, pixel_hash, read_picture
from trainables.datasets.settings import DataSettings
from trainables.datasets.splits import Split
from trainables.datasets.squares import defect_map, free_squares, window_sums
from trainables.errors import DatasetError
from trainables.store import Store, stage_key

VERSION = 1

Origin = Literal["folder", "crops:masks", "crops:boxes", "crops:texture"]

PER_PICTURE = 4
"""Squares mined from one picture at most, so that no single surface dominates."""

CURE = "  Use data.backgrounds: crops, or a folder named background, good or normal, or data.backgrounds_path; or leave image-to-image families out."


@dataclass(frozen=True, kw_only=True, slots=True)
class Backgrounds:
    """Defect-free images, all from the training side of a split."""

    key: str
    images: npt.NDArray[np.uint8]
    """(M, C, S, S)."""
    groups: npt.NDArray[np.int64]
    """(M,) group of the picture each comes from; images from outside the data set have numbers of their own."""
    origin: Origin
    """folder: defect-free images as they are. crops: squares outside masks or boxes, or else those of the lowest texture."""
    left_out: int
    """Images of the folder that show a validation or test picture."""


def backgrounds(pack: Pack, split: Split, settings: DataSettings, store: Store) -> Backgrounds:
    """Gives the backgrounds of a split, made and published first where the store has none.

    Raises:
        DatasetError: none can be had; the message says how to get some.
    """
    outside: list[Path] = []
    if settings.backgrounds == "none":
        raise DatasetError(f"data.backgrounds: none, but an image-to-image family starts from defect-free images.\n{CURE}")
    if settings.backgrounds == "folder" and settings.backgrounds_path is not None:
        outside = sorted(file for file in existing_folder(settings.backgrounds_path, "data.backgrounds_path").rglob("*") if is_image(file))
    contents = [content_hash(file) for file in outside]
    key = stage_key("backgrounds", version=VERSION, settings={"backgrounds": settings.backgrounds, "outside": contents}, inputs=[pack.key, split.key])
    entry = store.lookup("backgrounds", key)
    if entry is None:
        if settings.backgrounds == "crops":
            images, groups, origin = _mine(pack, split, settings)
            left_out = 0
        else:
            images, groups, left_out = _folder(pack, split, settings, outside)
            origin = "folder"
        if len(images) == 0:
            raise DatasetError(f"no backgrounds: {_why(settings, origin, left_out)}.\n{CURE}")
        info = {"origin": origin, "left_out": left_out, "images": len(images)}
        entry = store.publish("backgrounds", key, {"backgrounds.safetensors": save({"images": images, "groups": groups})}, info)
    arrays = load(entry.read("backgrounds.safetensors"))
    return Backgrounds(key=key, images=arrays["images"], groups=arrays["groups"], origin=entry.info["origin"], left_out=entry.info["left_out"])


def _why(settings: DataSettings, origin: Origin, left_out: int) -> str:
    if origin != "folder":
        return f"no defect-free square of {settings.size_px} px fits into a training picture"
    if left_out:
        return f"all {left_out} images of {settings.backgrounds_path} show validation or test pictures"
    return f"{settings.backgrounds_path} holds no image" if settings.backgrounds_path else "the training split holds no defect-free image"


def _folder(pack: Pack, split: Split, settings: DataSettings, outside: list[Path]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], int]:
    """Takes whole defect-free images: those of a folder, less any that shows a held-out picture, or the training split's own."""
    if settings.backgrounds_path is None:
        return pack.images[split.backgrounds], pack.groups[split.backgrounds], 0
    pictures = _read_all(outside)
    if not pictures:
        return np.empty((0, *pack.images.shape[1:]), np.uint8), np.empty(0, np.int64), 0
    held_out = np.setdiff1d(np.arange(len(pack.labels)), training_side(pack, split))
    packed = [look(np.ascontiguousarray(image.transpose(1, 2, 0)).squeeze()) for image in pack.images[held_out]]
    leaks = {i for i, _ in near_copies([look(picture) for picture in pictures], packed)}
    kept = [i for i in range(len(pictures)) if i not in leaks]
    images = [fit(pictures[i], settings.size_px, settings.channels) for i in kept]
    numbers = int(pack.groups.max()) + 1 + np.array(kept, dtype=np.int64)
    return np.stack(images) if images else np.empty((0, *pack.images.shape[1:]), np.uint8), numbers, len(leaks)


def _read_all(files: list[Path]) -> list[npt.NDArray[np.uint8]]:
    """Reads the pictures of a folder.

    Raises:
        DatasetError: some cannot be read; names all of them.
    """
    pictures, failures = [], []
    for file in files:
        try:
            pictures.append(read_picture(file))
        except DatasetError as error:
            failures.append(f"  {error}")
    if failures:
        raise DatasetError("\n".join(["data.backgrounds_path: cannot be used as it is:", *failures, "  Mend these images, or take them away."]))
    return pictures


def training_side(pack: Pack, split: Split) -> npt.NDArray[np.int64]:
    """Gives the images that backgrounds may come from: what is trained on, and defect-free images beside it."""
    return np.union1d(split.train, split.backgrounds).astype(np.int64)


def _least(settings: DataSettings, short: int) -> int:
    """Smallest square worth taking, in pixels of the file: nothing is enlarged, unless the picture itself is hardly larger than that."""
    return min(settings.size_px, max(8, short // 2))


def _mine(pack: Pack, split: Split, settings: DataSettings) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], Origin]:
    """Cuts defect-free squares out of the training pictures at their files' own resolution."""
    listing = load_listing(settings)
    by_name = {sample.name: sample for sample in listing.samples}
    chosen = training_side(pack, split).tolist()
    pictures = {i: _read(pack, i, by_name, listing) for i in chosen}
    maps = {i: defect_map(by_name[pack.paths[i]], picture, free=bool(pack.defect_free[i])) for i, picture in pictures.items()}
    squares: list[tuple[int, npt.NDArray[np.uint8]]] = []
    origin: Origin
    if any(known is not None for known in maps.values()):
        origin = "crops:masks" if any(picture.mask is not None or pack.defect_free[i] for i, picture in pictures.items()) else "crops:boxes"
        for i, known in maps.items():
            if known is None:
                continue
            short = min(known.shape)
            for left, top, side in free_squares(known, least=_least(settings, short), most=short, limit=PER_PICTURE):
                squares.append((i, pictures[i].pixels[top : top + side, left : left + side]))
    else:
        origin = "crops:texture"
        squares = _calmest(pack, pictures, settings)
    images = [fit(np.ascontiguousarray(square), settings.size_px, settings.channels) for _, square in squares]
    groups = pack.groups[[i for i, _ in squares]] if squares else np.empty(0, np.int64)
    return np.stack(images) if images else np.empty((0, *pack.images.shape[1:]), np.uint8), groups, origin


def _read(pack: Pack, i: int, by_name: dict[str, Sample], listing: Listing) -> Picture:
    """Reads a packed image's file again, and makes sure that it is still the one that was packed."""
    name = pack.paths[i]
    picture = listing.read(by_name[name]) if name in by_name else None
    if picture is None or pixel_hash(picture.pixels) != pack.hashes[i]:
        raise DatasetError(f"{listing.root}/{name}: {'gone' if picture is None else 'changed'} since it was packed.\n  Put it back as it was.")
    return picture


def _calmest(pack: Pack, pictures: dict[int, Picture], settings: DataSettings) -> list[tuple[int, npt.NDArray[np.uint8]]]:
    """Takes the calmest square of each picture, and of each class the calmer half of these: all that can be done where nobody marked the defects."""
    best: dict[int, list[tuple[float, int, npt.NDArray[np.uint8]]]] = {}
    for i, picture in pictures.items():
        grey = picture.pixels if picture.pixels.ndim == 2 else picture.pixels.mean(axis=2)
        smooth = gaussian_filter(grey.astype(np.float32), min(grey.shape) / 64)
        # Deviation from the surroundings rather than raw variance: light that falls off across the strip is no texture.
        texture = (smooth - gaussian_filter(smooth, min(grey.shape) / 8)) ** 2
        side = max(_least(settings, min(grey.shape)), min(grey.shape) // 2)
        sums = window_sums(texture, side)
        top, left = np.unravel_index(int(np.argmin(sums)), sums.shape)
        square = picture.pixels[top : top + side, left : left + side]
        best.setdefault(int(pack.labels[i]), []).append((float(sums[top, left]), i, square))
    kept = [own for found in best.values() for own in sorted(found, key=lambda one: one[:2])[: (len(found) + 1) // 2]]
    return [(i, square) for _, i, square in sorted(kept, key=lambda one: one[1])]
