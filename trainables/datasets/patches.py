"""Pictures as they are trained on: borders removed, resized to a common aspect ratio, cut into square patches that the mask names.

The pack of whole pictures comes first: it knows what can be read, which pictures are copies of each other, and thereby the split, which is the same
however pictures are cut. A pack of patches holds the patches of each picture in one piece, row by row, in the order of the whole pack. Called by
`bench` and, once a study begins, by `search.prepare`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainables.datasets.borders import find_part
from trainables.datasets.layouts.boxes import fill_boxes
from trainables.datasets.listing import DEFECT_FREE, EXAMPLES, Listing, Picture, Sample, load_listing
from trainables.datasets.packs import FILE, Pack, fixed_lists, read_rows, write_rows
from trainables.datasets.pictures import fit, fit_mask, pixel_hash
from trainables.datasets.preprocessing import PreprocessPart
from trainables.datasets.settings import DataSettings
from trainables.datasets.splits import PARTS, Indices, Split
from trainables.datasets.survey import class_numbers
from trainables.errors import DatasetError
from trainables.store import Store, stage_key

VERSION = 1

MOST_LOST = 0.5
"""Share of a picture's marked pixels that may lie in what is taken for a black border."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """One picture, cut; P patches, row by row."""

    images: npt.NDArray[np.uint8]
    """(P, C, S, S)."""
    masks: npt.NDArray[np.uint8]
    """(P, S, S) of class numbers; of a picture with boxes alone they are filled."""
    boxes: list[list[Box]]
    """Of each patch, in fractions of its sides."""
    size_px: tuple[int, int]
    """Height and width of a patch in pixels of the file."""
    lost: float
    """Share of the marked pixels that were removed with the borders."""


def cut_pixels(pixels: npt.NDArray[np.uint8], part: PreprocessPart, *, size_px: int, channels: int) -> npt.NDArray[np.uint8]:
    """Removes borders, resizes and cuts: what an inspector at work does with a picture before it looks at it.

    Args:
        pixels: (H, W) or (H, W, 3) as decoded.
        part: how.
        size_px: side of a patch.
        channels: 1 or 3.

    Returns:
        (P, C, S, S), row by row.
    """
    inside = pixels[find_part(pixels)] if part.trims else pixels
    return _tiles(fit(np.ascontiguousarray(inside), (part.rows * size_px, part.columns * size_px), channels), part)


