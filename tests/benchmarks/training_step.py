"""Measures a training step of dcgan and wgan_gp against the loop one would write first.

    python tests/benchmarks/training_step.py [--threads 1] [--seconds 6] [--rounds 3] [--family dcgan]
    python tests/benchmarks/training_step.py --kid 20 --width 16       # final KID after 20 kimg, three seeds each

The plain loop is eager, channels-first, float32, with decoded tensors from a DataLoader; the best of 0, 1 and 2 workers counts. It has the same
networks, batch, critic steps and penalty interval. Both sides take turns, so that other work on the machine meets both.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from trainables.datasets.procedural import draw
from trainables.generators.bases.model import GeneratorModel, to_pixels
from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.networks.layers import DownStack, UpStack, initialise, initialise_critic
from trainables.generators.training.loop import train
from trainables.generators.training.stage import build
from trainables.recipe import GeneratorPart, ScorePart
from trainables.scores.distances import kid
from trainables.scores.extractors import make_extractor

SIZE_PX, BATCH = 64, 64
CLASSES = ("crazing", "inclusion", "patches")


def surfaces(count: int, size_px: int = SIZE_PX) -> tuple[Tensor, Tensor]:
    """Draws procedural surfaces, uint8 (count, 1, size, size), and their labels."""
    pictures = [draw(CLASSES[i % len(CLASSES)], size_px=size_px, seed=i).pixels for i in range(count)]
    return torch.stack([torch.as_tensor(picture) for picture in pictures]).reshape(count, 1, size_px, size_px), torch.arange(count) % len(CLASSES)


class Plain:
    """The loop one would write first."""

    def __init__(self, family: str, images: Tensor, labels: Tensor, workers: int, *, width: int, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.family = family
        subject = Subject(shape=(1, SIZE_PX, SIZE_PX), num_classes=len(CLASSES))
        self.generator = UpStack(latent_dim=100, width=width, subject=subject)
        self.critic = DownStack(norm=family == "dcgan", width=width, subject=subject)
        initialise(self.generator)
        (initialise if family == "dcgan" else initialise_critic)(self.critic)
        lr, betas = (2e-4, (0.5, 0.999)) if family == "dcgan" else (1e-4, (0.0, 0.9))
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), lr=lr, betas=betas)
        self.optimizer_d = torch.optim.Adam(self.critic.parameters(), lr=lr, betas=betas)
        decoded = TensorDataset(images.float() / 127.5 - 1.0, labels)
        self.loader = DataLoader(decoded, batch_size=BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0)
        self.batches: Iterator[list[Tensor]] = itertools.chain.from_iterable(itertools.repeat(self.loader))
        self.step = 0

    def __call__(self, steps: int) -> None:
        """Trains for some steps."""
        for _ in range(steps):
            real, labels = next(self.batches)
            (self.dcgan if self.family == "dcgan" else self.wgan_gp)(real, labels)
            self.step += 1

    def dcgan(self, real: Tensor, labels: Tensor) -> None:
        """One step, as in pytorch/examples."""
        self.optimizer_d.zero_grad()
        on_real = self.critic(real, labels)
        loss = functional.binary_cross_entropy_with_logits(on_real, torch.ones_like(on_real))
        loss.backward()
        fake = self.generator(torch.randn(len(real), 100), labels)
        on_fake = self.critic(fake.detach(), labels)
        loss = functional.binary_cross_entropy_with_logits(on_fake, torch.zeros_like(on_fake))
        loss.backward()
        self.optimizer_d.step()
        self.optimizer_g.zero_grad()
        scores = self.critic(fake, labels)
        functional.binary_cross_entropy_with_logits(scores, torch.ones_like(scores)).backward()
        self.optimizer_g.step()

    def wgan_gp(self, real: Tensor, labels: Tensor) -> None:
        """One critic step, and a generator step every fifth time."""
        self.optimizer_d.zero_grad()
        fake = self.generator(torch.randn(len(real), 100), labels).detach()
        share = torch.rand(len(real), 1, 1, 1)
        mixed = (share * real + (1 - share) * fake).requires_grad_(True)
        (slope,) = torch.autograd.grad(self.critic(mixed, labels).sum(), mixed, create_graph=True)
        penalty = ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
        (self.critic(fake, labels).mean() - self.critic(real, labels).mean() + 10 * penalty).backward()
        self.optimizer_d.step()
        if (self.step + 1) % 5 == 0:
            self.optimizer_g.zero_grad()
            (-self.critic(self.generator(torch.randn(len(real), 100), labels), labels).mean()).backward()
            self.optimizer_g.step()

    @torch.no_grad()
    def sample(self, label: int, count: int) -> Tensor:
        """Draws images with the norms as training left them."""
        self.generator.eval()
        return torch.cat([to_pixels(self.generator(torch.randn(64, 100), torch.full((64,), label))) for _ in range(count // 64)])


class Ours:
    """The product's loop over the same images."""

    def __init__(self, family: str, images: Tensor, labels: Tensor, precision: str, *, width: int, seed: int = 0) -> None:
        part = GeneratorPart(family=family, settings={"class_mode": "conditional", "width": width}, kimg=1.0)
        self.data = TrainingData(items=images, labels=labels, num_classes=len(CLASSES))
        self.model: GeneratorModel = build(part, self.data.subject, precision=precision, seed=seed)
        self.seed, self.step = seed, 0

    def __call__(self, steps: int) -> None:
        """Trains for some steps."""
        for _ in train(self.model, self.data, start_step=self.step, stop_step=self.step + steps, seed=self.seed):
            pass
        self.step += steps


