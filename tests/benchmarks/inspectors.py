"""Measures an epoch of an inspector's training against the loop one would write first.

    python tests/benchmarks/inspectors.py [--kind resnet18 --kind deeplabv3plus] [--size 64] [--threads 2] [--images 256] [--rounds 3]

The plain loop is eager, channels-first, float32, with decoded tensors from a DataLoader and torch's own AdamW; the best of 0, 1 and 2 workers counts.
It has the same network, batch, loss and images, none of which is changed in training. All sides take turns, epoch by epoch, so that other work on the
machine meets each of them; the ratios are those of the medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from trainables.datasets.procedural import draw
from trainables.inspectors.base import LabelledImages, Shown
from trainables.inspectors.training import Inspector, build, read_config, train
from trainables.recipe import InspectorPart

CLASSES = ("crazing", "inclusion", "patches")
KINDS = ("resnet18", "mobilenet_v2", "fcn", "deeplabv3plus", "smp:unet")


def surfaces(count: int, size_px: int, kind: str) -> LabelledImages:
    """Draws procedural surfaces with their masks, which hold the number of their class; for a detector, of whether there is a defect."""
    drawn = [draw(CLASSES[i % len(CLASSES)], size_px=size_px, seed=i) for i in range(count)]
    images = torch.stack([torch.as_tensor(surface.pixels) for surface in drawn]).reshape(count, 1, size_px, size_px)
    labels = torch.arange(count) % len(CLASSES)
    if kind == "classify":
        return LabelledImages(images=images, labels=labels)
    marked = torch.stack([torch.as_tensor(surface.mask) for surface in drawn]).reshape(count, size_px, size_px) > 0
    masks = (marked * (labels + 1).view(-1, 1, 1)).to(torch.uint8)
    return LabelledImages(images=images, labels=labels, masks=masks, marked=torch.ones(count, dtype=torch.bool))


def built(kind: str, size_px: int, batch: int) -> Inspector:
    """Builds an inspector that is trained for one epoch at a time."""
    config = read_config(InspectorPart(kind=kind, settings={"batch": batch, "epochs": 1, "min_steps": 0, "augment": "none"}))
    return build(kind, config, size_px=size_px, channels=1, num_classes=len(CLASSES), device="cpu", seed=0)


class Plain:
    """The loop one would write first."""

    def __init__(self, kind: str, data: LabelledImages, batch: int, workers: int) -> None:
        self.network = built(kind, data.images.shape[-1], batch).network.to(memory_format=torch.contiguous_format).train()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-4)
        tensors = [data.images.float() / 127.5 - 1.0, data.labels]
        if data.masks is not None and data.marked is not None:
            planes = self.network.planes(data.masks, data.labels, data.marked)
            tensors += [planes] if planes is not None else []
        self.loader = DataLoader(
            TensorDataset(*tensors), batch_size=batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
        )

    def __call__(self) -> None:
        """Trains for an epoch."""
        for images, labels, *planes in self.loader:
            self.optimizer.zero_grad()
            self.loss(images, labels, *planes).backward()
            self.optimizer.step()

    def loss(self, images: Tensor, labels: Tensor, planes: Tensor | None = None) -> Tensor:
        """Gives the inspector's own loss."""
        shown = Shown(images=images, labels=labels, planes=planes, marked=None, weights=None)
        return self.network.loss(self.network(images), shown, 0.0)


class Ours:
    """The product's loop over the same images."""

    def __init__(self, kind: str, data: LabelledImages, batch: int, precision: str) -> None:
        self.inspector = built(kind, data.images.shape[-1], batch)
        self.data, self.precision, self.epochs = data, precision, 0

    def __call__(self) -> None:
        """Trains for an epoch."""
        list(train(self.inspector, real=self.data, seed=self.epochs, precision=self.precision))
        self.epochs += 1


def compare(kind: str, arguments: argparse.Namespace) -> None:
    """Prints images per second of every contender and the ratios."""
    task = built(kind, arguments.size, 2).network.task
    batch = arguments.batch or (8 if task == "segment" else 32)
    count = max(1, arguments.images // batch) * batch
    data = surfaces(count, arguments.size, task)
    contenders: dict[str, Callable[[], None]] = {f"plain, {workers} workers": Plain(kind, data, batch, workers) for workers in arguments.workers}
    contenders |= {f"ours, {precision}": Ours(kind, data, batch, precision) for precision in ("fp32", "bf16")}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(arguments.rounds + 1):
        for name, run in contenders.items():
            begun = time.perf_counter()
            run()
            if turn:  # The first epoch warms up caches and workers.
                seconds[name].append(time.perf_counter() - begun)
    rates = {name: count / statistics.median(values) for name, values in seconds.items()}
    best = max(rate for name, rate in rates.items() if name.startswith("plain"))
    for name, rate in rates.items():
        print(f"{kind:14} {arguments.size} px, batch {batch}: {name:18} {rate:7.1f} images/s   {rate / best:5.2f} x", flush=True)


def main() -> None:
    """Reads the command line and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", action="append", help=f"an inspector of task classify or segment; all of {', '.join(KINDS)} without")
    parser.add_argument("--size", type=int, default=64, help="side of the images")
    parser.add_argument("--batch", type=int, help="images a step; 32, for segmenters 8, without")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=256, help="images of an epoch")
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each contender that are measured")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="processes of the plain loop's DataLoader, each a contender")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for kind in arguments.kind or KINDS:
        compare(kind, arguments)


if __name__ == "__main__":
    main()
