"""Memorisation against counts by hand and against what it must be for copies and for fresh draws."""

import pytest
import torch

from trainables.scores import memorisation as module
from trainables.scores.memorisation import memorisation


def gaussian(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def test_points_on_a_line() -> None:
    training = torch.tensor([[0.0], [1.0], [10.0], [30.0]])
    # Beside 0, whose neighbour is 1 away: 0.4 away. Beside 1: exactly as far as 0 is. Beside 10, whose neighbour is 9 away: 8 away.
    # Beside 30, whose neighbour is 20 away: 25 away.
    synthetic = torch.tensor([[-0.4], [2.0], [18.0], [55.0]])
    assert memorisation(training, synthetic) == 0.5


def test_copies_are_all_memorised_and_images_far_off_are_not() -> None:
    training = gaussian(40, 0)
    assert memorisation(training, training) == 1.0
    assert memorisation(training, training + 1e-4 * gaussian(40, 1)) == 1.0
    assert memorisation(training, gaussian(30, 2) + 50.0) == 0.0


def test_near_copies_are_seen_above_the_floor_of_held_out_images() -> None:
    training, held_out = gaussian(60, 0), gaussian(60, 1)
    floor = memorisation(training, held_out)
    half = torch.cat([held_out[:30], training[:30] + 0.1 * gaussian(30, 2)])
    assert 0.2 < floor < 0.7
    assert memorisation(training, half) > floor + 0.15


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    training, synthetic = gaussian(33, 0), gaussian(21, 1)
    whole = memorisation(training, synthetic)
    monkeypatch.setattr(module, "CHUNK", 8)
    assert memorisation(training, synthetic) == whole
