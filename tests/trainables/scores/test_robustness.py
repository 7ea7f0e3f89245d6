"""Robustness curves and the area under them."""

import pytest
import torch
from torch import Tensor

from trainables.scores.corruptions import noise
from trainables.scores.robustness import area_under_curve, robustness_curve

IMAGES = torch.randint(90, 160, (10, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def likeness(images: Tensor) -> float:
    """A score that is 1 for the undisturbed images."""
    return 1.0 - float((images.float() - IMAGES.float()).abs().mean()) / 255.0


def test_the_area_is_a_mean_height() -> None:
    assert area_under_curve([0.7] * 6) == pytest.approx(0.7)
    assert area_under_curve([1.0, 0.8, 0.6, 0.4, 0.2, 0.0]) == pytest.approx(0.5)
    assert area_under_curve([1.0, 0.0, 0.0, 0.0, 0.0, 0.0]) == pytest.approx(0.1)
    assert area_under_curve([1.0, None, 0.0]) is None


def test_a_curve_starts_undisturbed_and_falls() -> None:
    curve = robustness_curve(likeness, IMAGES, noise, seed=3)
    assert len(curve) == 6 and curve[0] == 1.0
    assert curve == sorted(curve, reverse=True) and curve[5] < curve[1]
    assert curve == robustness_curve(likeness, IMAGES, noise, seed=3)
