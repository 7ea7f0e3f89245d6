"""Texture statistics against closed forms and against loops that follow the definitions; distances between sets."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from trainables.scores.textures import (
    LEVELS,
    PROPERTIES,
    REACHES_PX,
    RING,
    ROUNDING_POWER,
    texture_distances,
    texture_floors,
    texture_statistics,
)


def noise(count: int, seed: int, *, side: int = 16, channels: int = 1, top: int = 256) -> Tensor:
    return torch.randint(0, top, (count, channels, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_the_spectrum_of_white_noise_is_its_variance() -> None:
    spectra = texture_statistics(noise(60, 0, side=32)).spectra
    assert spectra.shape == (60, 1, 16)
    # Levels 0 to 255, all equally likely, have this variance; the mean of decibels lies below the decibels of the mean.
    power = (10 ** (spectra[..., 4:] / 10)).mean()
    assert float(power) == pytest.approx((256**2 - 1) / 12, rel=0.03)


def test_a_wave_has_its_power_at_its_own_frequency() -> None:
    across = torch.arange(32) / 32
    wave = (128 + 100 * torch.sin(2 * torch.pi * 6 * across)).round().to(torch.uint8).expand(1, 1, 32, 32)
    spectrum = texture_statistics(wave).spectra[0, 0]
    assert int(spectrum.argmax()) == 6 - 1
    assert float(spectrum[[1, 2, 9, 15]].max()) < float(spectrum[5]) - 30


def test_a_flat_image_has_closed_forms() -> None:
    found = texture_statistics(torch.full((1, 1, 12, 12), 77, dtype=torch.uint8))
    assert found.spectra.unique().tolist() == pytest.approx([10 * np.log10(ROUNDING_POWER)])
    assert found.patterns[0, 0].tolist() == [[0.0] * 8 + [1.0, 0.0]] * 3, "every neighbour is no darker"
    assert found.properties[0, 0].tolist() == [[0.0, 1.0, 1.0, 1.0]] * 3


def test_a_chequerboard_has_closed_forms() -> None:
    board = (torch.arange(16)[:, None] + torch.arange(16)[None, :]) % 2 * 8
    properties = texture_statistics(board.to(torch.uint8).expand(1, 1, 16, 16)).properties[0, 0]
    # At 1 px, of the four directions two lead to the other level, which is one apart, and two to the same; at 2 and 4 px all lead to the same.
    contrast, homogeneity, energy, correlation = properties[0].tolist()
    assert (contrast, homogeneity, correlation) == pytest.approx((0.5, 0.75, 0.0))
    assert energy == pytest.approx(0.5**0.5)
    assert properties[1].tolist() == pytest.approx([0.0, 1.0, 0.5**0.5, 1.0])


def test_patterns_and_properties_equal_a_count_of_every_pixel() -> None:
    image = noise(1, 3, side=13, top=90)
    found = texture_statistics(image)
    pixels = image[0, 0].tolist()
    for i, reach in enumerate(REACHES_PX):
        places = [(y, x) for y in range(reach, 13 - reach) for x in range(reach, 13 - reach)]
        counts = [0] * 10
        for y, x in places:
            bits = [pixels[y + dy * reach][x + dx * reach] >= pixels[y][x] for dy, dx in RING]
            changes = sum(bits[j] != bits[j - 1] for j in range(8))
            counts[sum(bits) if changes <= 2 else 9] += 1
        assert found.patterns[0, 0, i].tolist() == pytest.approx([count / len(places) for count in counts])
        expected = np.zeros(4)
        for dy, dx in ((0, 1), (-1, 1), (-1, 0), (-1, -1)):
            pairs = [(pixels[y][x] // 8, pixels[y + dy * reach][x + dx * reach] // 8) for y, x in places]
            pairs += [(b, a) for a, b in pairs]
            a, b = np.array(pairs).T
            table = np.histogram2d(a, b, bins=LEVELS, range=((0, LEVELS), (0, LEVELS)))[0] / len(a)
            expected += [((a - b) ** 2).mean(), (1 / (1 + (a - b) ** 2)).mean(), np.sqrt((table**2).sum()), np.corrcoef(a, b)[0, 1]]
        assert found.properties[0, 0, i].tolist() == pytest.approx((expected / 4).tolist()), PROPERTIES


def test_distances_equal_their_definitions() -> None:
    a, b = texture_statistics(noise(12, 0)), texture_statistics(noise(9, 1, top=120))
    found = texture_distances(a, b)
    apart = a.spectra.mean(0)[0] - b.spectra.mean(0)[0]
    assert found.spectrum == pytest.approx(float(apart.square().mean().sqrt()))
    by_reach = [jensenshannon(a.patterns.mean(0)[0, i], b.patterns.mean(0)[0, i], base=2) for i in range(3)]
    assert found.lbp == pytest.approx(np.mean(by_reach))
    assert found.glcm > 1.0


def test_glcm_counts_deviations_of_the_real_images() -> None:
    a = texture_statistics(noise(20, 0))
    moved = type(a)(
        spectra=a.spectra, patterns=a.patterns, properties=a.properties + 2 * a.properties.std(0, correction=0, keepdim=True).clamp(min=1e-3)
    )
    assert texture_distances(a, moved).glcm == pytest.approx(2.0)


def test_a_set_and_itself_differ_by_nothing_and_halves_by_the_floor() -> None:
    real = texture_statistics(noise(20, 0))
    assert texture_distances(real, real) == pytest.approx((0.0, 0.0, 0.0), abs=1e-7)
    floors = texture_floors(real)
    assert min(floors) > 0 and floors == texture_floors(real)
    coarse = noise(20, 1, side=8).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert all(far > 2 * floor for far, floor in zip(texture_distances(real, texture_statistics(coarse)), floors, strict=True))


def test_channels_are_described_one_by_one() -> None:
    first, second = noise(70, 0), noise(70, 1, top=100)
    both = texture_statistics(torch.cat([first, second], 1))
    assert torch.equal(both.patterns[:, :1], texture_statistics(first).patterns) and torch.equal(
        both.spectra[:, 1:], texture_statistics(second).spectra
    )
    # Chunks end inside of an image here; nothing is lost between them.
    assert torch.equal(both.properties[69:, 1:], texture_statistics(second[69:]).properties)
    swapped = texture_statistics(torch.cat([second, first], 1))
    alone = texture_distances(texture_statistics(first), texture_statistics(second))
    assert texture_distances(both, swapped).lbp == pytest.approx(alone.lbp)
