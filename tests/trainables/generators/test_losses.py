"""Losses against closed forms."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trainables.generators.layers import DownStack
from trainables.generators.losses import critic_loss, gradient_penalty
from trainables.generators.pe_gan import TwoHeadedCritic
from trainables.generators.subject import Subject


def pair() -> tuple[Tensor, Tensor, torch.Generator]:
    random = torch.Generator().manual_seed(0)
    return torch.rand(4, 3, 8, 8, generator=random), torch.rand(4, 3, 8, 8, generator=random), random


def test_the_penalty_of_a_linear_critic_is_that_of_its_weights() -> None:
    weight = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
    real, fake, random = pair()
    penalty = gradient_penalty(lambda images: weight.expand_as(images), real, fake, random)
    norm = weight.detach().norm()
    torch.testing.assert_close(penalty.detach(), (norm - 1) ** 2)
    (slope,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(slope, 2 * (norm - 1) * weight.detach() / norm)


def test_a_critic_of_slope_1_pays_nothing_and_a_flat_one_pays_1() -> None:
    real, fake, random = pair()
    assert float(gradient_penalty(lambda images: torch.full_like(images, 192**-0.5), real, fake, random)) == pytest.approx(0.0, abs=1e-9)
    assert float(gradient_penalty(torch.zeros_like, real, fake, random)) == pytest.approx(1.0)


def test_points_lie_between_the_images_of_each_pair() -> None:
    real, fake, random = pair()
    seen: list[Tensor] = []
    gradient_penalty(lambda images: seen.append(images) or images, real, fake, random)  # type: ignore[func-returns-value]
    shares = (seen[0] - real) / (fake - real)
    assert ((shares > 0) & (shares < 1)).all()
    torch.testing.assert_close(shares, shares[:, :1, :1, :1].expand_as(shares), atol=1e-2, rtol=1e-2)


def critics(channels: int, labels: Tensor) -> dict[str, tuple[nn.Module, Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]]:
    """Gives every critic in float64 with its score and its slope, as functions of images of 64 px."""
    three = Subject(shape=(channels, 64, 64), num_classes=3)
    stack = DownStack(width=4, subject=three, norm=False).double()
    single = DownStack(width=4, subject=Subject(shape=(channels, 64, 64)), norm=False).double()
    five = DownStack(width=4, subject=three, norm=False, stages=5).double()
    heads = TwoHeadedCritic(width=4, size_px=64, channels=channels, domains=4).double()

    def projected(critic: DownStack) -> Callable[[Tensor], Tensor]:
        def score(images: Tensor) -> Tensor:
            maps = critic.layers(images)
            classes = 0.0 if critic.classes is None else (critic.classes(critic.code(labels)) * maps.mean(dim=(2, 3))).sum(dim=1)
            return critic.score(maps).flatten(1).squeeze(1) + classes  # type: ignore[no-any-return]

        return score

    return {
        "stack": (stack, projected(stack), lambda images: stack.slope(images, labels)),
        "single": (single, projected(single), lambda images: single.slope(images, 0 * labels)),
        "five": (five, projected(five), lambda images: five.slope(images, labels)),
        "heads": (heads, lambda images: heads.score(heads.trunk(images)), heads.slope),
    }


@pytest.mark.parametrize("name", ["stack", "single", "five", "heads"])
@pytest.mark.parametrize("channels", [1, 3])
def test_slopes_and_their_derivatives_are_autograd_s(name: str, channels: int) -> None:
    labels = torch.tensor([0, 1, 2, 1])
    critic, score, slope = critics(channels, labels)[name]
    images = torch.randn(4, channels, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    (expected,) = torch.autograd.grad(score(images).sum(), images, create_graph=True)
    torch.testing.assert_close(slope(images.detach()), expected)
    weights = {part: weight for part, weight in critic.named_parameters() if part.endswith("weight") and not part.startswith("domain")}
    ours, autograd_s = (
        torch.autograd.grad((slopes.flatten(1).norm(dim=1) - 1).square().mean(), list(weights.values()))
        for slopes in (slope(images.detach()), expected)
    )
    for part, one, other in zip(weights, ours, autograd_s, strict=True):
        torch.testing.assert_close(one, other, msg=lambda text, part=part: f"{part}: {text}")
        assert float(one.abs().sum()) > 0, f"the penalty does not reach {part}"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_penalty_is_float32_under_any_precision(precision: str) -> None:
    critic = DownStack(width=8, subject=Subject(shape=(1, 32, 32), num_classes=2), norm=False)
    random = torch.Generator().manual_seed(0)
    real, fake = torch.rand(4, 1, 32, 32, generator=random), torch.rand(4, 1, 32, 32, generator=random)
    labels = torch.tensor([0, 1, 0, 1])
    state = random.get_state()
    exact = gradient_penalty(lambda images: critic.slope(images, labels), real, fake, random)
    random.set_state(state)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        penalty = gradient_penalty(lambda images: critic.slope(images, labels), real, fake, random)
    assert penalty.dtype == torch.float32
    assert torch.equal(penalty, exact)


def test_cross_entropy_of_a_linear_score() -> None:
    scores = torch.tensor([0.0, 2.0])
    expected = -(math.log(0.5) + math.log(1 / (1 + math.exp(-2.0)))) / 2
    assert float(critic_loss("bce", scores, torch.full((2,), -99.0))) == pytest.approx(expected)
    assert float(critic_loss("bce", torch.zeros(3), torch.full((3,), -99.0), smoothing=0.1)) == pytest.approx(math.log(2))
