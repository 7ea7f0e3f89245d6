"""Decoding and fitting of image files: 8-bit pictures and masks in, square arrays out. Called by loaders, the survey and cropping."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainables.errors import DatasetError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""File name endings of images, in lower case."""

MASK_COVER = 0.25
"""A pixel of a shrunken mask is defect where at least this share of it was: half would lose thin scratches."""

Mask = npt.NDArray[np.bool_] | npt.NDArray[np.uint8]
"""(H, W): true on defects, which are of the image's class; or class numbers, 0 for background and k + 1 for the k-th class of the listing."""

_COLOUR_MODES = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB", "RGBX", "RGBa")
_GREY_MODES = ("1", "L", "LA", "La")


def is_image(path: Path) -> bool:
    """Tells an image by its name; hidden files (`.DS_Store`, `._x.png`) are none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _open(path: Path) -> Image.Image:
    """Decodes a file fully, so that damage shows here.

    Raises:
        DatasetError: with the reason and the cure.
    """
    try:
        if path.stat().st_size == 0:
            raise DatasetError(f"{path}: empty file (0 bytes)")
        with Image.open(path) as image:
            if _bits(image) > 8:
                raise DatasetError(f"{path}: {_bits(image)} bits per channel, expected 8")
            image.load()
            return image.copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if isinstance(error, Image.UnidentifiedImageError):
            reason = "not an image, or a damaged one"
        raise DatasetError(f"{path}: cannot be read ({reason})") from error


def _bits(image: Image.Image) -> int:
    """Gives the bits per channel; Pillow itself turns 16-bit colour into 8 bits without a word."""
    if image.mode.startswith(("I", "F")):
        return 16 if "16" in image.mode or image.format == "PNG" else 32
    if image.format == "PNG":
        raw_modes = [str(tile[3]) for tile in getattr(image, "tile", ())]
        return 16 if any(";16" in mode for mode in raw_modes) else 8
    if image.format == "TIFF":
        return max(image.tag_v2.get(258, (8,)))  # type: ignore[attr-defined]
    return 8


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """Reads an image as (H, W) grey, or (H, W, 3) where the file is in colour.

    Raises:
        DatasetError: the file is missing, empty, damaged or of more than 8 bits.
    """
    image = _open(path)
    if image.mode in _GREY_MODES:
        return np.asarray(image.convert("L"))
    if image.mode in _COLOUR_MODES:
        return np.asarray(image.convert("RGB"))
    raise DatasetError(f"{path}: pixels of mode {image.mode}, expected 8-bit grey or colour")


def read_mask(path: Path) -> npt.NDArray[np.bool_]:
    """Reads a mask as (H, W), true on defects.

    Masks with values up to 255 have soft edges, so they are cut at half; masks with few small values hold class numbers, and any is a defect.

    Raises:
        DatasetError: the file cannot be read.
    """
    image = _open(path)
    values = np.asarray(image if image.mode in ("L", "P", "1") else image.convert("L")).astype(np.uint8)
    return values > (127 if values.max(initial=0) > 127 else 0)


def read_numbers(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a mask as (H, W) of the very numbers that the file holds: palette indices, or levels of grey.

    Raises:
        DatasetError: the file cannot be read, or is in colour.
    """
    image = _open(path)
    if image.mode in ("L", "P", "1"):
        return np.asarray(image).astype(np.uint8)
    values = np.asarray(image.convert("RGB"))
    if (values != values[..., :1]).any():
        raise DatasetError(f"{path}: a mask in colour, expected one number per pixel: 0 for background, then the classes")
    return np.ascontiguousarray(values[..., 0])


def is_coloured(pixels: npt.NDArray[np.uint8]) -> bool:
    """Tells whether channels differ by more than the rounding of a JPEG."""
    # Most colour files of steel are grey in three equal channels, which is quickly seen.
    if pixels.ndim == 2 or (pixels == pixels[..., :1]).all():
        return False
    # Beyond 4 from the mean of the three channels, in whole numbers.
    wide = pixels.astype(np.int16)
    return bool(np.abs(3 * wide - wide.sum(axis=2, keepdims=True, dtype=np.int16)).max(initial=0) > 12)


Sides = int | tuple[int, int]
"""Side of a square, or height and width, in pixels."""


def _height_and_width(size_px: Sides) -> tuple[int, int]:
    return (size_px, size_px) if isinstance(size_px, int) else size_px


def fit(pixels: npt.NDArray[np.uint8], size_px: Sides, channels: int) -> npt.NDArray[np.uint8]:
    """Resizes a picture to (channels, height, width), antialiased bicubic; another ratio of sides is squeezed."""
    height, width = _height_and_width(size_px)
    image = Image.fromarray(pixels).convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    array = np.asarray(image)
    return array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def fit_mask(mask: Mask, size_px: Sides) -> npt.NDArray[np.uint8]:
    """Resizes a mask to (height, width) of its own numbers (0 and 1 for a boolean one); none of them vanishes by shrinking."""
    size = _height_and_width(size_px)
    numbers = [number for number in values_of(mask) if number]
    if mask.shape == size or not numbers:
        return mask.astype(np.uint8) if numbers else np.zeros(size, np.uint8)
    covers = np.stack([_cover(mask == number, size) for number in numbers])
    shown = [cover >= min(MASK_COVER, float(cover.max())) for cover in (*covers, _cover(mask > 0, size))]
    # What several classes cover belongs to the one that covers most of it, and a class that nowhere does keeps its best pixel.
    fitted: npt.NDArray[np.uint8] = np.where(np.any(shown, axis=0), np.array(numbers)[covers.argmax(axis=0)], 0).astype(np.uint8)
    for number, cover in zip(numbers, covers, strict=True):
        if not (fitted == number).any():
            fitted.flat[_spare(fitted, cover)] = number
    return fitted


def values_of(mask: Mask) -> list[int]:
    """Lists the values that occur in a mask, in order."""
    return [int(value) for value in np.flatnonzero(np.bincount(mask.ravel(), minlength=2))]


def _cover(part: npt.NDArray[np.bool_], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Gives the share of each shrunken pixel that a part covers: (height, width) of 0..1."""
    return np.asarray(Image.fromarray(part.astype(np.float32)).resize(size[::-1], Image.Resampling.BOX))


def _spare(fitted: npt.NDArray[np.uint8], cover: npt.NDArray[np.float32]) -> int:
    """Picks the flat index of the pixel that shows most of a class, or else is nearest to it, without taking another class's last one."""
    free = np.flatnonzero((fitted == 0) | (np.bincount(fitted.ravel(), minlength=256)[fitted] > 1))
    peak = np.unravel_index(int(cover.argmax()), cover.shape)
    rows, columns = np.unravel_index(free, cover.shape)
    distance = (rows - peak[0]) ** 2 + (columns - peak[1]) ** 2
    return int(free[np.lexsort((distance, -cover.flat[free]))[0]])


def thumbnail(pixels: npt.NDArray[np.uint8], side_px: int) -> npt.NDArray[np.float32]:
    """Shrinks a picture to a grey (side_px, side_px) of 0..255, every pixel the mean of its area."""
    image = Image.fromarray(pixels).convert("L").convert("F")
    return np.asarray(image.resize((side_px, side_px), Image.Resampling.BOX), dtype=np.float32)


def pixel_hash(pixels: npt.NDArray[np.uint8]) -> str:
    """Hashes decoded pixels: equal for equal pictures, whatever file format they came in."""
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()
