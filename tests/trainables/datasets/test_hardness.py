"""The procedural surfaces are worth searching on: a small network needs many of them, and learns from many."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainables.datasets.procedural import CLASSES, draw
from trainables.seeds import child_seed


def surfaces(size_px: int, numbers: range) -> tuple[Tensor, Tensor]:
    """Images (N, 1, S, S) in -1..1 and labels, class by class."""
    pixels = [draw(cls, size_px=size_px, seed=child_seed(0, "hardness", cls, k)).pixels for cls in CLASSES for k in numbers]
    labels = torch.arange(len(CLASSES)).repeat_interleave(len(numbers))
    return torch.from_numpy(np.stack(pixels))[:, None].float() / 127.5 - 1.0, labels


def accuracy(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], *, per_class: int, steps: int, seed: int = 0) -> float:
    """Trains a three-layer network for equally many steps, whatever the number of images."""
    every = len(train[1]) // len(CLASSES)
    images, labels = (values.unflatten(0, (len(CLASSES), every))[:, :per_class].flatten(0, 1) for values in train)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for wide_in, wide in ((1, 12), (12, 24), (24, 48)):
            layers += [nn.Conv2d(wide_in, wide, 3, 2, 1), nn.BatchNorm2d(wide), nn.ReLU()]
        network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, len(CLASSES)))
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
        for _ in range(steps):
            batch = torch.randint(len(labels), (64,))
            loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        return float((network.eval()(test[0]).argmax(1) == test[1]).float().mean())


def test_ten_times_the_images_help() -> None:
    train, test = surfaces(32, range(150)), surfaces(32, range(1000, 1060))
    few, many = (accuracy(train, test, per_class=n, steps=150) for n in (15, 150))
    assert few < many - 0.05 and many > 0.65, (few, many)


@pytest.mark.slow
def test_twenty_images_per_class_do_clearly_worse_than_five_hundred() -> None:
    train, test = surfaces(64, range(500)), surfaces(64, range(1000, 1150))
    few, many = (np.mean([accuracy(train, test, per_class=n, steps=400, seed=seed) for seed in range(2)]) for n in (20, 500))
    assert few < many - 0.08 and many > 0.85, (few, many)
