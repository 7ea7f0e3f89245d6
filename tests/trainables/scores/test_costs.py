"""Costs against numbers that can be counted by hand."""

import gc

import pytest
import torch
from torch import nn

from trainables.scores.costs import PeakMemory, ms_per_image, multiply_adds_g, parameters_m


def test_parameters_and_multiply_adds_are_counted() -> None:
    network = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(5 * 8 * 8, 7)).eval()
    assert parameters_m(network) == (2 * 5 * 9 + 5 * 64 * 7 + 7) / 1e6
    assert multiply_adds_g(network, (2, 8, 8), "cpu") == pytest.approx((2 * 5 * 9 * 64 + 5 * 64 * 7) / 1e9)


def test_frozen_parameters_are_not_counted() -> None:
    assert parameters_m(nn.Linear(3, 3).requires_grad_(False)) == 0.0


def test_time_for_one_image_is_positive_and_grows_with_the_work() -> None:
    light, heavy = nn.Linear(16, 16), nn.Sequential(*[nn.Linear(1500, 1500) for _ in range(4)])
    assert 0 < ms_per_image(light, (16,), "cpu") < ms_per_image(heavy, (1500,), "cpu")


def test_peak_memory_sees_what_is_held_and_does_not_forget_it() -> None:
    gc.collect()  # What other tests left is not given back in the middle of this one.
    memory = PeakMemory("cpu")
    before = memory.gib
    held = torch.ones(512 * 2**20 // 4)
    memory.sample()
    with_it = memory.gib
    del held
    memory.sample()
    assert with_it - before > 0.3
    assert memory.gib == with_it