def rate(run: Callable[[int], None], seconds: float) -> float:
    """Measures images per second over about so many seconds, in rounds of five steps."""
    steps, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        run(5)
        steps += 5
    return steps * BATCH / (time.perf_counter() - begun)


def compare(family: str, width: int, seconds: float, rounds: int) -> None:
    """Prints images per second of every contender and the ratios."""
    images, labels = surfaces(512)
    contenders: dict[str, Callable[[int], None]] = {
        f"plain, {workers} workers": Plain(family, images, labels, workers, width=width) for workers in (0, 1, 2)
    }
    contenders |= {f"ours, {precision}": Ours(family, images, labels, precision, width=width) for precision in ("fp32", "bf16")}
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run(5)
    for _ in range(rounds):
        for name, run in contenders.items():
            rates[name].append(rate(run, seconds))
    middle = {name: statistics.median(values) for name, values in rates.items()}
    best = max(value for name, value in middle.items() if name.startswith("plain"))
    for name, value in middle.items():
        print(f"{family:8} {name:18} {value:7.1f} images/s   {value / best:5.2f} x")


def final_kid(family: str, width: int, kimg: float, seeds: int) -> None:
    """Prints the KID of both loops after as many images, seed by seed, with features of the fixed-seed network."""
    images, labels = surfaces(768)
    extractor = make_extractor(ScorePart(extractor="random"), device="cpu")
    real = extractor.run(images)
    steps = round(kimg * 1000 / BATCH / 5) * 5
    results: dict[str, list[float]] = {"plain": [], "ours": []}
    for seed in range(seeds):
        plain, ours = Plain(family, images, labels, 0, width=width, seed=seed), Ours(family, images, labels, "bf16", width=width, seed=seed)
        plain(steps)
        ours(steps)
        for name, draw_class in (
            ("plain", lambda label, plain=plain: plain.sample(label, 256)),
            ("ours", lambda label, ours=ours: ours.model.sample(label, 256, 0).items),
        ):
            made = torch.cat([draw_class(label) for label in range(len(CLASSES))])
            results[name].append(kid(real, extractor.run(made)))
            print(f"{family:8} {name:6} seed {seed}: KID {results[name][-1]:.5f}", flush=True)
    for name, values in results.items():
        print(f"{family:8} {name:6} mean {statistics.mean(values):.5f}, from {min(values):.5f} to {max(values):.5f}")


def main() -> None:
    """Reads the command line and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=["dcgan", "wgan_gp"], help="one family alone")
    parser.add_argument("--width", type=int, default=64, help="channels of the widest-resolution layers: ngf = ndf")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kid", type=float, metavar="KIMG", help="compare the final KID instead, after so many thousand images")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for family in [arguments.family] if arguments.family else ["dcgan", "wgan_gp"]:
        if arguments.kid:
            final_kid(family, arguments.width, arguments.kid, arguments.seeds)
        else:
            compare(family, arguments.width, arguments.seconds, arguments.rounds)


if __name__ == "__main__":
    main()
