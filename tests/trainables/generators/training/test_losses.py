"""Losses against closed forms."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.generators.bases.adversarial import AdversarialModel
from trainables.generators.bases.subject import Subject
from trainables.generators.dcgan import Dcgan, DcganConfig
from trainables.generators.gan import Gan, GanConfig
from trainables.generators.networks.layers import DownStack
from trainables.generators.networks.translators import TwoHeadedCritic
from trainables.generators.sdg_gan import SdgCritic, SdgGan, SdgGanConfig
from trainables.generators.training.losses import (
    PENALISED,
    AdversarialLoss,
    Targets,
    autograd_slope,
    critic_loss,
    generator_loss,
    gradient_penalty,
    slope_penalty,
    zero_centred_penalty,
)
from trainables.generators.wgan_gp import WganGp, WganGpConfig


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
    pooled = SdgCritic(SdgGanConfig(width=2), three, norm=False).double()
    strided = SdgCritic(SdgGanConfig(width=2, downsample="stride"), three, norm=False).double()
    heads = TwoHeadedCritic(width=4, size_px=64, channels=channels, domains=4).double()

    def projected(critic: DownStack | SdgCritic) -> Callable[[Tensor], Tensor]:
        def score(images: Tensor) -> Tensor:
            maps = critic.layers(images)
            classes = 0.0 if critic.classes is None else (critic.classes(critic.code(labels)) * maps.mean(dim=(2, 3))).sum(dim=1)
            return critic.score(maps).flatten(1).squeeze(1) + classes  # type: ignore[no-any-return]

        return score

    return {
        "stack": (stack, projected(stack), lambda images: stack.slope(images, labels)),
        "single": (single, projected(single), lambda images: single.slope(images, 0 * labels)),
        "five": (five, projected(five), lambda images: five.slope(images, labels)),
        "pooled": (pooled, projected(pooled), lambda images: pooled.slope(images, labels)),
        "strided": (strided, projected(strided), lambda images: strided.slope(images, labels)),
        "heads": (heads, lambda images: heads.score(heads.trunk(images)), heads.slope),
    }


@pytest.mark.parametrize("name", ["stack", "single", "five", "pooled", "strided", "heads"])
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


def log_sigmoid(score: float) -> float:
    return -math.log1p(math.exp(-score))


REAL, FAKE = 0.7, -1.3
CLOSED_FORMS: dict[AdversarialLoss, tuple[float, float]] = {
    "bce": (-log_sigmoid(REAL) - log_sigmoid(-FAKE), -log_sigmoid(FAKE)),
    "r1_logistic": (-log_sigmoid(REAL) - log_sigmoid(-FAKE), -log_sigmoid(FAKE)),
    "lsgan": (0.5 * (REAL - 1) ** 2 + 0.5 * FAKE**2, 0.5 * (FAKE - 1) ** 2),
    "hinge": (1 - REAL, -FAKE),
    "wgan_gp": (FAKE - REAL, -FAKE),
    "rpgan": (-log_sigmoid(REAL - FAKE), -log_sigmoid(FAKE - REAL)),
}
"""What the critic and what the generator minimises, for one real and one synthetic score."""


@pytest.mark.parametrize("kind", CLOSED_FORMS)
def test_every_loss_has_its_closed_form(kind: AdversarialLoss) -> None:
    real, fake = torch.full((3,), REAL), torch.full((3,), FAKE)
    expected = CLOSED_FORMS[kind]
    assert (float(critic_loss(kind, real, fake)), float(generator_loss(kind, fake, real))) == pytest.approx(expected)


@pytest.mark.parametrize("kind", CLOSED_FORMS)
def test_both_sides_of_every_loss_pull_apart(kind: AdversarialLoss) -> None:
    real, fake = (torch.tensor([0.3, -0.2], requires_grad=True) for _ in range(2))
    up, down = torch.autograd.grad(critic_loss(kind, real, fake), (real, fake))
    (back,) = torch.autograd.grad(generator_loss(kind, fake, real.detach()), fake)
    assert (up < 0).all() and (back < 0).all()
    assert float(down.sum()) > 0


def test_hinge_leaves_scores_beyond_the_margin_alone() -> None:
    real, fake = torch.tensor([2.0, 0.0], requires_grad=True), torch.tensor([-2.0, 0.0], requires_grad=True)
    for slope, expected in zip(torch.autograd.grad(critic_loss("hinge", real, fake), (real, fake)), ([0.0, -0.5], [0.0, 0.5]), strict=True):
        assert slope.tolist() == expected


def test_a_relativistic_loss_sees_only_differences_of_pairs() -> None:
    real, fake = torch.tensor([1.0, 5.0]), torch.tensor([0.0, 4.5])
    assert float(critic_loss("rpgan", real, fake)) == pytest.approx(-(log_sigmoid(1.0) + log_sigmoid(0.5)) / 2)
    assert float(critic_loss("rpgan", real + 3, fake + 3)) == pytest.approx(float(critic_loss("rpgan", real, fake)))


def test_smoothed_targets_are_where_the_critic_rests() -> None:
    for kind, rest in (("bce", math.log(0.9 / 0.1)), ("lsgan", 0.9)):
        real = torch.tensor([rest], requires_grad=True)
        (slope,) = torch.autograd.grad(critic_loss(kind, real, torch.zeros(1), smoothing=0.1), real)  # type: ignore[arg-type]
        assert float(slope) == pytest.approx(0.0, abs=1e-6)


def test_least_squares_asks_for_its_targets() -> None:
    targets = Targets(a=-1.0, b=1.0, c=0.0)
    real, fake = torch.tensor([0.5]), torch.tensor([0.25])
    assert float(critic_loss("lsgan", real, fake, targets=targets)) == pytest.approx(0.5 * 0.5**2 + 0.5 * 1.25**2)
    assert float(generator_loss("lsgan", fake, targets=targets)) == pytest.approx(0.5 * 0.25**2)


def test_r1_of_a_quadratic_critic_is_half_its_squared_slope() -> None:
    matrix = torch.randn(12, 12, generator=torch.Generator().manual_seed(2))
    matrix = (matrix + matrix.T).requires_grad_(True)
    images, others, random = torch.randn(5, 3, 2, 2), torch.randn(5, 3, 2, 2), torch.Generator().manual_seed(0)
    slope = autograd_slope(lambda points: 0.5 * ((points.flatten(1) @ matrix) * points.flatten(1)).sum(dim=1))
    penalty = zero_centred_penalty(slope, images)
    x = images.flatten(1)
    torch.testing.assert_close(penalty, 0.5 * (x @ matrix).square().sum(dim=1).mean())
    # d/dA of |A x|^2 / 2, where A enters through its symmetric part alone.
    (found,) = torch.autograd.grad(penalty, matrix)
    outer = (x @ matrix).T @ x / len(x)
    torch.testing.assert_close(found, (outer + outer.T) / 2)
    r1 = slope_penalty("r1_logistic", slope, images, others, random, gp_lambda=0.0, r1_gamma=3.0)
    both = slope_penalty("rpgan", slope, images, others, random, gp_lambda=0.0, r1_gamma=3.0)
    torch.testing.assert_close(r1, 3.0 * zero_centred_penalty(slope, images))
    torch.testing.assert_close(both, r1 + 3.0 * zero_centred_penalty(slope, others))


SMALL_CRITICS: dict[str, tuple[type[AdversarialModel], Any]] = {
    "gan": (Gan, GanConfig(width=4, latent_dim=8)),
    "dcgan": (Dcgan, DcganConfig(width=4, latent_dim=8)),
    "wgan_gp": (WganGp, WganGpConfig(width=4, latent_dim=8)),
    "sdg_gan": (SdgGan, SdgGanConfig(width=4, latent_dim=8)),
}
LOSSES_OF = {"gan": ("rpgan",), "dcgan": ("rpgan", "r1_logistic"), "wgan_gp": ("wgan_gp",), "sdg_gan": ("wgan_gp", "rpgan")}
"""Penalised losses that can be chosen there, and one that belongs to another family of the same training."""


def slopes_under(family: str, kind: str, precision: str, diffaug: str, weight: float, step: int = 0) -> dict[str, Tensor]:
    """Gives the gradients that one critic step of a training finds, by parameter."""
    kind_of, config = SMALL_CRITICS[family]
    settings = {name: getattr(config, name) for name in config.__dataclass_fields__}
    settings |= {name: weight for name in ("gp_lambda", "r1_gamma") if name in settings} | {"diffaug": diffaug}
    settings |= {"adversarial_loss": kind} if "adversarial_loss" in settings else {}
    settings |= {"gp_interval": 2} if "gp_interval" in settings else {}
    model = kind_of(type(config)(**settings), Subject(shape=(1, 16, 16), num_classes=2), precision=precision, seed=3)
    model.critic.train()
    random = torch.Generator().manual_seed(4)
    real, fake = (torch.rand(4, 1, 16, 16, generator=random) * 2 - 1 for _ in range(2))
    model.critic_step(real, fake, torch.tensor([0, 1, 0, 1]), random, step)
    return {name: torch.zeros_like(weight) if weight.grad is None else weight.grad for name, weight in model.critic.named_parameters()}


@pytest.mark.parametrize("diffaug", ["none", "color,translation,cutout"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("family", "kind"), [(family, kind) for family, kinds in LOSSES_OF.items() for kind in kinds])
def test_the_penalty_reaches_every_weight_in_every_mode_of_training(family: str, kind: str, precision: str, diffaug: str) -> None:
    assert set(PENALISED) == {kind for kinds in LOSSES_OF.values() for kind in kinds}
    without, once, twice = (slopes_under(family, kind, precision, diffaug, weight) for weight in (0.0, 1.0, 2.0))
    for name in without:
        penalty_s = once[name] - without[name]
        if name.endswith("bias"):
            continue  # a slope does not depend on what is added after it, but through the signs of the maps
        assert float(penalty_s.abs().sum()) > 0, f"the penalty does not reach {name}"
        torch.testing.assert_close(twice[name] - without[name], 2 * penalty_s, rtol=1e-3, atol=1e-4 * float(penalty_s.abs().max()) + 1e-6)


def test_between_penalties_there_is_none_and_each_stands_for_its_interval() -> None:
    off, on = (slopes_under("wgan_gp", "wgan_gp", "fp32", "none", weight, step=1) for weight in (0.0, 1.0))
    assert all(torch.equal(off[name], on[name]) for name in off)
    lazy = slopes_under("wgan_gp", "wgan_gp", "fp32", "none", 1.0)
    name = "score.weight"
    assert float((lazy[name] - on[name]).abs().sum()) > 0
