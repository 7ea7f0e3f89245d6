"""Packs: made once, mapped into memory, named by content."""

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
