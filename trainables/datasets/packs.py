"""Packs: a data set decoded once per (content, size, channels) into one Arrow file that all workers of a machine map into memory."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from trainables.datasets.layouts.boxes import fill_boxes
from trainables.datasets.listing import DEFECT_FREE, Listing, load_listing
from trainables.datasets.problems import problems_of, refuse
from trainables.datasets.settings import DataSettings
from trainables.datasets.survey import Survey, survey
from trainables.errors import DatasetError
from trainables.store import Entry, Store, stage_key

VERSION = 4
FILE = "pack.arrow"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    """A packed data set. Pixel arrays are read-only views of the mapped file; indexing with an index array copies."""

    key: str
    classes: tuple[str, ...]
    """Names by label; `defect_free` is the last one where defect-free images are a class."""
    images: npt.NDArray[np.uint8]
    """(N, C, S, S)."""
    labels: npt.NDArray[np.int64]
    """(N,); -1 for defect-free images that are only backgrounds."""
    masks: npt.NDArray[np.uint8] | None
    """(N, S, S) of class numbers, 0 for background and k + 1 for `classes[k]`; None for a data set without any mask."""
    has_mask: npt.NDArray[np.bool_]
    """(N,); where false, the mask is zero because nothing is known."""
    groups: npt.NDArray[np.int64]
    """(N,); near-copies of one picture share a number."""
    defect_free: npt.NDArray[np.bool_]
    """(N,) true on images without a defect; where classes are surfaces, their labels are those of defective images too."""
    physical: bool = False
    """True where the three channels are measured quantities (photometric stereo) and no colours: nothing may tint or mix them."""
    paths: list[str]
    """Below the data set's folder."""
    hashes: list[str]
    """SHA-256 of the decoded pixels."""
    published: npt.NDArray[np.str_]
    """(N,) split of the publisher: train, val, test or empty."""
    boxes: list[npt.NDArray[np.float32]]
    """(K, 4) left, top, right, bottom of each image's defects, in fractions of its sides."""
    sizes: npt.NDArray[np.int64]
    """(N, 2) height and width of the files in pixels."""
    generations: npt.NDArray[np.int64] | None = None
    """(N,) 0 for images of classes that were there first, k for those of the k-th of `data.added`; None where none was added."""

    def defect_masks(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8] | None:
        """Says where the defects of images are: (n, 1, S, S) of 0 and 255, by the mask, else by the boxes, filled; all 0 where nobody knows.

        None, where nobody knows of any of them.
        """
        marked = np.array([self.has_mask[row] or len(self.boxes[row]) > 0 for row in rows], dtype=bool)
        if not marked.any():
            return None
        known = np.zeros((len(rows), 1, *self.images.shape[2:]), dtype=np.uint8)
        for place in np.flatnonzero(marked):
            row = rows[place]
            own = self.masks[row] > 0 if self.masks is not None and self.has_mask[row] else fill_boxes(self.boxes[row], *self.images.shape[2:])
            known[place, 0] = own * np.uint8(255)
        return known


def fingerprint(settings: DataSettings, listing: Listing | None = None) -> str:
    """Hashes what a data set holds: names, classes and file contents, without decoding.

    Raises:
        DatasetError: the data set cannot be listed or a file cannot be read.
    """
    listing = listing or load_listing(settings)
    digest = hashlib.sha256()
    digest.update(listing.content.encode())
    if listing.root is None:
        return digest.hexdigest()[:32]
    # Crops share their picture, and masks of one table share the table: each file is read once.
    hash_once = cache(content_hash)
    for sample in listing.samples:
        files = [file for file in (sample.file, sample.mask, *sample.planes) if file is not None]
        story: list[object] = [sample.name, sample.cls, sample.group, sample.published, sample.boxes, [hash_once(file) for file in files]]
        story += [sample.clean] * sample.clean
        digest.update(json.dumps(story).encode())
    return digest.hexdigest()[:32]


