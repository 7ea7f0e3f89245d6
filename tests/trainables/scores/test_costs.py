"""Costs against numbers that can be counted by hand."""

import gc

import pytest
import torch
from torch import nn

from trainables.scores.costs import (
    BATCH,
    BATCHES,
    LEAST_SINGLES,
    SINGLES,
    PeakMemory,
    ms_per_image,
    multiply_adds_g,
    parameters_m,
    picture_times,
)


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


class Clock:
    """Tells a time that moves only while somebody works."""

    def __init__(self, single_s: list[float], batch_s: list[float]) -> None:
        self.now_s, self.single_s, self.batch_s = 0.0, single_s, batch_s
        self.judged: list[list[str]] = []

    def __call__(self) -> float:
        return self.now_s

    def judge(self, pictures: list[str]) -> None:
        before = sum(len(batch) == len(pictures) for batch in self.judged)
        took_s = self.single_s if len(pictures) == 1 else self.batch_s
        self.now_s += took_s[before % len(took_s)]
        self.judged.append(pictures)


def test_pictures_are_timed_alone_and_in_batches_after_a_warm_up() -> None:
    # The two that warm up take a second each.
    clock = Clock([1.0, 1.0, *[0.001] * 22, 0.002, 0.004], batch_s=[0.5, *[0.04] * (BATCHES - 1), 0.02])
    times = picture_times(clock.judge, ["a", "b", "c"], clock=clock)
    singles, batches = ([batch for batch in clock.judged if (len(batch) == 1) == alone] for alone in (True, False))
    assert len(singles) == 2 + SINGLES and len(batches) == 1 + BATCHES
    assert singles[2:6] == [["a"], ["b"], ["c"], ["a"]] and {len(batch) for batch in batches} == {BATCH}
    assert times.images_per_second == pytest.approx(BATCH / 0.02)
    assert times.ms_p50 == pytest.approx(1.0) and times.ms_p95 == pytest.approx(1.85)


def test_a_slow_inspector_is_timed_no_more_than_it_must_be() -> None:
    clock = Clock([2.0], batch_s=[30.0])
    times = picture_times(clock.judge, ["a"], clock=clock)
    assert [len(batch) for batch in clock.judged] == [1] * (2 + LEAST_SINGLES) + [BATCH] * 2
    assert times == (BATCH / 30.0, pytest.approx(2000.0), pytest.approx(2000.0))
