"""Adaptive discriminator augmentation: what it does to images, and how its probability follows the critic."""

import math

import pytest
import torch
from torch import Tensor

from trainables.generators.training.ada import AdaptiveAugmentation, augment, matrix, resample, turn


def adaptive(target: float = 0.6, kimg: float = 0.1) -> AdaptiveAugmentation:
    return AdaptiveAugmentation(target=target, kimg=kimg, device=torch.device("cpu"))


def pictures(count: int = 6, channels: int = 3) -> Tensor:
    return torch.rand(count, channels, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def probability(p: float) -> Tensor:
    return torch.tensor(p)


def one(value: float) -> Tensor:
    return torch.full((1,), value)


def random(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_p_rises_while_real_images_are_scored_surely_and_falls_while_not_but_never_below_0() -> None:
    state = adaptive()
    sure, unsure = torch.tensor([3.0, 1.0, 2.0, 0.5]), torch.tensor([3.0, -1.0, 2.0, -0.5])
    seen = []
    for scores in (sure, sure, unsure, unsure, unsure):
        state.observe(scores)
        state.adapt(4)
        seen.append(float(state.p))
    assert seen == pytest.approx([0.04, 0.08, 0.04, 0.0, 0.0])


def test_p_goes_from_0_to_1_in_its_time_and_no_further() -> None:
    state = adaptive(kimg=0.08)
    for _ in range(12):
        state.observe(torch.ones(8))
        state.adapt(8)
    assert float(state.p) == 1.0


def test_the_mean_sign_is_taken_over_all_steps_since_the_last_change() -> None:
    state = adaptive(target=0.4)
    for scores in (torch.ones(6), -torch.ones(2), torch.ones(2), torch.zeros(2)):  # mean sign (6 - 2 + 2) / 12 = 0.5
        state.observe(scores)
    state.adapt(8)
    assert float(state.p) == pytest.approx(0.08)
    state.observe(torch.tensor([1.0, -1.0]))  # the signs before are forgotten
    state.adapt(8)
    assert float(state.p) == 0.0


def test_its_state_continues_it() -> None:
    state, other = adaptive(target=0.1), adaptive(target=0.1)
    state.observe(torch.ones(4))
    state.adapt(8)
    state.observe(torch.ones(4))
    other.load(state.state())
    for part in (state, other):
        part.observe(-torch.ones(2))  # with the four before, a mean sign of 1/3
        part.adapt(8)
    assert float(state.p) == float(other.p) == pytest.approx(0.16)


@pytest.mark.parametrize("channels", [1, 3])
def test_at_p_0_images_stay_as_they_are_and_gradients_pass(channels: int) -> None:
    images = pictures(channels=channels).requires_grad_(True)
    out = augment(images, probability(0.0), random())
    assert torch.equal(out, images)
    weights = torch.randn(out.shape, generator=random())
    (slopes,) = torch.autograd.grad((out * weights).sum(), images)
    torch.testing.assert_close(slopes, weights)


def test_at_p_1_every_image_changes_and_gradients_still_pass() -> None:
    images = pictures(20).requires_grad_(True)
    out = augment(images, probability(1.0), random())
    assert (out != images).flatten(1).any(dim=1).all()
    (slopes,) = torch.autograd.grad(out.square().sum(), images)
    assert slopes.isfinite().all()
    assert (slopes != 0).flatten(1).float().mean(dim=1).min() > 0.3


def test_equal_random_numbers_give_equal_changes() -> None:
    first, again, other = (augment(pictures(), probability(0.8), random(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_change_happens_as_often_as_p_says() -> None:
    # There are eight changes; of the quarter turns a quarter is none, and of the shifts at 16 px a sixteenth.
    p, count = 0.1, 2000
    images = pictures(count, 1)
    kept = ((augment(images, probability(p), random()) - images).abs() < 1e-4).flatten(1).all(dim=1).float().mean()
    expected = (1 - p) ** 6 * (1 - p * 3 / 4) * (1 - p * 15 / 16)
    assert float(kept) == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / count))


def test_a_quarter_turn_and_a_whole_shift_move_pixels_without_blurring() -> None:
    images = pictures(1)
    torch.testing.assert_close(resample(images, matrix(*turn(one(math.pi / 2), whole=True))), images.rot90(1, (2, 3)), atol=1e-5, rtol=0)
    shifted = resample(images, matrix(one(1.0), one(0.0), one(0.0), one(1.0), one(2 * 3 / 16), one(0.0)))
    torch.testing.assert_close(shifted[..., :13], images[..., 3:], atol=1e-5, rtol=0)
    mirrored = resample(images, matrix(one(-1.0), one(0.0), one(0.0), one(1.0)))
    torch.testing.assert_close(mirrored, images.flip(3), atol=1e-5, rtol=0)


def test_an_even_grey_image_stays_even_and_half_of_them_turn_negative_at_p_half() -> None:
    images = torch.full((2000, 1, 8, 8), 0.9)
    out = augment(images, probability(0.5), random())
    torch.testing.assert_close(out, out[..., :1, :1].expand_as(out), atol=1e-5, rtol=0)
    assert float((out[:, 0, 0, 0] < 0).float().mean()) == pytest.approx(0.5, abs=0.05)


def test_the_changes_are_made_in_float32_under_bf16() -> None:
    images = pictures()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = augment(images, probability(1.0), random())
    assert torch.equal(inside, augment(images, probability(1.0), random()))
