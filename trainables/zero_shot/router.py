"""The router: names the class of an image's features, reads the class embedding from them, and says whether they belong to any seen class.

The two-stage paper's SBAD (vaegan2023, section 3.1.2). Made by `zero_shot.classifier`, used by `zero_shot.unit` and by `trainables.two_stage.system`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.checkpoints import state_from_bytes
from trainables.conditioning.unseen import dissimilarity
from trainables.generators.bases.features import Scaling
from trainables.store import Entry

Uses = Literal["features", "embedded"]


class Read(NamedTuple):
    """What is read from features."""

    scaled: Tensor
    """(B, D) float32: in [0, 1] on the training split, by its own smallest and largest values."""
    hidden: Tensor
    """(B, hidden): the attribute decoder's hidden layer; (B, 0) without one."""
    embedded: Tensor
    """(B, V): the class embedding as read; the scaled features themselves without a decoder."""


class EmbeddingReader(nn.Module):
    """Features (B, D) -> scaled -> hidden -> class embedding (B, V): TF-VAEGAN's attribute decoder, the two-stage paper's Encoder-2, once trained.

    Without a decoder (a baseline on real features alone) the scaled features stand for the embedding, and class means for the class vectors.

    Args:
        width: length of the features, D.
        hidden: width of the decoder's hidden layer; 0 for none.
        vectors: (seen, V), what should be read of each seen class.
        unit: whether what is read is scaled to length 1.
        length: mean length of the class vectors in the units of their attributes, which those that are read are divided by.
    """

    vectors: Tensor
    length: Tensor

    def __init__(self, *, width: int, hidden: int, vectors: Tensor, unit: bool, length: float) -> None:
        super().__init__()
        self.width, self.hidden, self.unit = width, hidden, unit
        self.scaling = Scaling(width)
        self.entry = nn.Linear(width, hidden) if hidden else None
        self.exit = nn.Linear(hidden, vectors.shape[1]) if hidden else None
        self.register_buffer("vectors", vectors.clone())
        self.register_buffer("length", torch.tensor(length))
        self.requires_grad_(False).eval()

    def forward(self, features: Tensor) -> Read:
        """Reads features (B, D) float32."""
        scaled = self.scaling(features)
        if self.entry is None or self.exit is None:
            return Read(scaled, scaled[:, :0], scaled)
        hidden = F.leaky_relu(self.entry(scaled), 0.2)
        embedded = self.exit(hidden)
        return Read(scaled, hidden, F.normalize(embedded, dim=1) if self.unit else embedded)

    def shown(self, features: Tensor, uses: Uses) -> Tensor:
        """Gives what a classifier is shown of features (B, D): them alone, or with the hidden layer and the embedding (TF-VAEGAN)."""
        read = self(features)
        return torch.cat(read, dim=1) if uses == "embedded" and self.hidden else read.scaled


def reader_of_mark(mark: Entry, *, length: float) -> EmbeddingReader:
    """Takes the attribute decoder out of a trained tf_vaegan or vaegan_ce, with the scaling of its features.

    Args:
        mark: the generator's entry.
        length: mean length of the class vectors that it was given.
    """
    state, drawn = state_from_bytes(mark.read("state.safetensors")), state_from_bytes(mark.read("ema.safetensors"))
    # With feedback the decoder belongs to what draws, and else to what only training needs.
    decoder = state["ema"] if "attributes.entry.0.weight" in state["ema"] else state["critic"]
    unit = bool(mark.info["settings"]["unit_attributes"])
    vectors = drawn["decoder.code.vectors"]
    weight = decoder["attributes.entry.0.weight"]
    reader = EmbeddingReader(
        width=weight.shape[1], hidden=weight.shape[0], vectors=F.normalize(vectors, dim=1) if unit else vectors, unit=unit, length=length
    )
    assert reader.entry is not None and reader.exit is not None
    reader.scaling.load_state_dict({name: drawn[f"scaling.{name}"] for name in ("low", "span")})
    reader.entry.load_state_dict({name: decoder[f"attributes.entry.0.{name}"] for name in ("weight", "bias")})
    reader.exit.load_state_dict({name: decoder[f"attributes.exit.{name}"] for name in ("weight", "bias")})
    return reader


