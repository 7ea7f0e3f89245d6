"""Keypoints, what they propose, and how exactly one picture is laid upon another."""

import numpy as np
import pytest

from trainables.datasets.copies.alignment import agreement, overlap, prepare
from trainables.datasets.copies.keypoints import ORIENTATIONS, VIEW_PX, find_keypoints, view_of
from trainables.datasets.copies.matching import Proposal, match, propose
from trainables.datasets.procedural import draw


def middles(*views: np.ndarray) -> np.ndarray:
    return np.array([[(length - 1) / 2 for length in view.shape] for view in views], np.float32)


def test_a_view_keeps_the_aspect_ratio_and_the_area() -> None:
    assert view_of(np.zeros((200, 200), np.uint8)).shape == (VIEW_PX, VIEW_PX)
    assert view_of(np.zeros((64, 256, 3), np.uint8)).shape == (VIEW_PX // 2, VIEW_PX * 2)
    assert view_of(np.zeros((1, 4000), np.uint8)).shape[0] == 2


@pytest.mark.parametrize("orientation", range(8))
def test_keypoints_turn_with_their_picture(orientation: int) -> None:
    view = view_of(draw("patches", size_px=96, seed=3).pixels)
    matrix = ORIENTATIONS[orientation]
    seen = view[::-1] if orientation % 4 > 1 else view
    seen = seen[:, ::-1] if orientation % 2 else seen
    seen = np.ascontiguousarray(seen.T if orientation > 3 else seen)
    one, other = find_keypoints(view), find_keypoints(seen)
    middle = middles(view)[0]
    expected = (one.places - middle) @ matrix.T + middle
    distance = np.abs(expected[:, None] - other.places).sum(axis=2) + np.abs(one.scales[:, None] - other.scales)
    partner = distance.argmin(axis=1)
    assert len(one.scales) > 20 and (distance.min(axis=1) < 1e-2).mean() > 0.95
    alike = (one.descriptors * other.descriptors[partner]).sum(axis=1)
    assert np.quantile(alike, 0.1) > 0.99


def test_keypoints_of_pictures_without_any() -> None:
    none = find_keypoints(np.full((96, 96), 50, np.uint8))
    assert none.descriptors.shape == (0, 35) and none.places.shape == (0, 2)
    assert propose([none, none], middles(np.zeros((96, 96)), np.zeros((96, 96)))) == []


def test_matches_are_those_of_all_pairs_where_words_are_few() -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal((6, 35))
    rows = np.concatenate([base, base + 0.05 * rng.standard_normal((6, 35))])
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    assert match(rows, np.repeat([0, 1], 6)).tolist() == [[i, i + 6] for i in range(6)]


@pytest.mark.parametrize("turn", [0, 3, 5])
def test_a_crop_is_proposed_and_laid_where_it_was_cut(turn: int) -> None:
    picture = draw("pitted_surface", size_px=192, seed=8).pixels
    view = view_of(picture)
    cut = picture[30:150, 50:170]
    matrix = ORIENTATIONS[turn]
    # Laying the crop upon the picture undoes what turned it.
    cut = cut.T if turn > 3 else cut
    cut = cut[::-1] if matrix[:, 0].sum() < 0 else cut
    cut = np.ascontiguousarray(cut[:, ::-1] if matrix[:, 1].sum() < 0 else cut)
    crop = view_of(cut)
    (found,) = propose([find_keypoints(view), find_keypoints(crop)], middles(view, crop))
    assert (found.one, found.other, found.turn) == (0, 1, turn) and found.votes >= 5
    assert found.scale == pytest.approx(120 / 192, rel=0.1)
    assert found.middle == pytest.approx((89.5 / 2, 109.5 / 2), abs=2.0)
    near = agreement(prepare(view), prepare(crop), found)
    assert near is not None and near.correlation > 0.97 and near.stretch < 1.01
    assert near.inside == pytest.approx(1.0, abs=1e-3) and near.covered == pytest.approx((120 / 192) ** 2, abs=0.01)
    assert near.parts[0] > 0.8


def test_what_all_pictures_have_in_common_is_no_agreement() -> None:
    rng = np.random.default_rng(0)
    down, across = np.mgrid[:96, :96] / 96 - 0.5
    ring = np.where(np.hypot(down, across) < 0.35, 200.0, 40.0)
    one, other = (np.clip(ring + rng.normal(0, 6, ring.shape), 0, 255).astype(np.uint8) for _ in range(2))
    lie = Proposal(0, 1, 0, 1.0, (47.5, 47.5), 9)
    plain, partial = (agreement(prepare(one, common), prepare(other, common), lie) for common in (None, ring.astype(np.float32)))
    assert plain is not None and plain.correlation > 0.95
    assert partial is not None and partial.correlation < 0.5 and np.median(partial.parts) < 0.5


def test_overlap_of_areas() -> None:
    whole = np.ones(2)
    assert overlap((96, 96), (96, 96), 0, whole, np.array([47.5, 47.5])) == (1.0, 1.0)
    assert overlap((96, 96), (96, 96), 0, whole, np.array([47.5, 71.5])) == (0.75, 0.75)
    assert overlap((100, 100), (50, 80), 4, whole, np.array([49.5, 49.5])) == pytest.approx((1.0, 0.4))
    assert overlap((100, 100), (50, 80), 0, whole, np.array([500.0, 49.5])) == (0.0, 0.0)
