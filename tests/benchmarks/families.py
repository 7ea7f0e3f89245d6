"""Measures a training step of every adversarial and flow family against the loop one would write first around the same networks.

    python tests/benchmarks/families.py [--families dcgan wgan_gp] [--sizes 64 128] [--seconds 6] [--rounds 3] [--threads 1] [--device cpu]
        [--set stylegan2.channel_base=4096]

The plain side has the family's own networks, losses, batch and intervals, in eager channels-first float32: decoded images come from a DataLoader (the
best of 0, 1 and 2 workers counts), torch's default optimizer loop instead of a fused one, penalties by differentiating twice, the critic's
gradients kept up in the generator's turn, and every loss read with `.item()`. What a family saves by its own arithmetic, such as one pass of the
generator for both turns, it saves on both sides. Ours is the product's loop with the product's precision. Weight averages are off on both sides.

Both sides take turns, so that other work on the machine meets both. Peak memory is measured apart, each side alone in a fresh process, over one
period of updates: what the process holds beyond what it held before the model was built, or what torch allocated on a CUDA device.
"""

import argparse
import contextlib
import itertools
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from family_settings import add_option, settings_of
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from training_step import surfaces

from trainables.generators import GENERATORS
from trainables.generators.bases.model import GeneratorModel, to_signed
from trainables.generators.bases.subject import Batch, TrainingData
from trainables.generators.training.loop import train
from trainables.generators.training.losses import trunk_slope
from trainables.generators.training.stage import build
from trainables.recipe import GeneratorPart
from trainables.registry import resolve

COUNT = 256
"""Training images; speed does not depend on how many there are."""
WORKERS = (0, 1, 2)
CLASSES = 3


class Case(NamedTuple):
    """What is measured."""

    family: str
    size_px: int
    device: str
    precision: str
    threads: int
    settings: dict[str, Any]


def trained_families() -> list[str]:
    """Lists the families that are trained on images: adversarial and flow."""
    kinds = {name: resolve(place) for name, place in GENERATORS.items()}
    return [name for name, kind in kinds.items() if kind.learns and kind.makes != "features"]


def model_and_data(case: Case, precision: str) -> tuple[GeneratorModel, TrainingData]:
    """Builds a family with its default settings but those that are given, told the class where it can be, and what it is trained on."""
    images, labels = surfaces(COUNT, size_px=case.size_px)
    masks = (images > 150).to(torch.uint8) * 255
    data = TrainingData(items=images, labels=labels, masks=masks, backgrounds=images.flip(0), num_classes=CLASSES)
    mode = "conditional" if "conditional" in resolve(GENERATORS[case.family]).class_modes else "per_class"
    if mode == "per_class":
        data = data.pooled()
    part = GeneratorPart(family=case.family, settings={"class_mode": mode, **case.settings}, kimg=1.0)
    model = build(part, data.subject, device=case.device, precision=precision)
    model.average = lambda step, images: None  # type: ignore[method-assign]
    return model, data


class Ours:
    """The product's loop."""

    def __init__(self, case: Case) -> None:
        self.model, self.data = model_and_data(case, case.precision)

    def __call__(self, steps: int) -> None:
        """Trains for some steps."""
        for _ in train(self.model, self.data, start_step=0, stop_step=steps, seed=0):
            pass


class Plain:
    """The loop one would write first."""

    def __init__(self, case: Case) -> None:
        self.model, data = model_and_data(case, "fp32")
        with plain_ways():
            self.model.fit(data)
        for network in (self.model.generator, self.model.critic):
            network.to(memory_format=torch.contiguous_format)
            network.train()
        self.model.critic.requires_grad_ = lambda wanted=True: self.model.critic  # type: ignore[method-assign]
        for optimizer in self.optimizers():
            for group in optimizer.param_groups:
                group |= {name: None for name in ("fused", "foreach") if name in group}
        decoded = data.items.float() / 127.5 - 1.0
        columns = [decoded, data.labels, *([data.masks] if self.model.makes == "images and masks" and data.masks is not None else [])]
        behind = self.model.backgrounds_per_step
        self.batches = {workers: endless(columns, self.model.batch_size, workers) for workers in WORKERS}
        self.scenes = {workers: endless([decoded.flip(0)], behind, workers) for workers in WORKERS} if behind else {}
        self.step = 0

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Gives every optimizer of the model."""
        return [part for part in vars(self.model).values() if isinstance(part, torch.optim.Optimizer)]

    def __call__(self, steps: int, workers: int = 0) -> None:
        """Trains for some steps."""
        device = self.model.device
        with plain_ways():
            for _ in range(steps):
                real, labels, *masks = (column.to(device) for column in next(self.batches[workers]))
                scenes = next(self.scenes[workers])[0].to(device) if self.scenes else None
                batch = Batch(real=real, labels=labels, masks=masks[0] if masks else None, backgrounds=scenes)
                _ = [loss.item() for loss in self.model.train_step(batch, self.step).values()]
                self.step += 1


def endless(columns: list[Tensor], batch: int, workers: int) -> Iterator[list[Tensor]]:
    """Loads shuffled batches without end."""
    loader = DataLoader(TensorDataset(*columns), batch_size=batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0)
    return itertools.chain.from_iterable(itertools.repeat(loader))


@contextlib.contextmanager
def plain_ways() -> Iterator[None]:
    """Takes away what the families' code does for speed: channels-last tensors, the written-out slope, and images kept as bytes."""

    def decoded(images: Tensor) -> Tensor:
        return images if images.is_floating_point() else images.float() / 127.5 - 1.0

    def twice_differentiated(trunk: nn.Sequential, images: Tensor, weigh: Callable[[Tensor], Tensor]) -> Tensor:
        images = images.detach().requires_grad_(True)
        with torch.enable_grad():
            maps = trunk(images)
            (slopes,) = torch.autograd.grad((weigh(maps.detach()) * maps).sum(), images, create_graph=True)
        return slopes

    with contextlib.ExitStack() as stack:
        for module in [module for name, module in sys.modules.items() if name.startswith("trainables.generators.")]:
            for original, plain in ((to_signed, decoded), (trunk_slope, twice_differentiated)):
                if getattr(module, original.__name__, None) is original:
                    stack.enter_context(mock.patch.object(module, original.__name__, plain))
        for owner, name in ((torch.Tensor, "contiguous"), (torch, "empty")):
            stack.enter_context(mock.patch.object(owner, name, channels_first(getattr(owner, name))))
        yield