def plain_reader(features: Tensor, labels: Tensor) -> EmbeddingReader:
    """Makes the reader of a baseline out of the training split's features (N, D) and labels (N,): scaled features, and the mean of each class."""
    low, high = features.amin(dim=0), features.amax(dim=0)
    scaling = Scaling(features.shape[1])
    scaling.load_state_dict({"low": low, "span": high - low})
    scaled = scaling(features)
    means = torch.stack([scaled[labels == label].mean(dim=0) for label in range(int(labels.max()) + 1)])
    reader = EmbeddingReader(width=features.shape[1], hidden=0, vectors=means, unit=False, length=1.0)
    reader.scaling.load_state_dict(scaling.state_dict())
    return reader


class Answers(NamedTuple):
    """What a router says of images, one row each."""

    logits: Tensor
    """(N, seen + unseen), the seen classes first; without the unseen ones where a threshold decides."""
    embedded: Tensor
    """(N, V): the embedding as read."""
    dissimilarity: Tensor
    """(N,): its distance to the nearest vector of a seen class."""
    nearest: Tensor
    """(N,) int64: that class."""
    is_unseen: Tensor
    """(N,) bool: belongs to no seen class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Router:
    """A linear classifier of seen and unseen classes upon a reader of embeddings; on the CPU."""

    reader: EmbeddingReader
    head: nn.Linear
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    """Classes that the head knows beside the seen ones; empty where a threshold decides."""
    attributes: tuple[str, ...]
    """What each number of an embedding says; empty where it has no such names."""
    uses: Uses
    threshold: float | None
    """Dissimilarity above which an image belongs to no seen class; None where the head decides."""

    @torch.no_grad()
    def answer(self, features: Tensor) -> Answers:
        """Says what features (N, D) float32 show."""
        embedded = self.reader(features).embedded
        logits: Tensor = self.head(self.reader.shown(features, self.uses))
        apart = dissimilarity(embedded, self.reader.vectors)
        # As in `dissimilarity`: exact distances, so that an image of a class's very vector is at 0.
        nearest = torch.cdist(embedded, self.reader.vectors, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
        strange = apart > self.threshold if self.threshold is not None else logits.argmax(1) >= len(self.seen)
        return Answers(logits, embedded, apart, nearest, strange)

    def named(self, embedded: Tensor) -> dict[str, float]:
        """Gives an embedding (V,) as attribute names with values, in the attributes' own units; of those scaled to length 1, about so."""
        return dict(zip(self.attributes, (embedded * self.reader.length).tolist(), strict=True)) if self.attributes else {}

    def state(self) -> dict[str, Tensor]:
        """Gives all tensors by name."""
        parts = {"reader": self.reader, "head": self.head}
        return {f"{name}.{key}": value.contiguous() for name, part in parts.items() for key, value in part.state_dict().items()}

    def outline(self) -> dict[str, Any]:
        """Gives everything but the tensors, as plain JSON data."""
        shape = {"width": self.reader.width, "hidden": self.reader.hidden, "unit": self.reader.unit}
        lists = {"seen": list(self.seen), "unseen": list(self.unseen), "attributes": list(self.attributes)}
        return {**shape, **lists, "uses": self.uses, "threshold": self.threshold}


def make_router(outline: Mapping[str, Any], state: Mapping[str, Tensor]) -> Router:
    """Builds a router from what `outline` and `state` gave."""
    vectors = state["reader.vectors"]
    reader = EmbeddingReader(width=outline["width"], hidden=outline["hidden"], vectors=vectors, unit=outline["unit"], length=1.0)
    head = nn.utils.skip_init(nn.Linear, *reversed(state["head.weight"].shape)).requires_grad_(False)
    for name, part in (("reader", reader), ("head", head)):
        part.load_state_dict({key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")})
    return Router(
        reader=reader,
        head=head,
        seen=tuple(outline["seen"]),
        unseen=tuple(outline["unseen"]),
        attributes=tuple(outline["attributes"]),
        uses=outline["uses"],
        threshold=outline["threshold"],
    )
