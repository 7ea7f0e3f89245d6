"""Masks made for synthetic images: what morphology does, how sure they are, and that they are made once."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.errors import SettingsError
from trainables.inspectors.training import Inspector
from trainables.recipe import MaskPart
from trainables.store import Entry, Store
from trainables.synthesis import pseudo_masks as stage
from trainables.synthesis.pseudo_masks import masks_key, mended, pseudo_masks, stored_masks

NOTHING = MaskPart(closing_px=0, fill_holes=False, min_area_px=0)
"""Only the threshold."""


class Bright(torch.nn.Module):
    """Says for each of two classes how bright a pixel is: of the second, how dark."""

    channels_last_on_cpu = True

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        chance = ((x + 1.0) / 2.0).clamp(0.001, 0.999)
        return torch.cat([chance.logit(), -chance.logit()], 1)


def segmenter() -> Inspector:
    network: Any = Bright().eval()
    config: Any = SimpleNamespace()
    return Inspector(kind="bright", network=network, config=config, size_px=16, channels=1, num_classes=2, device="cpu")


def ring(size_px: int = 16) -> np.ndarray:
    """A square ring of two pixels' width around a hole of four by four."""
    mask = np.zeros((size_px, size_px), bool)
    mask[4:12, 4:12] = True
    mask[6:10, 6:10] = False
    return mask


def test_a_ring_is_filled_and_only_where_that_is_asked_for() -> None:
    filled = mended(ring(), replace(NOTHING, fill_holes=True))
    assert filled.sum() == 64 and filled[4:12, 4:12].all()
    assert (mended(ring(), NOTHING) == ring()).all()


def test_a_gap_is_closed_by_a_disc_that_reaches_across_it() -> None:
    line = np.zeros((16, 16), bool)
    line[7:10, 2:14] = True
    line[7:10, 7:9] = False
    assert mended(line, replace(NOTHING, closing_px=1)).sum() == line.sum() + 6 - 4, "of two pixels between, the middle row and no corner"
    assert mended(line, replace(NOTHING, closing_px=2))[8, 2:14].all()
    assert (mended(line, NOTHING) == line).all()


def test_closing_takes_nothing_from_what_touches_the_edge() -> None:
    mask = np.zeros((16, 16), bool)
    mask[:4, 5] = True
    mask[9:, 12:] = True
    closed = mended(mask, replace(NOTHING, closing_px=3))
    assert closed.shape == mask.shape and closed[mask].all()


def test_specks_are_dropped_and_corners_hold_together() -> None:
    mask = np.zeros((16, 16), bool)
    mask[1, 1] = mask[5, 5] = mask[6, 6] = True
    mask[10:13, 10:13] = True
    assert mended(mask, replace(NOTHING, min_area_px=2)).sum() == 11, "two that touch at a corner are one of two pixels"
    assert mended(mask, replace(NOTHING, min_area_px=3)).sum() == 9
    assert mended(mask, replace(NOTHING, min_area_px=9)).sum() == 9
    assert mended(mask, replace(NOTHING, min_area_px=10)).sum() == 0
    assert mended(mask, replace(NOTHING, min_area_px=1)).sum() == 12


def test_a_ring_with_a_gap_is_closed_before_it_is_filled() -> None:
    open_ring = ring()
    open_ring[7:9, 4:6] = False
    assert not mended(open_ring, replace(NOTHING, fill_holes=True))[7, 7]
    assert mended(open_ring, replace(NOTHING, closing_px=2, fill_holes=True))[6:10, 6:10].all()


def test_sureness_is_the_mean_probability_of_the_mask_and_nothing_of_an_empty_one() -> None:
    images = torch.zeros(3, 1, 16, 16, dtype=torch.uint8)
    images[0, 0, :2, :8] = 204
    images[1, 0, :2, :8] = 153
    masks, sureness = pseudo_masks(images, 0, segmenter(), NOTHING)
    assert masks.dtype == torch.uint8 and masks.shape == (3, 1, 16, 16)
    assert masks[0, 0, :2, :8].eq(255).all() and masks[:2].sum() == 2 * 16 * 255 and masks[2].sum() == 0
    assert sureness.tolist() == pytest.approx([0.8, 0.6, 0.0], abs=1e-5)
    masks, sureness = pseudo_masks(images, 0, segmenter(), replace(NOTHING, threshold=0.7))
    assert masks[1].sum() == 0 and sureness.tolist() == pytest.approx([0.8, 0.0, 0.0], abs=1e-5)
    assert pseudo_masks(images, 1, segmenter(), NOTHING)[0][2].eq(255).all(), "the other class is where the first is not"


def test_many_images_are_shown_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(0, 256, (9, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = pseudo_masks(images, 0, segmenter(), MaskPart())
    monkeypatch.setattr(stage, "CHUNK_PIXELS", 2 * 16 * 16)
    own = segmenter()
    parts = pseudo_masks(images, 0, own, MaskPart())
    assert own.network.calls == 5  # type: ignore[attr-defined]
    assert torch.equal(whole[0], parts[0]) and torch.equal(whole[1], parts[1])


def test_a_class_that_the_segmenter_does_not_know_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"class 2 is not among the segmenter's, 0 to 1"):
        pseudo_masks(torch.zeros(1, 1, 16, 16, dtype=torch.uint8), 2, segmenter(), MaskPart())


def test_masks_are_made_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    trained: Entry = store.publish("inspector", "k", {}, {})
    loaded = []
    monkeypatch.setattr(stage, "load_inspector", lambda entry, device: loaded.append(entry.key) or segmenter())
    images = torch.zeros(3, 1, 16, 16, dtype=torch.uint8)
    images[0, 0, :4, :8] = 204
    images[1, 0, :4, :8] = 153

    def made(part: MaskPart) -> stage.StoredMasks:
        return stored_masks(images, 0, part, segmenter=trained, inputs=["block"], device="cpu", store=store)

    first, again = made(MaskPart()), made(MaskPart())
    assert (first.reused, again.reused) == (False, True) and loaded == ["k"]
    assert first.key == again.key and first.seconds == again.seconds
    assert torch.equal(first.masks, again.masks) and torch.equal(first.sureness, again.sureness)
    assert again.usable(MaskPart()).dtype == torch.bool and again.usable(MaskPart()).tolist() == [True, True, False], "no defect, no use"
    sure = made(MaskPart(min_sureness=0.7))
    assert sure.reused and sure.usable(MaskPart(min_sureness=0.7)).tolist() == [True, False, False]


def test_the_key_tells_apart_what_decides_the_masks_and_nothing_else() -> None:
    def key(segmenter: str = "s", *, label: int = 0, count: int = 4, inputs: tuple[str, ...] = ("block",), **settings: Any) -> str:
        return masks_key(segmenter, MaskPart(**settings), label=label, count=count, inputs=inputs)

    keys = [key(), key("t"), key(label=1), key(count=5), key(inputs=("other",)), key(threshold=0.6), key(closing_px=1), key(fill_holes=False)]
    keys += [key(min_area_px=5)]
    assert len(set(keys)) == len(keys)
    assert key(min_sureness=0.9) == key(), "which images are used changes no mask"
    assert key(min_area_px=0) == key(min_area_px=1), "no part is smaller than a pixel"