def channels_first(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Makes a function of torch deaf to the memory layout that is asked for."""

    def deaf(*arguments: Any, memory_format: object = None, **named: Any) -> Tensor:
        return function(*arguments, **named)

    return deaf


def seconds_of(run: Callable[[int], None], steps: int, device: str) -> float:
    """Measures the time of some steps."""
    begun = time.perf_counter()
    run(steps)
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def rates(case: Case, seconds: float, rounds: int) -> tuple[float, float]:
    """Gives images per second, ours and plain: medians over rounds, the plain side with its best number of workers."""
    ours, plain = Ours(case), Plain(case)
    contenders: dict[str, Callable[[int], None]] = {"ours": ours}
    contenders |= {f"plain, {workers} workers": lambda steps, workers=workers: plain(steps, workers) for workers in WORKERS}
    period = ours.model.steps_per_period
    # The first run of each warms it up, and says how many whole periods fill a measurement.
    taken = {name: seconds_of(run, period, case.device) for name, run in contenders.items()}
    steps = {name: period * max(1, round(seconds / first)) for name, first in taken.items()}
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            found[name].append(steps[name] * ours.model.images_per_step / seconds_of(run, steps[name], case.device))
    middle = {name: statistics.median(values) for name, values in found.items()}
    return middle.pop("ours"), max(middle.values())


def peak_mib(case: Case, side: str) -> float:
    """Measures the memory of one side over one period; called in a fresh process."""
    torch.set_num_threads(case.threads)
    before = held_mib("VmRSS")
    contender = Ours(case) if side == "ours" else Plain(case)
    contender(contender.model.steps_per_period)
    if torch.device(case.device).type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return held_mib("VmHWM") - before


def held_mib(line: str) -> float:
    """Reads what the process holds, or held at most; where the system does not say, the latter for both."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return float(status.partition(f"{line}:")[2].split()[0]) / 1024


def alone(case: Case, side: str) -> float:
    """Runs `peak_mib` in a fresh process."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(peak_mib, case, side).result()


def main() -> None:
    """Reads the command line and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", default=trained_families(), metavar="NAME")
    parser.add_argument("--sizes", nargs="+", type=int, default=[64, 128], metavar="PX")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16", help="of our side; the plain one is fp32")
    add_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.device}, {arguments.threads} threads, ours {arguments.precision}, plain fp32")
    print(f"{'family':16} {'px':>4} {'ours':>9} {'plain':>9} images/s {'ratio':>6}   {'ours':>7} {'plain':>7} MiB at most")
    ratios: dict[int, list[float]] = {}
    for size_px, family in itertools.product(arguments.sizes, arguments.families):
        if size_px not in resolve(GENERATORS[family]).sizes_px:
            continue
        case = Case(family, size_px, arguments.device, arguments.precision, arguments.threads, settings_of(family, arguments.set))
        ours, plain = rates(case, arguments.seconds, arguments.rounds)
        memory = {side: alone(case, side) for side in ("ours", "plain")}
        ratios.setdefault(size_px, []).append(ours / plain)
        line = f"{family:16} {size_px:4} {ours:9.1f} {plain:9.1f} {'':8} {ours / plain:6.2f}   {memory['ours']:7.0f} {memory['plain']:7.0f}"
        print(line, flush=True)
    for size_px, values in ratios.items():
        print(f"{'geometric mean':16} {size_px:4} {'':28} {statistics.geometric_mean(values):6.2f}   of {len(values)} families")


if __name__ == "__main__":
    main()
