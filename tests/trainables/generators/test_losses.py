"""Losses against closed forms."""

import math

import pytest
import torch
from torch import Tensor, nn

from trainables.generators.dcgan import bce
from trainables.generators.layers import DownStack
from trainables.generators.losses import gradient_penalty


def pair() -> tuple[Tensor, Tensor, torch.Generator]:
    random = torch.Generator().manual_seed(0)
    return torch.rand(4, 3, 8, 8, generator=random), torch.rand(4, 3, 8, 8, generator=random), random


def test_the_penalty_of_a_linear_critic_is_that_of_its_weights() -> None:
    weight = torch.randn(3 * 8 * 8, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
    real, fake, random = pair()
    penalty = gradient_penalty(lambda images: images.flatten(1) @ weight, real, fake, random)
    norm = weight.detach().norm()
    torch.testing.assert_close(penalty.detach(), (norm - 1) ** 2)
    (slope,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(slope, 2 * (norm - 1) * weight.detach() / norm)


def test_a_critic_of_slope_1_pays_nothing_and_a_flat_one_pays_1() -> None:
    real, fake, random = pair()
    weight = torch.full((192,), 1 / math.sqrt(192))
    assert float(gradient_penalty(lambda images: images.flatten(1) @ weight, real, fake, random)) == pytest.approx(0.0, abs=1e-9)
    assert float(gradient_penalty(lambda images: images.flatten(1) @ (0 * weight), real, fake, random)) == pytest.approx(1.0)


def test_a_map_of_patch_scores_is_summed() -> None:
    real, fake, random = pair()
    state = random.get_state()
    patches = nn.Conv2d(3, 1, 2, stride=2)
    summed = gradient_penalty(lambda images: patches(images), real, fake, random)
    random.set_state(state)
    torch.testing.assert_close(summed, gradient_penalty(lambda images: patches(images).sum(dim=(1, 2, 3)), real, fake, random))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_penalty_reaches_the_critic_s_weights(precision: str) -> None:
    critic = DownStack(width=8, size_px=32, channels=1, num_classes=2, norm=False)
    random = torch.Generator().manual_seed(0)
    real, fake = torch.rand(4, 1, 32, 32, generator=random), torch.rand(4, 1, 32, 32, generator=random)
    labels = torch.tensor([0, 1, 0, 1])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        penalty = gradient_penalty(lambda images: critic(images, labels), real, fake, random)
    assert penalty.dtype == torch.float32
    penalty.backward()
    weights = {name: weight for name, weight in critic.named_parameters() if name.endswith("weight")}
    assert all(weight.grad is not None and float(weight.grad.abs().sum()) > 0 for weight in weights.values())


def test_cross_entropy_of_a_linear_score() -> None:
    scores = torch.tensor([0.0, 2.0])
    expected = -(math.log(0.5) + math.log(1 / (1 + math.exp(-2.0)))) / 2
    assert float(bce(scores, 1.0)) == pytest.approx(expected)
    assert float(bce(torch.zeros(3), 0.9)) == pytest.approx(math.log(2))
