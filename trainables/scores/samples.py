"""The contact sheet of a trial: per class, real images, synthetic ones with their masks, and the real training image nearest to each of these.

The nearest neighbour is looked for among all classes of the training split, by distance of features: what a generator has learnt by heart shows up as
a pair that looks the same. Called by `trainables.trial`.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainables.store import Entry, Store, stage_key

VERSION = 1
"""Version of the sheet; part of every key of this stage."""

STAGE = "samples"
FILE = "samples.webp"
ROWS = ["real", "synthetic", "mask", "nearest"]
"""Lines of a class, from above; that of masks only where the generator makes them."""
GAP_PX = 2
LARGEST_TILE_PX = 96
TALLEST_PX = 16_000
"""WebP ends at 16,383 px; with very many classes the tiles shrink."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassImages:
    """Images of one class with their features."""

    images: Tensor
    """(N, C, H, W) uint8."""
    features: Tensor
    """(N, D)."""
    masks: Tensor | None = None
    """(N, 1, H, W) uint8 of 0 and 255, of synthetic images whose generator makes masks."""


def contact_sheet(real: Mapping[str, ClassImages], synthetic: Mapping[str, ClassImages], *, columns: int = 8) -> tuple[bytes, dict[str, Any]]:
    """Draws the sheet.

    Args:
        real: the real training images by class.
        synthetic: accepted synthetic images by class; classes without any are left out of the sheet.
        columns: tiles beside each other.

    Returns:
        A WebP file, and its layout as `reports.records.Record.samples` describes it. A class has one line of tiles for each of `rows`; a line is as
        high as a tile and `gap_px`, and a column as wide, with `gap_px` before the first of each.

    Raises:
        ValueError: no class has synthetic images.
    """
    classes = [cls for cls in real if cls in synthetic and len(synthetic[cls].images)]
    if not classes:
        raise ValueError("no synthetic images to show")
    pool = torch.cat([part.images for part in real.values()])
    pool_features = torch.cat([part.features for part in real.values()])
    masked = all(synthetic[cls].masks is not None for cls in classes)
    rows = [row for row in ROWS if masked or row != "mask"]
    tile_px = min(int(pool.shape[-1]), LARGEST_TILE_PX, TALLEST_PX // (len(rows) * len(classes)) - GAP_PX)
    step = tile_px + GAP_PX
    height, width = GAP_PX + step * len(rows) * len(classes), GAP_PX + step * columns
    sheet = Image.new("RGB", (width, height), (128, 128, 128))
    for i, cls in enumerate(classes):
        drawn, masks = synthetic[cls].images[:columns], synthetic[cls].masks
        nearest = nearest_neighbours(synthetic[cls].features[:columns], pool_features)
        lines = (real[cls].images[:columns], drawn, *([masks[:columns]] if masked and masks is not None else []), pool[nearest])
        for j, line in enumerate(lines):
            for k, image in enumerate(line):
                tile = _picture(image).resize((tile_px, tile_px), Image.Resampling.LANCZOS)
                sheet.paste(tile, (GAP_PX + k * step, GAP_PX + (len(rows) * i + j) * step))
    file = io.BytesIO()
    sheet.save(file, "WEBP", quality=85, method=4)
    return file.getvalue(), {"classes": classes, "columns": columns, "tile_px": tile_px, "gap_px": GAP_PX, "rows": rows}


def nearest_neighbours(features: Tensor, among: Tensor) -> Tensor:
    """Gives for each of (N, D) features the index of the nearest of (M, D): (N,) int64."""
    # The exact way of cdist: the fast one loses the small distances that copies have.
    distances = torch.cdist(features.double(), among.double(), compute_mode="donot_use_mm_for_euclid_dist")
    return distances.argmin(1)


def stored_sheet(
    real: Mapping[str, ClassImages], synthetic: Mapping[str, ClassImages], *, inputs: Sequence[str], store: Store, columns: int = 8
) -> tuple[Entry, dict[str, Any]]:
    """Publishes the contact sheet, or finds it under its key.

    Args:
        real: as for `contact_sheet`.
        synthetic: as for `contact_sheet`.
        inputs: keys of the features of both.
        store: where results are kept.
        columns: tiles beside each other.

    Returns:
        The entry, and where the sheet lies with its layout: what `Scores.samples` carries.
    """
    key = stage_key(STAGE, version=VERSION, settings={"columns": columns}, inputs=inputs)
    entry = store.lookup(STAGE, key)
    if entry is None:
        data, layout = contact_sheet(real, synthetic, columns=columns)
        entry = store.publish(STAGE, key, {FILE: data}, {"layout": layout})
    return entry, {"stage": STAGE, "key": key, "file": FILE, **entry.info["layout"]}


def _picture(image: Tensor) -> Image.Image:
    """Turns one uint8 image (C, H, W) into a colour picture."""
    pixels = image.cpu().expand(3, -1, -1).permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(pixels))
