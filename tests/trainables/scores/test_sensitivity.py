"""Every distance between image sets rises as real images get blurred and sprinkled, as LM-GAN's Fig. 6 shows for FID."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.datasets.procedural import CLASSES, draw
from trainables.recipe import ScorePart
from trainables.scores.distances import kid
from trainables.scores.extractors import make_extractor
from trainables.scores.names import TEXTURES
from trainables.scores.sensitivity import Response, image_measure, responses


@pytest.fixture(scope="module")
def surfaces() -> Tensor:
    drawn = [draw(CLASSES[i % 6], size_px=64, seed=i).pixels for i in range(96)]
    return torch.from_numpy(np.stack(drawn))[:, None]


@pytest.fixture(scope="module")
def found(surfaces: Tensor) -> list[Response]:
    extractor = make_extractor(ScorePart(extractor="random"), device="cpu")
    return responses(surfaces, image_measure(extractor.run, "random"))


def test_every_distance_is_measured_under_both_corruptions(found: list[Response]) -> None:
    assert Counter(response.corruption for response in found) == {"blur": 5, "salt_and_pepper": 5}
    assert {response.distance for response in found} == {"kid_random", "frechet_random", *TEXTURES}
    assert all(response.severities == (0, 1, 2, 3, 4, 5) and len(response.values) == 6 for response in found)


def test_every_distance_rises_with_every_severity(found: list[Response]) -> None:
    still = [response for response in found if not response.rises]
    assert not still, still


def test_the_strongest_corruption_is_far_above_two_undisturbed_halves(found: list[Response]) -> None:
    assert all(response.values[5] > 2 * abs(response.floor) and response.floor != 0 for response in found)
    textures = [response for response in found if response.distance in TEXTURES]
    assert all(response.values[0] == pytest.approx(0.0, abs=1e-7) for response in textures), "undisturbed, they are the same images"


def test_a_distance_that_sees_nothing_does_not_rise(surfaces: Tensor) -> None:
    def blind(real: Tensor, other: Tensor) -> dict[str, float]:
        means = [images.float().mean((1, 2, 3))[:, None] / 255.0 for images in (real, other)]
        return {"brightness_alone": kid(*means), "nothing": 0.0}

    assert {(response.distance, response.rises) for response in responses(surfaces, blind) if response.corruption == "blur"} >= {("nothing", False)}
