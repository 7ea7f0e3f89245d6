"""Robustness curves and the area under them."""

import pytest
import torch
from torch import Tensor

from trainables.scores.corruptions import brightness, corruptions, noise
from trainables.scores.names import robustness_names
from trainables.scores.robustness import area_under_curve, robustness_curve, robustness_scores

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


def test_scores_and_names_go_together() -> None:
    found = corruptions(lambda inputs, rows: inputs.square().sum())
    scores, curves = robustness_scores(likeness, IMAGES, found, seed=0, split="test")
    assert list(scores) == list(robustness_names("test"))
    assert scores["test_robustness.blur"] == area_under_curve(curves["blur"])
    assert all(0.5 < score < 1.0 for score in scores.values())
    one, _ = robustness_scores(likeness, IMAGES, {"brightness": brightness}, seed=0)
    assert one["val_robustness.brightness"] == scores["test_robustness.brightness"], "a corruption draws the same whatever the others are"
