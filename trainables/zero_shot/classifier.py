"""The zero-shot classifier's stage: a linear softmax over real features of seen classes and synthetic ones of unseen classes, published as a router.

TF-VAEGAN's last step: Adam, 25 passes. Its authors take the best pass on the test split; here the best one on the validation images of seen classes
is taken, so that nothing knows an image of an unseen class (systems.md 2.8). Called by `zero_shot.unit`.
"""

import json
import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.checkpoints import state_from_bytes, state_to_bytes
from trainables.conditioning.unseen import dissimilarity
from trainables.errors import TrialFailure
from trainables.generators.training.loop import Shuffle
from trainables.inspectors.head import LabelledFeatures
from trainables.progress import Progress
from trainables.scores.zero_shot import per_class_accuracy, unseen_threshold
from trainables.seeds import child_seed
from trainables.store import Entry, Store, stage_key
from trainables.zero_shot.router import EmbeddingReader, Router, Uses, make_router

VERSION = 1
"""Counts up when the same features, settings and seed would give another classifier."""

STAGE = "zero_shot_classifier"
BATCH = 64
"""As the inspectors' heads have it; the authors' is the number of synthetic features of a class."""
BETAS = (0.5, 0.999)
FEWEST_STEPS = 400
"""Least number of steps, so that a small set is not starved beside a large one; as inspectors have it."""
SAVE_EVERY_S = 120.0
REPORT_EVERY_S = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """What a router's numbers are called."""

    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    """Classes that there are synthetic features of; empty where a threshold decides."""
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Routed:
    """A router in the store."""

    key: str
    entry: Entry
    """`router.safetensors`, `router.json`; its info says which pass was taken."""
    reused: bool

    @property
    def seconds(self) -> float:
        """What training it took, here or by whoever made it first."""
        return float(self.entry.info["seconds"])

    def router(self) -> Router:
        """Loads it."""
        return make_router(self.entry.json("router.json"), load(self.entry.read("router.safetensors")))


def train_classifier(
    *,
    reader: EmbeddingReader,
    names: Names,
    uses: Uses,
    percentile: float | None,
    lr: float,
    epochs: int,
    real: LabelledFeatures,
    synthetic: LabelledFeatures | None,
    validation: LabelledFeatures,
    inputs: Sequence[str],
    seed: int,
    store: Store,
    save_every_s: float = SAVE_EVERY_S,
    report_every_s: float = REPORT_EVERY_S,
) -> Generator[Progress, None, Routed]:
    """Learns a classifier and publishes its router, or finds it under its key; always on the CPU, so that it is the same everywhere.

    Args:
        reader: what scales features and reads embeddings.
        names: of classes and attributes.
        uses: what the classifier is shown.
        percentile: hundredths of the validation images that are to be called seen: by the threshold of their dissimilarity, or, where there are
            synthetic features of unseen classes, by a calibrated classifier. None leaves the classifier as it was learned.
        lr: learning rate of Adam.
        epochs: passes over all features, `FEWEST_STEPS` steps at least.
        real: features of the seen classes' training split; labels from 0.
        synthetic: features of unseen classes, where there are any; labels from the number of seen classes on.
        validation: features of the seen classes' validation split.
        inputs: keys of the features, of the reader and of the synthetic features with their number.
        seed: seed of this stage.
        store: where results are kept.
        save_every_s: seconds between rolling checkpoints.
        report_every_s: seconds between signs of life.

    Yields:
        Progress of stage `inspector`.

    Raises:
        TrialFailure: `diverged`, where the loss or a weight is not finite.
    """
    assert int(validation.labels.max()) < len(names.seen), "the classifier is selected on seen classes alone"
    settings = {"lr": lr, "epochs": epochs, "uses": uses, "percentile": percentile, "seen": list(names.seen), "unseen": list(names.unseen)}
    settings["attributes"] = list(names.attributes)
    key = stage_key(STAGE, version=VERSION, settings=settings, inputs=inputs, seed=seed)
    if (entry := store.lookup(STAGE, key)) is not None:
        return Routed(key=key, entry=entry, reused=True)
    shown = [real] if synthetic is None else [real, synthetic]
    features, labels = torch.cat([part.features for part in shown]), torch.cat([part.labels for part in shown])
    course = _Course(
        inputs=reader.shown(features, uses),
        labels=labels,
        validation=LabelledFeatures(features=reader.shown(validation.features, uses), labels=validation.labels),
        seen=len(names.seen),
        outputs=len(names.seen) + len(names.unseen),
        lr=lr,
        epochs=epochs,
        seed=seed,
    )
    scratch = f"{STAGE}-{key}.safetensors"
    if (data := store.read_scratch(scratch)) is not None:
        course.load(state_from_bytes(data))
    saved = told = time.monotonic()
    while course.step < course.steps:
        loss = course.advance()
        now = time.monotonic()
        if now - saved >= save_every_s:
            store.write_scratch(scratch, state_to_bytes(course.state()))
            saved = now
        if now - told >= report_every_s or course.step == course.steps:
            if not math.isfinite(value := float(loss)):
                raise TrialFailure("diverged", f"zero-shot classifier: the loss is not finite by step {course.step}")
            try:
                yield Progress(stage="inspector", metrics={"loss": value, "step": float(course.step), "share": course.step / course.steps})
            except GeneratorExit:
                store.write_scratch(scratch, state_to_bytes(course.state()))
                raise
            told = time.monotonic()
    head, threshold = course.best(), None
    if percentile is not None and names.unseen:
        calibrate(head, reader.shown(validation.features, uses), len(names.seen), percentile)
    elif percentile is not None:
        threshold = unseen_threshold(dissimilarity(reader(validation.features).embedded, reader.vectors), percentile)
    router = Router(reader=reader, head=head, seen=names.seen, unseen=names.unseen, attributes=names.attributes, uses=uses, threshold=threshold)
    files = {"router.safetensors": save(router.state()), "router.json": json.dumps(router.outline(), allow_nan=False).encode()}
    info = {"seconds": course.seconds, "device": "cpu", "taken_step": course.taken, "val_seen": course.score}
    entry = store.publish(STAGE, key, files, info)
    store.drop_scratch(scratch)
    return Routed(key=key, entry=entry, reused=False)


