"""The training loop of inspectors: what it shows when, that it learns, and how it fails."""

import math

import numpy as np
import pytest
import torch

from trainables.errors import DatasetError, TrialFailure
from trainables.inspectors import training
from trainables.inspectors.base import LabelledImages, SeededDropout
from trainables.inspectors.training import Inspector, build, predict, read_config, train
from trainables.recipe import InspectorPart


def stripes(count: int, *, seed: int, size_px: int = 16) -> LabelledImages:
    """Two classes that differ in the direction of their stripes, at random phases and under noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    waves = [np.tile(np.sin(np.arange(size_px) + rng.uniform(0, 6.3)), (size_px, 1)) for _ in range(count)]
    images = np.stack([wave if label else wave.T for wave, label in zip(waves, labels, strict=True)])
    images = np.clip(128 + 60 * images + rng.normal(0, 30, images.shape), 0, 255).astype(np.uint8)
    return LabelledImages(images=torch.from_numpy(images)[:, None], labels=torch.from_numpy(labels))


def small(**settings: object) -> Inspector:
    config = read_config(InspectorPart(kind="fcn", settings={"width": 8, "epochs": 1, "min_steps": 0, "batch": 8, **settings}))
    return build("fcn", config, size_px=16, channels=1, num_classes=2, device="cpu", seed=0)


@pytest.mark.parametrize("augment", ["none", "flips", "classical"])
def test_it_learns_what_can_be_learnt(augment: str) -> None:
    # Flips keep the direction of a stripe; the quarter turns of `classical` do not, so that nothing is left to learn there.
    inspector = small(min_steps=60, lr=3e-3, augment=augment)
    list(train(inspector, real=stripes(40, seed=0), seed=0))
    held_out = stripes(60, seed=1)
    accuracy = (predict(inspector, held_out.images)["logits"].argmax(1) == held_out.labels).float().mean().item()
    assert accuracy > 0.95 if augment != "classical" else accuracy < 0.9


def test_synthetic_images_count_in_the_training() -> None:
    real, others = stripes(8, seed=0), stripes(8, seed=1)
    wrong = LabelledImages(images=others.images, labels=1 - others.labels)
    votes = []
    for synthetic in (None, wrong):
        inspector = small(min_steps=40, lr=3e-3)
        list(train(inspector, real=real, synthetic=synthetic, seed=0))
        votes.append(predict(inspector, others.images)["logits"])
    assert not torch.allclose(votes[0], votes[1])


def test_a_loss_that_is_not_finite_ends_the_training_by_name() -> None:
    inspector = small(min_steps=20)
    with torch.no_grad():
        inspector.network.head.bias.fill_(math.nan)
    with pytest.raises(TrialFailure, match="not finite") as failure:
        list(train(inspector, real=stripes(8, seed=0), seed=0))
    assert failure.value.name == "diverged"


def test_a_weight_that_is_not_finite_ends_the_training_by_name() -> None:
    inspector = small(min_steps=2)
    inspector.network.trunk[1].register_buffer("watched", torch.tensor(math.inf))  # type: ignore[index, operator]
    with pytest.raises(TrialFailure, match="a weight is not finite"):
        list(train(inspector, real=stripes(8, seed=0), seed=0))


def test_images_that_cannot_be_learnt_from_are_refused() -> None:
    data = stripes(8, seed=0)
    with pytest.raises(DatasetError, match="labels from 0 to 2, expected 0 to 1"):
        list(train(small(), real=LabelledImages(images=data.images, labels=data.labels * 2), seed=0))
    with pytest.raises(DatasetError, match="1 training images"):
        list(train(small(), real=LabelledImages(images=data.images[:1], labels=data.labels[:1]), seed=0))


def test_progress_comes_about_every_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(training.time, "monotonic", lambda: float(next(clock)))
    steps = [progress.metrics["step"] for progress in train(small(min_steps=12), real=stripes(8, seed=0), seed=0)]
    assert steps[-1] == 12 and 4 <= len(steps) <= 8


def test_the_fused_step_is_right_for_weights_with_channels_last() -> None:
    """The fused optimizer reads memory in its order: a layout that differed between weight and moment would mix up channels."""
    weights = {}
    for name, layout in (("last", torch.channels_last), ("first", torch.contiguous_format)):
        inspector = small(min_steps=4, lr=1e-2)
        inspector.network.to(memory_format=layout)
        list(train(inspector, real=stripes(8, seed=0), seed=0))
        weights[name] = torch.cat([p.detach().reshape(-1) for p in inspector.network.parameters()])
    assert torch.allclose(weights["last"], weights["first"], atol=2e-3)


def test_dropout_keeps_the_mean_and_follows_its_generator() -> None:
    dropout, x = SeededDropout(0.25), torch.ones(200, 100)
    assert torch.equal(dropout.eval()(x), x)
    dropout.train().generator = torch.Generator()
    dropout.generator.manual_seed(5)
    first = dropout(x)
    dropout.generator.manual_seed(5)
    assert torch.equal(dropout(x), first)
    assert (first == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert first.mean().item() == pytest.approx(1.0, abs=0.02)