def content_hash(file: Path) -> str:
    """Hashes a file.

    Raises:
        DatasetError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror}).\n  Give yourself the right to read it, or remove it.") from error


def pack_key(settings: DataSettings, fingerprint: str) -> str:
    """Names the pack of some content under some settings."""
    own = {
        "fingerprint": fingerprint,
        "dataset": settings.dataset,
        "size_px": settings.size_px,
        "channels": settings.channels,
        "defect_free": settings.defect_free,
    }
    # Only where there are any, so that a data set that did not grow keeps its key.
    own |= {"added": list(settings.added)} if settings.added else {}
    return stage_key("pack", version=VERSION, settings=own)


def open_pack(settings: DataSettings, fingerprint: str, store: Store) -> Pack:
    """Opens the pack of a data set, made and published first where the store has none.

    Args:
        settings: the data section of a study.
        fingerprint: what `fingerprint(settings)` gave when the study began.
        store: where packs are kept.

    Raises:
        DatasetError: the data set has errors, or its content has changed since the fingerprint was taken.
    """
    key = pack_key(settings, fingerprint)
    entry = store.lookup("pack", key)
    if entry is None:
        entry = _build(settings, fingerprint, key, store)
    return read_rows(pa.memory_map(str(entry.local_path(FILE))), key)


def pack_dataset(settings: DataSettings, store: Store) -> tuple[str, Pack]:
    """Packs a data set as it is now; gives its fingerprint and the pack.

    Raises:
        DatasetError: the data set has errors.
    """
    listing = load_listing(settings)
    found = fingerprint(settings, listing)
    pack = open_pack(settings, found, store)
    # The store may have had the pack, of the same images in a folder that was laid out better.
    refuse(listing.problems, settings.path or settings.dataset)
    return found, pack


def _build(settings: DataSettings, wanted: str, key: str, store: Store) -> Entry:
    listing = load_listing(settings)
    found = fingerprint(settings, listing)
    if found != wanted:
        where = settings.path or "procedural surfaces"
        raise DatasetError(
            f"{where}: the images are not the ones this study began with (fingerprint {found}, expected {wanted}).\n"
            "  Put the images back as they were, or start a new run on the new ones: --fresh or --name NAME."
        )
    made = survey(listing, size_px=settings.size_px, channels=settings.channels, added=settings.added)
    refuse(problems_of(made, settings), settings.path or settings.dataset)
    info = {"images": len(made.samples), "size_px": settings.size_px, "channels": settings.channels}
    return store.publish("pack", key, {FILE: _to_arrow(made, settings)}, info)


def pack_of(found: Survey, settings: DataSettings) -> Pack:
    """Makes a pack in memory only, of what may never be published."""
    return read_rows(pa.py_buffer(_to_arrow(found, settings)), "unpublished")


def _to_arrow(found: Survey, settings: DataSettings) -> bytes:
    """Writes one row per sample; pixels are fixed-size lists, so that a mapped column is one numpy array without a copy."""
    free = np.array([sample.free for sample in found.samples], dtype=bool)
    classes = found.listing.classes
    own_class = settings.defect_free == "class" and any(sample.cls == DEFECT_FREE for sample in found.samples)
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers.get(sample.cls, len(classes) if own_class else -1) for sample in found.samples], dtype=np.int64)
    columns = {
        "pixels": fixed_lists(found.images),
        "label": pa.array(labels),
        "mask": fixed_lists(found.masks),
        "has_mask": pa.array(found.has_mask | free),
        "group": pa.array(found.groups),
        "defect_free": pa.array(free),
        "path": pa.array([sample.name for sample in found.samples]),
        "content_hash": pa.array(found.hashes),
        "published": pa.array([sample.published for sample in found.samples]),
        "boxes": pa.array([[value for box in sample.boxes for value in box] for sample in found.samples], type=pa.list_(pa.float32())),
        "height": pa.array(found.sizes[:, 0]),
        "width": pa.array(found.sizes[:, 1]),
    }
    if found.generations is not None:
        columns["generation"] = pa.array(found.generations)
    about = {
        "classes": [*classes, DEFECT_FREE] if own_class else list(classes),
        "shape": list(found.images.shape[1:]),
        "masks": bool(found.has_mask.any()),
        "physical": found.listing.physical,
    }
    return write_rows(columns, about)


def write_rows(columns: Mapping[str, pa.Array], about: Mapping[str, Any]) -> bytes:
    """Writes an Arrow file of one batch that `read_rows` makes a pack of.

    Args:
        columns: by name, those of `_to_arrow`.
        about: `classes`, `shape` of one image, `masks` (whether any is known) and `physical`.
    """
    batch = pa.record_batch(
        list(columns.values()), schema=pa.schema([(name, c.type) for name, c in columns.items()], metadata={"tundish": json.dumps(about)})
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def fixed_lists(rows: npt.NDArray[np.uint8]) -> pa.FixedSizeListArray:
    """Makes a column of one fixed-size list a row, without a copy."""
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), int(np.prod(rows.shape[1:])))


def read_rows(source: pa.Buffer | pa.MemoryMappedFile, key: str) -> Pack:
    """Makes numpy views of an Arrow file."""
    batch = pa.ipc.open_file(source).get_batch(0)
    about = json.loads(batch.schema.metadata[b"tundish"])
    shape = tuple(about["shape"])

    def numbers(name: str) -> npt.NDArray[np.int64]:
        return np.asarray(batch.column(name).to_numpy())

    def pixels(name: str, row: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        return np.asarray(batch.column(name).flatten().to_numpy(zero_copy_only=True)).reshape(-1, *row)

    return Pack(
        key=key,
        classes=tuple(about["classes"]),
        physical=about.get("physical", False),
        images=pixels("pixels", shape),
        labels=numbers("label"),
        masks=pixels("mask", shape[1:]) if about["masks"] else None,
        has_mask=np.asarray(batch.column("has_mask").to_numpy(zero_copy_only=False)),
        groups=numbers("group"),
        defect_free=np.asarray(batch.column("defect_free").to_numpy(zero_copy_only=False)),
        paths=batch.column("path").to_pylist(),
        hashes=batch.column("content_hash").to_pylist(),
        published=np.array(batch.column("published").to_pylist(), dtype=np.str_),
        boxes=[np.array(row, dtype=np.float32).reshape(-1, 4) for row in batch.column("boxes").to_pylist()],
        sizes=np.stack([numbers("height"), numbers("width")], axis=1),
        generations=numbers("generation") if "generation" in batch.schema.names else None,
    )
