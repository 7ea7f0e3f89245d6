"""The ways from noise to images in closed form, and Heun's method on fields whose solution is known."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from trainables.generators.training.flow import PATHS, EdmPath, Objective, Path, heun

OBJECTIVES: list[Objective] = ["flow", "edm", "v"]


def path(objective: Objective) -> Path:
    return PATHS[objective]("uniform")


def pair(count: int = 6) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    images, noise = torch.randn(2, count, 1, 4, 4, generator=random, dtype=torch.float64)
    return images, noise


def column(*times: float) -> Tensor:
    return torch.tensor(times, dtype=torch.float64)[:, None, None, None]


def test_the_straight_path_s_velocity_in_closed_form() -> None:
    images, noise = pair(3)
    time = column(0.0, 0.25, 1.0)
    noisy, velocity = path("flow").mix(images, noise, time)
    torch.testing.assert_close(noisy, (1 - time) * noise + time * images)
    torch.testing.assert_close(velocity, images - noise)
    assert torch.equal(noisy[0], noise[0]) and torch.equal(noisy[2], images[2])


def test_the_circle_s_velocity_in_closed_form() -> None:
    images, noise = pair(3)
    time = column(0.0, math.pi / 6, math.pi / 2)
    noisy, velocity = path("v").mix(images, noise, time)
    torch.testing.assert_close(noisy[1], math.sqrt(0.75) * images[1] + 0.5 * noise[1])
    torch.testing.assert_close(velocity[1], math.sqrt(0.75) * noise[1] - 0.5 * images[1])
    torch.testing.assert_close(noisy[[0, 2]], torch.stack([images[0], noise[2]]))
    # Denoised by x = cos(a) x_a - sin(a) v (Salimans and Ho 2022, appendix D).
    torch.testing.assert_close(time.cos() * noisy - time.sin() * velocity, images)


def test_edm_asks_for_what_its_preconditioning_leaves() -> None:
    images, noise = pair(3)
    level = column(0.01, 1.0, 50.0)
    noisy, wanted = path("edm").mix(images, noise, level)
    torch.testing.assert_close(noisy, images + level * noise)
    skip, out = 1 / (level.square() + 1), level / (level.square() + 1).sqrt()
    torch.testing.assert_close(skip * noisy + out * wanted, images)
    # At data and noise of deviation 1 both what is shown and what is asked for have deviation 1 (Karras et al. 2022, appendix B.6).
    many = torch.randn(2, 20_000, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    noisy, wanted = path("edm").mix(many[0], many[1], column(3.0))
    shown, told = path("edm").shown(noisy, column(3.0))
    assert float(wanted.std()) == pytest.approx(1.0, abs=0.02) and float(shown.std()) == pytest.approx(1.0, abs=0.02)
    assert float(told[0]) == pytest.approx(math.log(3.0) / 4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_slope_of_a_right_answer_is_the_derivative_of_the_noisy_image(objective: Objective) -> None:
    images, noise = pair()
    way = path(objective)
    time = column(*[0.2 + 0.1 * row for row in range(6)])
    noisy, wanted = way.mix(images, noise, time)
    step = 1e-6
    after, _ = way.mix(images, noise, time + step)
    before, _ = way.mix(images, noise, time - step)
    torch.testing.assert_close(way.slope(noisy, wanted, time), (after - before) / (2 * step), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("steps", [1, 4, 18])
def test_with_right_answers_the_sampler_arrives_at_the_image(objective: Objective, steps: int) -> None:
    """One image alone is known: from any noise the field leads to it."""
    images, noise = pair()
    way = path(objective)

    def slope(noisy: Tensor, time: float) -> Tensor:
        at = torch.full((len(noisy), 1, 1, 1), time, dtype=torch.float64)
        # The noise that together with the image makes up x, whatever x is.
        share = {"flow": (noisy - at * images) / (1 - at), "edm": (noisy - images) / at, "v": (noisy - at.cos() * images) / at.sin()}[objective]
        return way.slope(noisy, way.mix(images, share, at)[1], at)

    grid = way.grid(steps)
    assert len(grid) == steps + 1
    found = heun(slope, way.begin(noise), grid)
    # Straight lines are followed exactly; on the circle the last step's bend is left.
    atol = 1e-9 if objective != "v" else 2.0 * (math.pi / 2 / steps) ** 2
    torch.testing.assert_close(found, images, rtol=0.0, atol=atol)


def test_heun_is_of_order_2_on_a_linear_field() -> None:
    matrix = torch.tensor([[-0.5, 2.0], [-2.0, -0.1]], dtype=torch.float64)
    start = torch.tensor([[1.0, 0.3]], dtype=torch.float64)
    exact = start @ torch.linalg.matrix_exp(matrix).T
    errors = []
    for steps in (20, 40, 80, 160):
        found = heun(lambda x, _: x @ matrix.T, start, [step / steps for step in range(steps + 1)])
        errors.append(float((found - exact).norm()))
    ratios = [before / after for before, after in pairwise(errors)]
    assert ratios[-1] == pytest.approx(4.0, rel=0.1)
    assert errors[-1] < 1e-3


def test_heun_is_of_order_2_where_the_field_changes_with_time() -> None:
    errors = []
    for steps in (20, 40, 80):
        found = heun(lambda x, time: -2.0 * time * x, torch.ones(1, dtype=torch.float64), [2 * step / steps for step in range(steps + 1)])
        errors.append(abs(float(found) - math.exp(-4.0)))
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.25)


def test_heun_asks_twice_a_step_but_for_the_last() -> None:
    asked: list[float] = []

    def slope(x: Tensor, time: float) -> Tensor:
        asked.append(time)
        return x

    heun(slope, torch.ones(1), [0.0, 0.5, 0.75, 1.0])
    assert asked == [0.0, 0.5, 0.5, 0.75, 0.75]


def test_the_paths_between_a_normal_and_a_normal_are_known() -> None:
    """Data N(0, 1) like the noise: the v path keeps every x where it is on the straight line through 0 by its field of 0."""
    many = torch.randn(2, 50_000, 1, 1, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for angle in (0.3, 1.2):
        noisy, velocity = path("v").mix(many[0], many[1], column(angle))
        assert float((noisy * velocity).mean()) == pytest.approx(0.0, abs=0.02)
    # On the straight path E[v | x] = x (2t - 1) / ((1 - t)^2 + t^2).
    noisy, velocity = path("flow").mix(many[0], many[1], column(0.3))
    assert float((noisy * velocity).mean() / noisy.square().mean()) == pytest.approx((2 * 0.3 - 1) / (0.7**2 + 0.3**2), abs=0.02)


def test_edm_s_levels_fall_from_the_highest_to_none() -> None:
    grid = EdmPath("uniform").grid(18)
    # Twice those of Karras et al. 2022, whose data have deviation 0.5.
    assert grid[0] == pytest.approx(160.0) and grid[-2] == pytest.approx(0.004) and grid[-1] == 0.0
    assert grid == sorted(grid, reverse=True)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_times_lie_on_the_path_and_follow_the_setting(objective: Objective) -> None:
    random = torch.Generator().manual_seed(0)
    for sampling in ("logit_normal", "uniform"):
        way = PATHS[objective](sampling)  # type: ignore[arg-type]
        times = way.times(20_000, random)
        assert times.shape == (20_000, 1, 1, 1)
        _, level = way.shown(torch.zeros(20_000, 1, 1, 1), times)
        if objective == "edm":
            assert float(4 * level.mean()) == pytest.approx(-1.2 + math.log(2), abs=0.05)
            continue
        # A uniform number varies by 1/12; the sigmoid of a normal one lies nearer to the middle.
        assert float(level.mean()) == pytest.approx(0.5, abs=0.02)
        assert float(level.var()) == pytest.approx(1 / 12 if sampling == "uniform" else 0.0434, abs=0.003)