def cut_picture(picture: Picture, sample: Sample, listing: Listing, part: PreprocessPart, *, size_px: int, channels: int) -> Cut:
    """Cuts a picture with all that is known of it."""
    pixels, (height, width) = picture.pixels, picture.pixels.shape[:2]
    rows, columns = find_part(pixels) if part.trims else (slice(0, height), slice(0, width))
    marks = class_numbers(picture.mask, sample, listing)
    boxes = sample.boxes if marks is None else ()
    if marks is None:
        own = listing.classes.index(sample.cls) + 1 if sample.cls in listing.classes else 0
        marks = fill_boxes(boxes, height, width) * np.uint8(own)
    inside, marked = marks[rows, columns], np.count_nonzero(marks)
    sides = (part.rows * size_px, part.columns * size_px)
    return Cut(
        images=cut_pixels(pixels, part, size_px=size_px, channels=channels),
        masks=_tiles(fit_mask(inside, sides)[None], part)[:, 0],
        boxes=_boxes_in(boxes, (rows, columns), (height, width), part),
        size_px=(max(1, inside.shape[0] // part.rows), max(1, inside.shape[1] // part.columns)),
        lost=1.0 - np.count_nonzero(inside) / marked if marked else 0.0,
    )


def _tiles(pixels: npt.NDArray[np.uint8], part: PreprocessPart) -> npt.NDArray[np.uint8]:
    """Cuts (C, H, W) into (P, C, S, S), row by row."""
    channels, height, width = pixels.shape
    high, wide = height // part.rows, width // part.columns
    tiles = pixels.reshape(channels, part.rows, high, part.columns, wide).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(tiles.reshape(-1, channels, high, wide))


def _boxes_in(boxes: Sequence[Box], window: tuple[slice, slice], shape: tuple[int, int], part: PreprocessPart) -> list[list[Box]]:
    """Gives the boxes of each patch, cut at its rim, in fractions of its sides."""
    (rows, columns), (height, width) = window, shape
    down, across = (rows.stop - rows.start) / part.rows, (columns.stop - columns.start) / part.columns
    found: list[list[Box]] = []
    for row in range(part.rows):
        for column in range(part.columns):
            left, top = columns.start + column * across, rows.start + row * down
            own = []
            for box in boxes:
                low = ((box[0] * width - left) / across, (box[1] * height - top) / down)
                high = ((box[2] * width - left) / across, (box[3] * height - top) / down)
                if max(low) < 1.0 and min(high) > 0.0:
                    own.append((max(0.0, low[0]), max(0.0, low[1]), min(1.0, high[0]), min(1.0, high[1])))
            found.append(own)
    return found


def name_patches(masks: npt.NDArray[np.uint8], own: int | None, classes: int, min_area_px: int) -> npt.NDArray[np.int64]:
    """Names the class of each patch of a picture: (P,) labels of defect classes, -1 for defect-free.

    A patch with enough marked pixels is of the class that most of them are of. The one that shows most of the picture's own class is of that class
    even if it has fewer, so that no defective picture is taught as patches without a defect.

    Args:
        masks: (P, S, S) of class numbers, k + 1 for class k.
        own: label of the picture; None for a defect-free one.
        classes: number of defect classes.
        min_area_px: fewest marked pixels.
    """
    if own is None:
        return np.full(len(masks), -1, dtype=np.int64)
    areas = np.stack([(masks == number).sum(axis=(1, 2)) for number in range(1, classes + 1)], axis=1)
    labels = np.where(areas.sum(axis=1) >= min_area_px, areas.argmax(axis=1), -1).astype(np.int64)
    if own not in labels and areas[:, own].max() > 0:
        labels[areas[:, own].argmax()] = own
    return labels


def picture_problems(whole: Pack, part: PreprocessPart) -> list[str]:
    """Says why the pictures of a pack cannot be cut into patches; nothing where they can."""
    if part.kind != "patches":
        return []
    if DEFECT_FREE not in whole.classes:
        why = "patches: a patch beside a defect is defect-free, but no class is"
        return [f"{why}; expected defect-free pictures, data.defect_free: class, and classes that are defects (data.surfaces.labels is not surfaces)"]
    marked = np.array([len(boxes) > 0 for boxes in whole.boxes], dtype=bool)
    if whole.masks is not None:
        marked |= whole.masks.any(axis=(1, 2)) & whole.has_mask
    bare = [whole.paths[row] for row in np.flatnonzero(~marked & ~whole.defect_free)]
    if not bare:
        return []
    shown = ", ".join(bare[:EXAMPLES]) + (f" and {len(bare) - EXAMPLES} more" if len(bare) > EXAMPLES else "")
    return [
        f"patches: {len(bare)} defective pictures have neither marked pixels nor boxes, so that nobody knows which patch is defective: {shown}; "
        "add their masks (data.masks_path) or boxes (data.boxes_path), or take them away"
    ]


def open_preprocessed(settings: DataSettings, part: PreprocessPart, whole: Pack, store: Store) -> Pack:
    """Opens a pack of pictures as they are trained on, made and published first where the store has none.

    Args:
        settings: the data section of a study.
        part: what is done to them.
        whole: the pack of the pictures as they are, from `open_pack`.
        store: where packs are kept.

    Raises:
        DatasetError: the pictures cannot be cut, or have changed since they were packed.
    """
    if part.plain:
        return whole
    key = stage_key("pack", version=VERSION, settings={"preprocess": part.deciding()}, inputs=[whole.key])
    entry = store.lookup("pack", key)
    if entry is None:
        if problems := picture_problems(whole, part):
            raise DatasetError("\n".join(f"space.preprocess: {text}" for text in problems))
        info = {"images": len(whole.labels) * part.patches, "size_px": settings.size_px, "channels": settings.channels}
        entry = store.publish("pack", key, {FILE: _build(settings, part, whole)}, {**info, "preprocess": str(part)})
    return read_rows(pa.memory_map(str(entry.local_path(FILE))), key)


def _build(settings: DataSettings, part: PreprocessPart, whole: Pack) -> bytes:
    """Reads every picture again, and writes its patches one after another."""
    listing = load_listing(settings)
    by_name = {sample.name: sample for sample in listing.samples}
    cuts, changed, lost = [], [], []
    for name, known in zip(whole.paths, whole.hashes, strict=True):
        picture = listing.read(by_name[name]) if name in by_name else None
        if picture is None or pixel_hash(picture.pixels) != known:
            changed.append(name)
            continue
        cut = cut_picture(picture, by_name[name], listing, part, size_px=settings.size_px, channels=settings.channels)
        cuts.append(cut)
        if cut.lost > MOST_LOST and not by_name[name].free:
            lost.append(name)
    _refuse(changed, f"gone from {settings.path or settings.dataset}, or changed, since it was packed", "Put them back as they were.")
    cure = "Set space.preprocess.borders: keep, or cut the borders of these pictures yourself."
    _refuse(lost, "most of the marked defect lies in what looks like a black border", cure)
    _refuse_strange(cuts, part, settings.size_px)
    return _to_arrow(cuts, part, whole)


def _refuse(names: list[str], what: str, cure: str) -> None:
    if names:
        shown = ", ".join(names[:EXAMPLES]) + (f" and {len(names) - EXAMPLES} more" if len(names) > EXAMPLES else "")
        raise DatasetError(f"{what} ({len(names)}): {shown}.\n  {cure}")


MOST_SQUEEZED = 3.0
"""Ratio by which patches may be longer than wide in the file, or wider than long, before they are made square."""


def _refuse_strange(cuts: list[Cut], part: PreprocessPart, size_px: int) -> None:
    """Refuses a grid that does not fit the pictures: rows and columns mistaken for each other, patches smaller than they are trained at.

    Raises:
        DatasetError: says which grid would fit.
    """
    if part.kind == "whole":
        return
    high, wide = (float(np.median([cut.size_px[side] for cut in cuts])) for side in (0, 1))
    ratio = high * part.rows / (wide * part.columns)
    fitting = f"{max(1, round(ratio))}x1" if ratio >= 1 else f"1x{max(1, round(1 / ratio))}"
    if max(high / wide, wide / high) > MOST_SQUEEZED:
        raise DatasetError(
            f"space.preprocess.grid: {part.grid} makes patches of {wide:.0f}x{high:.0f} pixels (width x height), far from square; the pictures are "
            f"{ratio:.2g} times as high as wide.\n  Rows come first; {fitting} would fit, or that many times something."
        )
    if max(high, wide) < size_px:
        raise DatasetError(
            f"space.preprocess.grid: {part.grid} makes patches of {wide:.0f}x{high:.0f} pixels, smaller than data.size_px: {size_px}; enlarged, they "
            "would only be blurred.\n  Take fewer rows and columns, or a smaller data.size_px."
        )


def _to_arrow(cuts: list[Cut], part: PreprocessPart, whole: Pack) -> bytes:
    """Writes a row for each patch; what is known of the picture is known of its patches, but for the class."""
    free = whole.classes.index(DEFECT_FREE) if DEFECT_FREE in whole.classes else None
    labels = whole.labels.copy()
    if part.kind == "patches":
        assert free is not None
        named = [
            name_patches(cut.masks, None if clean else int(label), free, part.min_area_px)
            for cut, label, clean in zip(cuts, whole.labels, whole.defect_free, strict=True)
        ]
        labels = np.concatenate(named)
        labels[labels < 0] = free
    clean = (labels == free) if part.kind == "patches" else whole.defect_free
    has_mask = np.repeat(whole.has_mask, part.patches) | clean
    images = np.concatenate([cut.images for cut in cuts])
    masks = np.concatenate([cut.masks for cut in cuts])
    # What counts as nothing is not to be found either; and boxes stay boxes.
    masks[clean | ~has_mask] = 0
    boxes = [[] if sound else own for own, sound in zip((own for cut in cuts for own in cut.boxes), clean, strict=True)]
    sizes = np.repeat(np.array([cut.size_px for cut in cuts], dtype=np.int64), part.patches, axis=0)
    places = [f"#{row},{column}" for row in range(part.rows) for column in range(part.columns)] if part.patches > 1 else [""]
    columns = {
        "pixels": fixed_lists(images),
        "label": pa.array(labels),
        "mask": fixed_lists(masks),
        "has_mask": pa.array(has_mask),
        "group": pa.array(np.repeat(whole.groups, part.patches)),
        "defect_free": pa.array(clean),
        "path": pa.array([f"{path}{place}" for path in whole.paths for place in places]),
        "content_hash": pa.array([pixel_hash(image) for image in images] if part.patches > 1 else whole.hashes),
        "published": pa.array(np.repeat(whole.published, part.patches).tolist()),
        "boxes": pa.array([[value for box in own for value in box] for own in boxes], type=pa.list_(pa.float32())),
        "height": pa.array(sizes[:, 0]),
        "width": pa.array(sizes[:, 1]),
    }
    about = {"classes": list(whole.classes), "shape": list(images.shape[1:]), "masks": whole.masks is not None, "physical": whole.physical}
    return write_rows(columns, about)


def preprocessed_split(parts: Split, part: PreprocessPart, pack: Pack) -> Split:
    """Gives the split of patches that a split of pictures comes to: all patches of a picture go where it goes.

    Args:
        parts: the split of the whole pictures.
        part: how they were cut.
        pack: the patches, from `open_preprocessed`.
    """
    if part.plain:
        return parts
    rows = {name: rows_of(getattr(parts, name), part.patches) for name in PARTS}
    if part.kind == "patches" and part.free_from == "free_pictures":
        train = rows["train"].reshape(-1, part.patches)
        clean = pack.defect_free[train]
        rows["train"] = train[~clean | clean.all(axis=1, keepdims=True)]
    own = {**part.deciding(), "free_from": part.free_from if part.kind == "patches" else None}
    free = rows["train"][pack.defect_free[rows["train"]]] if part.kind == "patches" else parts.backgrounds
    return replace(
        parts,
        key=stage_key("split", version=VERSION, settings=own, inputs=[pack.key, parts.key]),
        train=rows["train"],
        val=rows["val"],
        test=rows["test"],
        backgrounds=free,
        counts={name: {where: int((pack.labels[own] == label).sum()) for where, own in rows.items()} for label, name in enumerate(pack.classes)},
    )


def rows_of(pictures: Indices, patches: int) -> Indices:
    """Gives the rows of the patches of some pictures, in their order."""
    rows: Indices = (pictures[:, None] * patches + np.arange(patches)).reshape(-1)
    return rows
