"""The contact sheet: its layout, and that a copied image is found out."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from trainables.scores.samples import ClassImages, contact_sheet, nearest_neighbours, stored_sheet
from trainables.store import Store


def flat(*levels: int, channels: int = 1, side: int = 32) -> ClassImages:
    """Images of one grey level each, with the level as their feature."""
    images = torch.tensor(levels, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, channels, side, side)
    return ClassImages(images=images, features=torch.tensor(levels, dtype=torch.float32)[:, None])


def middle(sheet: np.ndarray, layout: dict, row: int, column: int) -> int:
    step = layout["tile_px"] + layout["gap_px"]
    return int(sheet[layout["gap_px"] + row * step + step // 2, layout["gap_px"] + column * step + step // 2].mean())


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_are_real_synthetic_and_nearest_of_any_class(channels: int) -> None:
    real = {"a": flat(10, 20, 30, channels=channels), "b": flat(200, 220, channels=channels)}
    synthetic = {"a": flat(31, 219, channels=channels), "b": flat(198, channels=channels)}
    data, layout = contact_sheet(real, synthetic, columns=3)
    assert layout == {"classes": ["a", "b"], "columns": 3, "tile_px": 32, "gap_px": 2, "rows": ["real", "synthetic", "nearest"]}
    sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert sheet.shape == (2 + 34 * 6, 2 + 34 * 3, 3)
    seen = [[middle(sheet, layout, row, column) for column in range(2)] for row in range(3)]
    assert np.abs(np.array(seen) - [[10, 20], [31, 219], [30, 220]]).max() <= 4
    assert abs(middle(sheet, layout, 5, 0) - 200) <= 4


def test_masks_stand_below_the_images_they_belong_to() -> None:
    real = {"a": flat(10, 20), "b": flat(200, 220)}
    masks = torch.tensor([0, 255], dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 32, 32)
    synthetic = {cls: replace(part, masks=masks) for cls, part in real.items()}
    data, layout = contact_sheet(real, synthetic, columns=2)
    assert layout["rows"] == ["real", "synthetic", "mask", "nearest"]
    sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert sheet.shape[0] == 2 + 34 * 8
    seen = [[middle(sheet, layout, row, column) for column in range(2)] for row in range(8)]
    expected = [[10, 20], [10, 20], [0, 255], [10, 20], [200, 220], [200, 220], [0, 255], [200, 220]]
    assert np.abs(np.array(seen) - expected).max() <= 4


def test_classes_without_synthetic_images_are_left_out() -> None:
    _, layout = contact_sheet({"a": flat(1), "b": flat(2)}, {"b": flat(3)})
    assert layout["classes"] == ["b"]
    with pytest.raises(ValueError, match="no synthetic"):
        contact_sheet({"a": flat(1)}, {})


def test_many_classes_stay_within_what_webp_can_hold() -> None:
    many = {str(i): flat(i, side=64) for i in range(120)}
    data, layout = contact_sheet(many, many, columns=1)
    assert Image.open(io.BytesIO(data)).height <= 16383
    assert layout["tile_px"] < 64


def test_nearest_neighbours_tells_close_points_apart() -> None:
    among: Tensor = torch.tensor([[1000.0, 0.0], [1000.0, 1e-3], [0.0, 0.0]])
    assert nearest_neighbours(torch.tensor([[1000.0, 9e-4], [0.1, 0.0]]), among).tolist() == [1, 2]


def test_the_sheet_is_published_once(tmp_path: object) -> None:
    store = Store(str(tmp_path))
    images = {"a": flat(1, 2)}
    entry, where = stored_sheet(images, images, inputs=["k"], store=store)
    again, _ = stored_sheet(images, {}, inputs=["k"], store=store)
    assert again.attempt == entry.attempt
    assert where["key"] == entry.key and where["classes"] == ["a"]
    assert Image.open(io.BytesIO(entry.read(where["file"]))).format == "WEBP"
