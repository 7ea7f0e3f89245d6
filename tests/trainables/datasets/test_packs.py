"""Packs: made once, mapped into memory, named by content."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainables.datasets.packs import fingerprint, open_pack
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.errors import DatasetError
from trainables.store import Store

SMALL = DataSettings(size_px=32, procedural=ProceduralSettings(per_class=4, defect_free=3))


def test_a_pack_is_made_once_and_mapped(tmp_path: Path) -> None:
    store = Store(tmp_path)
    pack = open_pack(SMALL, fingerprint(SMALL), store)
    again = open_pack(SMALL, fingerprint(SMALL), store)
    assert store.keys("pack") == [pack.key]
    assert pack.images.shape == (27, 1, 32, 32) and pack.images.dtype == np.uint8
    assert not pack.images.flags.writeable and not pack.images.flags.owndata
    np.testing.assert_array_equal(pack.images, again.images)
    assert pack.classes[-1] == "defect_free" and pack.labels.max() == 6
    assert pack.masks is not None and pack.masks[pack.defect_free].max() == 0
    assert all(pack.masks[i].any() for i in np.flatnonzero(~pack.defect_free))


def test_defect_free_images_can_be_backgrounds_only(tmp_path: Path) -> None:
    settings = DataSettings(size_px=32, defect_free="background", procedural=ProceduralSettings(per_class=4, defect_free=3))
    pack = open_pack(settings, fingerprint(settings), Store(tmp_path))
    assert "defect_free" not in pack.classes and (pack.labels[pack.defect_free] == -1).all()


def test_changed_content_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not the ones this study began with"):
        open_pack(SMALL, "0" * 32, Store(tmp_path))


def test_where_defects_are_is_said_by_masks_and_else_by_boxes(tmp_path: Path) -> None:
    pack = open_pack(SMALL, fingerprint(SMALL), Store(tmp_path))
    rows = np.flatnonzero(~pack.defect_free)[[2, 0]]
    assert pack.masks is not None
    masks = pack.defect_masks(rows)
    assert masks is not None and masks.dtype == np.uint8 and masks.shape == (2, 1, 32, 32)
    np.testing.assert_array_equal(masks[:, 0], (pack.masks[rows] > 0) * 255)

    quarter = np.array([[0.5, 0.25, 1.0, 0.5]], dtype=np.float32)
    boxes = [quarter if i == rows[0] else np.empty((0, 4), np.float32) for i in range(len(pack.labels))]
    boxed = replace(pack, masks=None, has_mask=np.zeros(len(pack.labels), dtype=bool), boxes=boxes)
    filled = boxed.defect_masks(rows)
    assert filled is not None and (filled[0, 0, 8:16, 16:] == 255).all() and filled[0].sum() == 255 * 8 * 16 and not filled[1].any()
    assert boxed.defect_masks(rows[1:]) is None
