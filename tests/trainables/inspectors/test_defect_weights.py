"""What the pixels of SegDecNet's map are to become, against numbers worked out by hand."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from trainables.inspectors.defect_weights import depth_weights, pixel_targets, shrink, with_pixel_labels


def square(side: int, *, at: int, size_px: int = 16) -> np.ndarray:
    mask = np.zeros((size_px, size_px), dtype=bool)
    mask[at : at + side, at : at + side] = True
    return mask


@pytest.mark.parametrize(("highest", "power", "rings"), [(10.0, 1.0, (10 / 3, 20 / 3, 10.0)), (1.0, 2.0, (1 / 9, 4 / 9, 1.0))])
def test_weights_rise_from_a_defects_edge_to_its_middle(highest: float, power: float, rings: tuple[float, float, float]) -> None:
    """The three rings of a square of five lie 1, 2 and 3 px from the nearest pixel outside."""
    weights = depth_weights(square(5, at=2), highest=highest, power=power)
    assert weights[4, 2:7].tolist() == pytest.approx([rings[0], rings[1], rings[2], rings[1], rings[0]], rel=1e-6)
    assert weights[2, 2:7].tolist() == pytest.approx([rings[0]] * 5, rel=1e-6)
    assert (weights[~square(5, at=2)] == 1.0).all()


def test_each_defect_has_its_own_middle_and_corners_touch() -> None:
    mask = square(5, at=1) | square(1, at=9)
    weights = depth_weights(mask, highest=3.0, power=1.0)
    assert weights[3, 3] == pytest.approx(3.0) and weights[9, 9] == pytest.approx(3.0)
    # The lone pixel at (6, 6) touches the square by its corner, and is as deep as the square's edge.
    touching = depth_weights(square(5, at=1) | square(1, at=6), highest=3.0, power=1.0)
    assert touching[6, 6] == pytest.approx(1.0)


def test_the_border_of_the_image_is_no_edge() -> None:
    mask = np.zeros((4, 8), dtype=bool)
    mask[:, :3] = True
    assert depth_weights(mask, highest=3.0, power=1.0)[1].tolist() == pytest.approx([3.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert (depth_weights(np.ones((4, 8), dtype=bool), highest=3.0, power=1.0) == 3.0).all()


def test_masks_are_dilated_before_they_are_weighed() -> None:
    masks = torch.from_numpy(square(1, at=5).astype(np.uint8))[None]
    args = {"highest": 4.0, "power": 1.0}
    targets = pixel_targets(masks, torch.tensor([1]), torch.tensor([True]), dilate_px=3, **args)
    assert torch.equal(targets[0, 0], torch.from_numpy(square(3, at=4)).half())
    assert targets[0, 1, 5, 4:7].tolist() == [2.0, 4.0, 2.0]
    assert float(pixel_targets(masks, torch.tensor([1]), torch.tensor([True]), dilate_px=1, **args)[0, 0].sum()) == 1.0


def test_planes_shrink_by_means_over_seventeen_pixels_of_the_mirrored_image() -> None:
    """Of 16 px, the first mean reaches from -8 to 8 and the second from 0 to 16; -k is the mirror image of k, and 16 that of 14."""
    seen = []
    for row, column in ((0, 0), (1, 1), (0, 8), (9, 14)):
        plane = torch.zeros(1, 1, 16, 16, dtype=torch.float16)
        plane[0, 0, row, column] = 1.0
        seen.append((shrink(plane) * 17 * 17).flatten().round(decimals=4).tolist())
    assert seen == [[1, 1, 1, 1], [4, 2, 2, 1], [2, 1, 2, 1], [0, 0, 0, 2]]
    assert torch.allclose(shrink(torch.ones(1, 2, 24, 40)), torch.ones(1, 2, 3, 5))


def test_smaller_shares_of_pixel_labels_are_among_larger_ones() -> None:
    labels, marked = torch.arange(60) % 2, torch.ones(60, dtype=torch.bool)
    marked[1], masks = False, torch.ones(60, 4, 4, dtype=torch.uint8)
    masks[3] = 0
    chosen = [with_pixel_labels(masks, labels, marked, share) for share in (0.0, 0.01, 0.25, 0.5, 1.0)]
    # 30 images are defective; the first is not marked and the mask of the second is empty, which leaves 28.
    assert [int(used.sum()) for used in chosen] == [0, 1, 7, 14, 28]
    for fewer, more in pairwise(chosen):
        assert bool((more | ~fewer).all())
    assert not chosen[-1][labels == 0].any() and not chosen[-1][[1, 3]].any()
    assert torch.equal(with_pixel_labels(masks, labels, marked, 0.25), chosen[2])
