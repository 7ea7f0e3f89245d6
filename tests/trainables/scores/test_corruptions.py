"""The corruptions: their magnitudes, their seeds, and that severities rise."""

from functools import partial
from itertools import pairwise

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from trainables.scores import corruptions as module
from trainables.scores.corruptions import (
    BLUR_SIGMA_PX,
    BRIGHTNESS,
    NOISE_SIGMA,
    SALT_AND_PEPPER,
    SCRATCHES,
    blur,
    brightness,
    corruptions,
    gradient,
    noise,
    salt_and_pepper,
    scratches,
)
from trainables.scores.names import CORRUPTIONS


def surfaces(count: int = 6, channels: int = 2, side: int = 32, low: int = 60, high: int = 190) -> Tensor:
    return torch.randint(low, high, (count, channels, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def rng(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def brighter(inputs: Tensor, rows: Tensor) -> Tensor:
    """A loss that rises with the brightness of even images and falls with that of odd ones."""
    return (inputs.mean((1, 2, 3)) * (1 - 2 * (rows % 2))).sum()


ALL = corruptions(brighter)


def test_names_and_corruptions_go_together() -> None:
    assert tuple(ALL) == CORRUPTIONS


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_goes_further_with_its_severity_and_only_with_its_seed(name: str) -> None:
    images = surfaces()
    kept = images.clone()
    steps = [ALL[name](images, severity, rng()) for severity in range(6)]
    assert torch.equal(steps[0], images)
    assert all(step.dtype == torch.uint8 and step.shape == images.shape for step in steps)
    apart = [float((step.float() - images.float()).abs().mean()) for step in steps]
    assert all(later > earlier for earlier, later in pairwise(apart)), apart
    assert torch.equal(ALL[name](images, 3, rng()), steps[3])
    assert torch.equal(images, kept), "the given images are left as they are"
    if name not in ("blur", "gradient"):
        assert not torch.equal(ALL[name](images, 3, rng(2)), steps[3])


@pytest.mark.parametrize("name", ["blur", "gradient"])
def test_chunks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = surfaces(7)
    whole = ALL[name](images, 2, rng())
    monkeypatch.setattr(module, "GRADIENT_CHUNK" if name == "gradient" else "CHUNK", 3)
    assert torch.equal(ALL[name](images, 2, rng()), whole)


@pytest.mark.parametrize("severity", [1, 2, 5])
def test_blur_is_scipy_s(severity: int) -> None:
    images = surfaces(2)
    sigma = BLUR_SIGMA_PX[severity - 1]
    expected = gaussian_filter(images.double().numpy(), (0, 0, sigma, sigma), mode="mirror", radius=(0, 0, round(3 * sigma), round(3 * sigma)))
    found = blur(images, severity, rng()).double().numpy()
    assert abs(found - expected).max() <= 0.501, "rounding alone"


def test_blur_of_images_smaller_than_its_reach() -> None:
    tiny = surfaces(2, side=8)
    assert blur(tiny, 5, rng()).float().std() < 0.2 * tiny.float().std()


@pytest.mark.parametrize("severity", [1, 3])
def test_noise_has_its_deviation(severity: int) -> None:
    grey = torch.full((20, 1, 64, 64), 128, dtype=torch.uint8)
    apart = noise(grey, severity, rng()).double() - 128
    assert float(apart.std()) == pytest.approx(NOISE_SIGMA[severity - 1], rel=0.02)
    assert abs(float(apart.mean())) < 0.2


@pytest.mark.parametrize("severity", [1, 5])
def test_salt_and_pepper_takes_its_share_in_all_channels_at_once(severity: int) -> None:
    images = surfaces(30, side=64)
    found = salt_and_pepper(images, severity, rng())
    changed = found != images
    share = SALT_AND_PEPPER[severity - 1]
    assert float(changed.double().mean()) == pytest.approx(share, rel=0.1)
    assert torch.equal(changed[:, 0], changed[:, 1])
    assert set(found[changed].unique().tolist()) == {0, 255}
    assert float((found[changed] == 255).double().mean()) == pytest.approx(0.5, abs=0.1)


def test_brightness_goes_both_ways_up_to_the_spec_s_bounds() -> None:
    assert BRIGHTNESS[4] == pytest.approx(2.5) and 1 / BRIGHTNESS[4] == pytest.approx(0.4)
    grey = torch.full((40, 1, 4, 4), 80, dtype=torch.uint8)
    assert brightness(grey, 5, rng()).unique().tolist() == [32, 200]
    assert brightness(grey * 3, 5, rng()).unique().tolist() == [96, 255], "what is too bright is white"


def test_scratches_are_thin_lines_bright_or_dark_and_of_the_spec_s_number() -> None:
    grey = torch.full((60, 2, 64, 64), 128, dtype=torch.uint8)
    one = scratches(grey, 1, rng()).float() - 128
    touched = one[:, 0] != 0
    assert torch.equal(one[:, 0], one[:, 1])
    # A line is a third of the side to the whole of it long, two pixels wide at its faint edges, and partly outside of the picture.
    assert 10 < float(touched.sum((1, 2)).float().mean()) < 2.5 * 64
    shades = {float(values.max()) > -float(values.min()) for values in one}
    assert shades == {True, False}
    assert all(float(values.min()) >= 0 or float(values.max()) <= 0 for values in one), "a line is bright or dark, not both"
    assert SCRATCHES == (1, 2, 4, 6, 8)
    assert bool(((scratches(grey, 2, rng()) != 128)[:, 0] | ~touched).float().mean() > 0.999), "a severer image keeps the lines of the milder one"


def test_the_gradient_attack_raises_the_loss_by_exactly_its_step() -> None:
    images = surfaces(5)
    found = gradient(images, 4, rng(), loss=brighter).long() - images.long()
    assert [values.unique().tolist() for values in found] == [[8], [-8], [8], [-8], [8]]
    bright = torch.full((1, 1, 9, 9), 250, dtype=torch.uint8)
    assert gradient(bright, 5, rng(), loss=brighter).unique().tolist() == [255]


def test_the_gradient_attack_knows_the_rows_and_works_without_gradients_around_it() -> None:
    weights = torch.randn(300, generator=rng())
    seen: list[int] = []

    def loss(inputs: Tensor, rows: Tensor) -> Tensor:
        seen.extend(rows.tolist())
        assert -1 <= float(inputs.detach().min()) and float(inputs.detach().max()) <= 1
        return (inputs.mean((1, 2, 3)) * weights[rows]).sum()

    images = surfaces(300, channels=1, side=4)
    with torch.no_grad():
        found = partial(gradient, loss=loss)(images, 1, rng()).long() - images.long()
    assert seen == list(range(300))
    assert torch.equal(found[:, 0, 0, 0], weights.sign().long())


def test_no_images_are_no_matter() -> None:
    assert all(corrupt(surfaces(0), 3, rng()).shape == (0, 2, 32, 32) for corrupt in ALL.values())
