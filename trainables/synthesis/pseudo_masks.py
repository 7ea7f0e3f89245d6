"""Masks of synthetic images whose generator makes none: a segmenter trained on real images says where the defect is, and morphology mends that.

So do Saiz et al. (2021): their DeepLabV3+, trained on the real set, predicts, and holes are removed. Called by the units of a trial of task segment.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load, save
from scipy import ndimage
from torch import Tensor

from trainables.errors import SettingsError
from trainables.inspectors.stage import load_inspector
from trainables.inspectors.training import Inspector, to_input
from trainables.recipe import MaskPart
from trainables.store import Entry, Store, stage_key

VERSION = 1
"""Version of the masks; part of every key of this stage."""

STAGE = "masks"

CHUNK_PIXELS = 2**20
"""Pixels of images that are shown to the segmenter at a time: 256 images at 64 px, 16 at 256 px."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredMasks:
    """Masks of one set of images."""

    key: str
    """Names them; `min_sureness` is not in it, since it changes none."""
    reused: bool
    seconds: float
    masks: Tensor
    """(n, 1, S, S) uint8 of 0 and 255."""
    sureness: Tensor
    """(n,) float32: the mean probability of a mask's pixels, 0 where it is empty."""

    def usable(self, part: MaskPart) -> Tensor:
        """Says which images may be used, (n,) bool: those with a mask that is sure enough."""
        return (self.sureness >= part.min_sureness) & (self.masks > 0).flatten(1).any(1)


@torch.no_grad()
def pseudo_masks(images: Tensor, label: int, segmenter: Inspector, part: MaskPart) -> tuple[Tensor, Tensor]:
    """Makes masks.

    Args:
        images: (n, C, S, S) uint8, of one class.
        label: number of that class among the segmenter's.
        segmenter: trained.
        part: how; `min_sureness` changes no mask, and is `StoredMasks.usable`'s to apply.

    Returns:
        (n, 1, S, S) uint8 of 0 and 255; and how sure they are, (n,) float32: the mean probability of a mask's pixels, 0 where it is empty.

    Raises:
        SettingsError: the segmenter does not know the class.
    """
    if not 0 <= label < segmenter.num_classes:
        raise SettingsError(f"masks: class {label} is not among the segmenter's, 0 to {segmenter.num_classes - 1}")
    size_px = images.shape[-1]
    masks, sureness = torch.zeros(len(images), 1, size_px, size_px, dtype=torch.uint8), torch.zeros(len(images))
    some = max(1, CHUNK_PIXELS // size_px**2)
    for start in range(0, len(images), some):
        said = segmenter.network(to_input(images[start : start + some], segmenter.device, segmenter.layout))
        for number, chances in enumerate(said[:, label].float().sigmoid().cpu().numpy(), start):
            mask = mended(chances >= part.threshold, part)
            masks[number, 0] = torch.from_numpy(mask).to(torch.uint8) * 255
            sureness[number] = float(chances[mask].mean()) if mask.any() else 0.0
    return masks, sureness


def mended(mask: np.ndarray, part: MaskPart) -> np.ndarray:
    """Closes gaps, fills holes and drops specks, in this order: a hole may have to be closed before it is one, and specks may be parts of a whole.

    Args:
        mask: (S, S) bool.
        part: how.
    """
    if radius := part.closing_px:
        # What lies beyond the edge is unknown, not empty: without a margin the closing would eat what touches the edge.
        mask = ndimage.binary_closing(np.pad(mask, radius), _disc(radius))[radius:-radius, radius:-radius]
    if part.fill_holes:
        mask = ndimage.binary_fill_holes(mask)
    if part.min_area_px > 1:
        parts, _ = ndimage.label(mask, np.ones((3, 3)))
        large = np.bincount(parts.ravel()) >= part.min_area_px
        large[0] = False
        mask = large[parts]
    return mask


def masks_key(segmenter: str, part: MaskPart, *, label: int, count: int, inputs: Sequence[str]) -> str:
    """Names masks by what decides them.

    Args:
        segmenter: key of the trained segmenter.
        part: how they are made.
        label: class number.
        count: how many there are.
        inputs: keys that decide the images.
    """
    # A part of one pixel is the smallest there is, so that 0 and 1 ask for the same.
    made = {"threshold": part.threshold, "closing_px": part.closing_px, "fill_holes": part.fill_holes, "min_area_px": max(1, part.min_area_px)}
    return stage_key(STAGE, version=VERSION, settings={"label": label, "count": count, **made}, inputs=[segmenter, *inputs])


def stored_masks(images: Tensor, label: int, part: MaskPart, *, segmenter: Entry, inputs: Sequence[str], device: str, store: Store) -> StoredMasks:
    """Makes the masks of a set of images, or finds them under their key; the segmenter is loaded only where they have to be made.

    Args:
        images: (n, C, S, S) uint8, of one class.
        label: number of that class among the segmenter's.
        part: how.
        segmenter: the published inspector.
        inputs: keys that decide the images: of the pool's block, or of those that were chosen.
        device: where to compute.
        store: where results are kept.

    Raises:
        SettingsError: the segmenter does not know the class.
    """
    key = masks_key(segmenter.key, part, label=label, count=len(images), inputs=inputs)
    entry = store.lookup(STAGE, key)
    reused = entry is not None
    if entry is None:
        started = time.monotonic()
        masks, sureness = pseudo_masks(images, label, load_inspector(segmenter, device), part)
        data = save({"masks": masks, "sureness": sureness})
        entry = store.publish(STAGE, key, {"masks.safetensors": data}, {"seconds": time.monotonic() - started, "device": device})
    found = load(entry.read("masks.safetensors"))
    return StoredMasks(key=key, reused=reused, seconds=float(entry.info["seconds"]), masks=found["masks"], sureness=found["sureness"])


def _disc(radius: int) -> np.ndarray:
    """Draws a disc, (2 radius + 1) px wide."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc: np.ndarray = x**2 + y**2 <= radius**2
    return disc
