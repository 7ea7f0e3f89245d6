"""The head stage: the last layer of a trained inspector, learned anew on real and synthetic features in front of it; the rest stays as it is.

A linear layer under cross-entropy, as TF-VAEGAN's classifier is. Called by `trainables.feature_unit`.
"""

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.errors import TrialFailure
from trainables.generators.training.loop import Shuffle
from trainables.inspectors.classifiers import Classifier
from trainables.inspectors.training import Inspector
from trainables.progress import Progress
from trainables.store import Entry, Store, stage_key

VERSION = 1
"""Counts up when the same features, settings and seed would give another head."""

STAGE = "head"
TEST_STAGE = "head_test_predictions"
BATCH = 64
BETAS = (0.5, 0.999)
FEWEST_STEPS = 400
"""Least number of steps, so that a small set is not starved beside a large one; as inspectors have it."""
REPORT_EVERY_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledFeatures:
    """Features with the class of each."""

    features: Tensor
    """(N, D) float32."""
    labels: Tensor
    """(N,) int64, 0 to classes - 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrained:
    """A head in the store; `read_predictions` reads its entry."""

    key: str
    entry: Entry
    reused: bool
    """True where it was found ready."""

    @property
    def seconds(self) -> float:
        """What training it took, here or by whoever made it first."""
        return float(self.entry.info["seconds"])


def predict_features(inspector: Inspector, features: Tensor) -> Tensor:
    """Gives the logits that an inspector's own head has for features (N, D): (N, classes) float32 on the CPU."""
    assert isinstance(inspector.network, Classifier)
    with torch.no_grad():
        logits: Tensor = inspector.network.head(features.to(inspector.device)).float().cpu()
    return logits


def retrain_head(
    *,
    lr: float,
    epochs: int,
    real: LabelledFeatures,
    synthetic: LabelledFeatures | None,
    validation: LabelledFeatures,
    inputs: Sequence[str],
    num_classes: int,
    seed: int,
    store: Store,
) -> Generator[Progress, None, Retrained]:
    """Learns a head and publishes it with its logits on the validation split, or finds it under its key.

    It is learned on the CPU, so that the same features give the same head everywhere.

    Args:
        lr: learning rate of Adam.
        epochs: passes over all features, `FEWEST_STEPS` steps at least.
        real: features of the real training split.
        synthetic: accepted synthetic features, where there are any.
        validation: features of the real validation split.
        inputs: keys of the inspector, of the features, and of the synthetic ones with their number.
        num_classes: number of classes.
        seed: seed of this stage.
        store: where results are kept.

    Yields:
        Progress of stage `inspector` about every two seconds.

    Raises:
        TrialFailure: `diverged`, where the loss or a weight is not finite.
    """
    key = stage_key(STAGE, version=VERSION, settings={"lr": lr, "epochs": epochs, "num_classes": num_classes}, inputs=inputs, seed=seed)
    if (entry := store.lookup(STAGE, key)) is not None:
        return Retrained(key=key, entry=entry, reused=True)
    begun = time.monotonic()
    shown = [real] if synthetic is None else [real, synthetic]
    features, labels = torch.cat([part.features for part in shown]), torch.cat([part.labels for part in shown])
    head = nn.utils.skip_init(nn.Linear, features.shape[1], num_classes)
    head.requires_grad_(False)
    for weight in head.parameters():
        weight.zero_()
    # Features of a mean of 0 and a spread of 1: the rate then means the same for every inspector. Folded into the weights at the end.
    mean, spread = real.features.mean(dim=0), real.features.std(dim=0, correction=0)
    spread = torch.where(spread > 0, spread, 1.0)
    yield from _learn(head, (features - mean) / spread, labels, lr=lr, epochs=epochs, seed=seed)
    head.weight /= spread
    head.bias -= head.weight @ mean
    if not all(bool(weight.isfinite().all()) for weight in head.parameters()):
        raise TrialFailure("diverged", "head: a weight is not finite after its training")
    files = {
        "weights.safetensors": save({"weight": head.weight.detach().clone(), "bias": head.bias.detach().clone()}),
        "val.safetensors": _packed(head, validation),
    }
    entry = store.publish(STAGE, key, files, {"seconds": time.monotonic() - begun, "device": "cpu"})
    return Retrained(key=key, entry=entry, reused=False)


def judge_head(head: Entry, *, test: LabelledFeatures, inputs: Sequence[str], store: Store) -> Retrained:
    """Lets a retrained head see the test split, once: published as a stage of its own.

    Args:
        head: the published head.
        test: features of the real test split.
        inputs: key of the split.
        store: where results are kept.
    """
    key = stage_key(TEST_STAGE, version=VERSION, settings={}, inputs=[head.key, *inputs])
    if (entry := store.lookup(TEST_STAGE, key)) is not None:
        return Retrained(key=key, entry=entry, reused=True)
    begun = time.monotonic()
    files = {"test.safetensors": _packed(read_head(head), test)}
    return Retrained(key=key, entry=store.publish(TEST_STAGE, key, files, {"seconds": time.monotonic() - begun, "device": "cpu"}), reused=False)


def read_head(head: Entry) -> nn.Linear:
    """Reads a retrained head, on the CPU."""
    weights = load(head.read("weights.safetensors"))
    layer = nn.utils.skip_init(nn.Linear, *reversed(weights["weight"].shape))
    layer.load_state_dict(weights)
    return layer


def _learn(head: nn.Linear, features: Tensor, labels: Tensor, *, lr: float, epochs: int, seed: int) -> Generator[Progress, None, None]:
    """Trains a head in place."""
    head.requires_grad_(True)
    optimizer = torch.optim.Adam(head.parameters(), lr=lr, betas=BETAS, fused=True)
    batch = min(BATCH, len(labels))
    steps = max(FEWEST_STEPS, math.ceil(epochs * len(labels) / batch))
    order = Shuffle(len(labels), seed)
    told = time.monotonic()
    for step in range(steps):
        rows = order.rows(step * batch, (step + 1) * batch)
        loss = F.cross_entropy(head(features[rows]), labels[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if time.monotonic() - told >= REPORT_EVERY_S or step + 1 == steps:
            told = time.monotonic()
            if not math.isfinite(value := float(loss.detach())):
                raise TrialFailure("diverged", f"head: the loss is not finite by step {step + 1}")
            yield Progress(stage="inspector", metrics={"loss": value, "step": float(step + 1), "share": (step + 1) / steps})
    head.requires_grad_(False)


def _packed(head: nn.Linear, labelled: LabelledFeatures) -> bytes:
    with torch.no_grad():
        return save({"logits": head(labelled.features).contiguous(), "labels": labelled.labels.to(torch.int64).contiguous()})
