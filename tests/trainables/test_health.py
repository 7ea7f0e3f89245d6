"""What looks wrong about a training that goes on: told at its last step, kept with its mark, said in the trial's record."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import trainables.generators.training.loop as loop
from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.dcgan import Dcgan
from trainables.generators.lsgan import Lsgan
from trainables.generators.training.stage import build, train_to_mark
from trainables.generators.wgan_gp import WganGp
from trainables.health import LEAST_DIVERSITY, SATURATED_BELOW, memorisation_note, training_notes
from trainables.recipe import GeneratorPart
from trainables.store import Store

PART = GeneratorPart(family="dcgan", kimg=0.064, settings={"width": 8, "batch": 16, "latent_dim": 16, "class_mode": "per_class"})


def data() -> TrainingData:
    pixels = torch.randint(0, 255, (24, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return TrainingData(items=pixels, labels=torch.zeros(24, dtype=torch.int64), num_classes=1)


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({}, []),
        ({"diversity": 0.8, "critic_margin": 0.6}, []),
        ({"diversity": LEAST_DIVERSITY, "critic_margin": SATURATED_BELOW}, []),
        ({"diversity": 0.05, "critic_margin": 0.6}, ["low_diversity"]),
        ({"diversity": 0.05, "critic_margin": 0.001}, ["low_diversity", "saturated"]),
        ({"critic_margin": -1e-7}, ["saturated"]),
    ],
)
def test_only_what_is_far_from_healthy_is_said(told: dict[str, float], names: list[str]) -> None:
    assert list(training_notes({"": told}, 20.0)) == names


def test_the_worst_class_is_named() -> None:
    found = training_notes({"crazing": {"diversity": 0.08}, "patches": {"diversity": 0.03}, "scratches": {"diversity": 0.9}}, 20.0)
    assert found == {"low_diversity": "at 20 kimg the items of patches vary 3.0% as much as real ones: the generator may be collapsing"}


@pytest.mark.parametrize(
    ("share", "floor", "said"), [(0.9, 0.3, True), (0.6, 0.3, False), (0.9, 0.85, False), (None, 0.3, False), (0.9, None, False)]
)
def test_memorising_is_more_than_held_out_images_do(share: float | None, floor: float | None, said: bool) -> None:
    values = {"val_memorisation_random": share, "val_memorisation_random_floor": floor}
    assert bool(memorisation_note(values, "random")) == said
    assert not memorisation_note({}, "random")


def test_a_margin_is_above_the_least_that_a_loss_can_be() -> None:
    subject = Subject(shape=(1, 16, 16))
    told = {"loss_d": torch.tensor(0.4)}
    smooth = build(replace(PART, settings={**PART.settings, "label_smoothing": 0.1}), subject)
    entropy = -(0.1 * math.log(0.1) + 0.9 * math.log(0.9))
    assert smooth.critic_margin(told) == pytest.approx(0.4 - entropy)
    assert (
        Dcgan(Dcgan.Config(width=8), subject).critic_margin(told) == Lsgan(Lsgan.Config(width=8), subject).critic_margin(told) == pytest.approx(0.4)
    )
    assert WganGp(WganGp.Config(width=8), subject).critic_margin(told) is None
    assert Dcgan(Dcgan.Config(width=8, adversarial_loss="hinge"), subject).critic_margin(told) is None


def train(store: Store, kimg: float) -> Any:
    work = train_to_mark(replace(PART, kimg=kimg), data=data(), inputs=[], cls=None, seed=1, precision="fp32", device="cpu", store=store)
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def test_a_mark_keeps_what_its_last_step_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    assert train(store, 0.064).health == {}, "a training that has hardly begun"
    monkeypatch.setattr(loop, "CHECK_FROM_KIMG", 0.0)
    monkeypatch.setattr(loop, "COLLAPSED_BELOW", 0.0)
    health = train(store, 0.128).health
    assert set(health) == {"diversity", "critic_margin"} and all(value > 0 for value in health.values())
    assert train(store, 0.128).health == health, "found again"
    straight = train(Store(tmp_path / "other"), 0.128)
    assert straight.health == health, "however it was reached"
