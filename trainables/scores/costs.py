"""What a network costs to keep and to run: parameters, multiply-adds, time for an image and for a picture, memory.

Called by the generator and inspector stages, and by `throughput`.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.scores.system import latency

Picture = TypeVar("Picture")

GIB = float(2**30)


def parameters_m(network: nn.Module) -> float:
    """Counts the trainable parameters, in millions."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad) / 1e6


def multiply_adds_g(network: Callable[[Tensor], Any], shape: tuple[int, ...], device: str) -> float:
    """Counts the multiply-adds of convolutions and matrix products for one input, in thousands of millions.

    Args:
        network: in evaluation mode.
        shape: shape of one input, without the batch.
        device: where the network lies.
    """
    # Not inference mode: the counter does not see the operations inside of it.
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *shape, device=device))
    # The counter counts a multiply-add as two operations.
    return counter.get_total_flops() / 2e9


@torch.inference_mode()
def ms_per_image(network: Callable[[Tensor], Any], shape: tuple[int, ...], device: str, *, repeats: int = 15) -> float:
    """Measures the median time for one input alone, in milliseconds, on this machine and with its present load.

    Args:
        network: in evaluation mode.
        shape: shape of one input, without the batch.
        device: where the network lies.
        repeats: timed runs, after three that warm up.
    """
    x = torch.zeros(1, *shape, device=device)
    times = []
    for _ in range(3 + repeats):
        started = time.perf_counter()
        network(x)
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times[3:]) * 1e3


SINGLES, LEAST_SINGLES = 24, 10
"""Pictures that are timed one by one, and so many at least, however slow they are."""
BATCH, BATCHES = 8, 12
"""Pictures of a batch, and batches that are timed; one at least."""
ENOUGH_S = 0.5
"""Timing ends after so long, once the least number is there."""


class PictureTimes(NamedTuple):
    """How fast pictures are judged."""

    images_per_second: float
    """In the fastest batch of `BATCH`: other work on a machine only slows."""
    ms_p50: float
    """Median time of a picture alone."""
    ms_p95: float
    """What 95 of 100 pictures stay within, each alone."""


def picture_times(
    judge: Callable[[list[Picture]], object], pictures: Sequence[Picture], *, clock: Callable[[], float] = time.perf_counter
) -> PictureTimes:
    """Measures how fast pictures are judged, one by one and in batches, on this machine and with its present load.

    Args:
        judge: does everything, from decoded pixels to the verdict, and waits until it is there.
        pictures: at least one; they are taken in turns.
        clock: gives seconds.
    """

    def taken(count: int, first: int = 0) -> list[Picture]:
        return [pictures[place % len(pictures)] for place in range(first, first + count)]

    def timed(count: int, first: int = 0) -> float:
        started = clock()
        judge(taken(count, first))
        return clock() - started

    for place in range(2):
        judge(taken(1, place))
    singles: list[float] = []
    while len(singles) < LEAST_SINGLES or (len(singles) < SINGLES and sum(singles) < ENOUGH_S):
        singles.append(timed(1, len(singles)))
    judge(taken(BATCH))
    batches = [timed(BATCH)]
    while len(batches) < BATCHES and sum(batches) < ENOUGH_S:
        batches.append(timed(BATCH, len(batches) * BATCH))
    alone = latency(singles)
    return PictureTimes(images_per_second=BATCH / min(batches), ms_p50=alone.median_ms, ms_p95=alone.p95_ms)


class PeakMemory:
    """Follows the most memory held since it was made: what torch allocated on a CUDA device, else what the process holds.

    On the CPU it knows the moments at which `sample` was called; a warm process that worked on other trials before counts from zero again.
    """

    def __init__(self, device: str) -> None:
        self.cuda = torch.device(device) if torch.device(device).type == "cuda" else None
        if self.cuda is not None:
            torch.cuda.reset_peak_memory_stats(self.cuda)
        self.gib = 0.0
        self.sample()

    def sample(self) -> None:
        """Looks at the memory held now."""
        held = torch.cuda.max_memory_allocated(self.cuda) if self.cuda is not None else _resident_bytes()
        self.gib = max(self.gib, held / GIB)


def _resident_bytes() -> int:
    """Gives what the process holds now; where the system does not say, the most it has ever held."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
