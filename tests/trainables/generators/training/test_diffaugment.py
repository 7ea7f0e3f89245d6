"""DiffAugment: each change against what it must leave alone, and the gradients that pass through it."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from trainables.generators.training.diffaugment import Policy, diffaugment

POLICIES: tuple[Policy, ...] = get_args(Policy)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 8, channels: int = 3, side: int = 16) -> Tensor:
    return torch.rand(count, channels, side, side, generator=random(9), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("policy", POLICIES)
def test_equal_random_numbers_give_equal_changes_and_the_shape_stays(policy: Policy) -> None:
    images = pictures()
    changed = diffaugment(images, policy, random(1))
    assert changed.shape == images.shape
    assert torch.equal(changed, diffaugment(images, policy, random(1)))
    assert torch.equal(changed, diffaugment(images, policy, random(2))) == (policy == "none")
    assert torch.equal(images, pictures())


@pytest.mark.parametrize("policy", POLICIES)
def test_gradients_pass_to_every_image(policy: Policy) -> None:
    images = pictures(3, side=8).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda points: diffaugment(points, policy, random(1)), images, fast_mode=True)
    (slope,) = torch.autograd.grad(diffaugment(images, policy, random(1)).sum(), images)
    assert (slope.flatten(1).abs().sum(dim=1) > 0).all()


def test_each_image_is_changed_by_itself() -> None:
    images = pictures(2)
    for policy in POLICIES[1:]:
        alone = diffaugment(torch.cat([images[:1], -images[1:]]), policy, random(3))
        assert torch.equal(alone[0], diffaugment(images, policy, random(3))[0])


def test_brightness_moves_the_mean_by_nothing_on_average_and_contrast_not_at_all() -> None:
    images = pictures(1).expand(20_000, -1, -1, -1)[:, :, :2, :2]
    means = images.mean(dim=(1, 2, 3))
    moved = diffaugment(images, "color", random()).mean(dim=(1, 2, 3)) - means
    # Saturation and contrast keep each image's mean; brightness adds U(-0.5, 0.5), whose standard error is 0.289 / sqrt(20,000).
    assert abs(float(moved.mean())) < 4 * 0.289 / 20_000**0.5
    assert float(moved.abs().max()) <= 0.5
    assert float(moved.std()) == pytest.approx(12**-0.5, rel=0.02)


def test_color_scales_what_differs_from_the_mean_by_one_factor_each() -> None:
    images = pictures()
    changed = diffaugment(images, "color", random())
    grey, grey_now = (points.mean(dim=1, keepdim=True) for points in (images, changed))
    contrast = (grey_now - grey_now.mean(dim=(2, 3), keepdim=True)) / (grey - grey.mean(dim=(2, 3), keepdim=True))
    for factors, lowest, highest in ((contrast, 0.5, 1.5), ((changed - grey_now) / (images - grey) / contrast, 0.0, 2.0)):
        torch.testing.assert_close(factors, factors[:, :1, :1, :1].expand_as(factors), rtol=1e-6, atol=1e-6)
        assert lowest <= float(factors.min()) and float(factors.max()) <= highest


def test_saturation_leaves_grey_images_grey() -> None:
    images = pictures(channels=1).expand(-1, 3, -1, -1)
    changed = diffaugment(images, "color", random())
    torch.testing.assert_close(changed[:, 0], changed[:, 2])


def test_a_translation_is_a_whole_shift_filled_with_0() -> None:
    images = pictures(200) + 3  # no pixel is 0
    changed = diffaugment(images, "translation", random())
    seen = set()
    for before, after in zip(images, changed, strict=True):
        candidates = [(down, right) for down in range(-2, 3) for right in range(-2, 3) if torch.equal(after, shifted(before, down, right))]
        assert len(candidates) == 1
        seen.add(candidates[0])
    assert len(seen) == 25


def shifted(image: Tensor, down: int, right: int) -> Tensor:
    """Moves an image within a frame of zeros."""
    framed = torch.nn.functional.pad(image, (2, 2, 2, 2))
    return framed[:, 2 - down : 2 - down + image.shape[1], 2 - right : 2 - right + image.shape[2]]


@pytest.mark.parametrize("side", [15, 16])
def test_a_cutout_is_one_square_of_half_the_side_and_the_rest_is_exact(side: int) -> None:
    images = pictures(200, side=side) + 3
    changed = diffaugment(images, "cutout", random())
    full = 0
    for before, after in zip(images, changed, strict=True):
        hole = (after == 0).all(dim=0)
        rows, columns = hole.any(dim=1).nonzero().flatten(), hole.any(dim=0).nonzero().flatten()
        height, width = int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1
        assert int(hole.sum()) == height * width
        assert side // 4 <= min(height, width) and max(height, width) <= side // 2
        full += height == width == side // 2
        assert torch.equal(after[:, ~hole], before[:, ~hole])
    assert full > 0