def calibrate(head: nn.Linear, inputs: Tensor, seen: int, percentile: float) -> None:
    """Moves the biases of the unseen classes together, in place, so that so many hundredths of seen classes' images are called seen.

    A classifier that has met real features of some classes and synthetic ones of others prefers the former (Chao et al. 2016, who take the constant
    from classes that are pretended to be unseen; here seen validation images alone give it).

    Args:
        head: the classifier, seen classes first.
        inputs: what it is shown of validation images of seen classes.
        seen: number of seen classes.
        percentile: 0..100.
    """
    logits = head(inputs)
    head.bias[seen:] -= unseen_threshold(logits[:, seen:].amax(1) - logits[:, :seen].amax(1), percentile)


class _Course:
    """A training of the classifier: where it stands, and the best pass so far.

    A step depends only on (features, settings, seed, step), so that a course that goes on ends bit for bit where an undisturbed one ends.
    """

    def __init__(
        self, *, inputs: Tensor, labels: Tensor, validation: LabelledFeatures, seen: int, outputs: int, lr: float, epochs: int, seed: int
    ) -> None:
        # Of a mean of 0 and a spread of 1: the rate then means the same for features, hidden layer and embedding. Folded into the weights at the end.
        spread = inputs.std(dim=0, correction=0)
        self.mean, self.spread = inputs.mean(dim=0), torch.where(spread > 0, spread, 1.0)
        self.inputs, self.labels, self.seen = (inputs - self.mean) / self.spread, labels, seen
        self.validation = LabelledFeatures(features=(validation.features - self.mean) / self.spread, labels=validation.labels)
        self.head = nn.utils.skip_init(nn.Linear, inputs.shape[1], outputs)
        with torch.no_grad():
            # A convex problem: where it begins decides nothing, and zero has no seed.
            self.head.weight.zero_()
            self.head.bias.zero_()
        self.optimizer = torch.optim.Adam(self.head.parameters(), lr=lr, betas=BETAS, fused=True)
        self.batch = min(BATCH, len(labels))
        self.per_epoch = math.ceil(len(labels) / self.batch)
        self.steps = max(FEWEST_STEPS, epochs * self.per_epoch)
        self.order = Shuffle(len(labels), child_seed(seed, "order"))
        self.step, self.taken, self.score, self.seconds = 0, 0, -1.0, 0.0
        self.kept = {name: value.clone() for name, value in self.head.state_dict().items()}

    def advance(self) -> Tensor:
        """Does one step and gives its loss; at the end of a pass, looks at the validation images of seen classes."""
        begun = time.monotonic()
        rows = self.order.rows(self.step * self.batch, (self.step + 1) * self.batch)
        loss = F.cross_entropy(self.head(self.inputs[rows]), self.labels[rows])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        if self.step % self.per_epoch == 0 or self.step == self.steps:
            self._look()
        self.seconds += time.monotonic() - begun
        return loss.detach()

    def _look(self) -> None:
        """Keeps the weights if no pass before named more of the seen classes right; of equals the later one, which has learned more of the others."""
        with torch.no_grad():
            score = per_class_accuracy(self.head(self.validation.features), self.validation.labels, range(self.seen))
        if score is not None and score >= self.score:
            self.score, self.taken = score, self.step
            self.kept = {name: value.clone() for name, value in self.head.state_dict().items()}

    def best(self) -> nn.Linear:
        """Gives the head of the best pass.

        Raises:
            TrialFailure: `diverged`, where a weight is not finite.
        """
        self.head.load_state_dict(self.kept)
        self.head.requires_grad_(False)
        self.head.weight /= self.spread
        self.head.bias -= self.head.weight @ self.mean
        if not all(bool(weight.isfinite().all()) for weight in self.head.parameters()):
            raise TrialFailure("diverged", "zero-shot classifier: a weight is not finite after its training")
        return self.head

    def state(self) -> dict[str, Any]:
        """Gives everything that continues the training."""
        numbers = {"step": self.step, "taken": self.taken, "score": self.score, "seconds": self.seconds}
        return {**numbers, "head": self.head.state_dict(), "kept": self.kept, "optimizer": self.optimizer.state_dict()["state"]}

    def load(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave."""
        for name in ("step", "taken", "score", "seconds", "kept"):
            setattr(self, name, state[name])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict({"state": state["optimizer"], "param_groups": self.optimizer.state_dict()["param_groups"]})
