"""Synthetic images in blocks: how pools are drawn, filtered and counted. Called by `pools`.

A pool is drawn in blocks of 256 images of one class, always whole, and stored by key. A filter judges each image by itself, and an amount is
the first n accepted images of each class: within one filter a smaller amount is a prefix of a larger one.

A model that is not told the class (`class_mode: pooled`) draws blocks that all classes share, and an image belongs to the class that the reference
inspector takes it for.
"""

import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from safetensors.torch import load, save

from trainables.errors import TrialFailure
from trainables.generators.bases.subject import Drawn
from trainables.progress import Progress, StageUse
from trainables.recipe import SynthesisPart
from trainables.seeds import child_seed
from trainables.store import Store, stage_key

VERSION = 2
BLOCK = 256
"""Images in a block."""
LARGEST_EXCESS = 8
"""How many times the images asked for are drawn before a generator whose images a filter refuses is given up as collapsed."""
FEWEST_BLOCKS = 4
"""Blocks that are drawn before giving up, however few images are asked for."""
FEWEST_SORTED = 8
"""Images that a class must get out of as many shared blocks as there are classes; 256 would be its fair share."""


class Sampler(Protocol):
    """What a trained generator offers: see `trainables.generators`."""

    def sample(self, label: int, count: int, seed: int, *, truncation: float, backgrounds: torch.Tensor | None) -> Drawn:
        """Draws `count` items of one class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A trained generator of one class, as a pool needs it."""

    key: str
    """Names the mark: the generator's key and its steps."""
    label: int
    """Class index that the generator knows it by."""
    sampler: Callable[[], Sampler]
    """Loads the generator; called only when a block has to be drawn."""
    backgrounds: torch.Tensor | None = None
    """Defect-free images (M, C, H, W) uint8 for image-to-image families."""
    backgrounds_key: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The family's settings that decide how images are drawn."""
    shared_by: int = 1
    """Classes that share its blocks: more than one where the model is not told the class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """One block of synthetic images of one class."""

    key: str
    images: torch.Tensor
    """(256, C, H, W) uint8."""
    masks: torch.Tensor | None
    """(256, 1, H, W) uint8 of 0 and 255, from families that make masks."""
    use: StageUse


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The synthetic images of one class that take part in a trial."""

    training: torch.Tensor
    """(n, C, H, W) uint8: what stands beside the real images."""
    masks: torch.Tensor | None = None
    """(n, 1, H, W) uint8 of 0 and 255: where the defects of `training` are, from families that make masks."""
    scored: torch.Tensor
    """(m, C, H, W) uint8: the accepted images of the first block, whatever the amount, so that distances compare across amounts; of as many
    blocks as there are classes where these share them."""
    scored_masks: torch.Tensor | None = None
    """The masks of `scored`."""
    scored_key: str
    """Names `scored` for the cache of features."""
    acceptance: float
    """Share of the drawn images of this class that the filter let through."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Marked:
    """What was made for a block without masks."""

    masks: torch.Tensor
    """(256, 1, H, W) uint8 of 0 and 255."""
    usable: torch.Tensor
    """(256,) bool: images whose mask is good enough."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sieve:
    """What decides which images of a block a class gets, and with which masks. Without any of it, all of them as they are."""

    accept: Callable[[Block], torch.Tensor] | None = None
    """Says which images are good enough, (256,) bool."""
    sort: Callable[[Block], torch.Tensor] | None = None
    """Says which images of a shared block belong to the class, (256,) bool."""
    mark: Callable[[Block], Marked] | None = None
    """Makes masks for the images of a block that has none, and says which of them may be used."""
    key: str = ""
    """Names all of this, and what it rests on."""


def draw_block(source: Source, cls: str, number: int, part: SynthesisPart, *, seed: int, unit: int, device: str, store: Store) -> Block:
    """Finds block `number` of a class in the store, or draws and publishes it."""
    name = cls if source.shared_by == 1 else ""
    settings = {"truncation": part.truncation, "cls": name, "label": source.label, "block": number, "drawing": dict(source.settings)}
    key = stage_key("pool", version=VERSION, settings=settings, inputs=[source.key, source.backgrounds_key], seed=seed)
    entry = store.lookup("pool", key)
    reused = entry is not None
    if entry is None:
        start = time.perf_counter()
        own = child_seed(seed, "block", name, number)
        drawn = source.sampler().sample(source.label, BLOCK, own, truncation=part.truncation, backgrounds=source.backgrounds)
        masks = {} if drawn.masks is None else {"masks": drawn.masks.contiguous()}
        data = save({"images": drawn.items.contiguous(), **masks})
        entry = store.publish("pool", key, {"images.safetensors": data}, {"seconds": time.perf_counter() - start, "device": device})
    use = StageUse(unit=unit, stage="pool", cls=name or None, key=key, reused=reused, seconds=entry.info["seconds"], device=entry.info["device"])
    drawn_before = load(entry.read("images.safetensors"))
    return Block(key=key, images=drawn_before["images"], masks=drawn_before.get("masks"), use=use)


def choose(
    source: Source,
    cls: str,
    count: int,
    part: SynthesisPart,
    sieve: Sieve = Sieve(),
    *,
    seed: int,
    unit: int,
    device: str,
    store: Store,
    uses: list[StageUse],
) -> Generator[Progress, None, Chosen]:
    """Draws blocks of one class until `count` images are accepted. Yields progress, returns what was chosen.

    Args:
        source: the trained generator of this class.
        cls: name of the class.
        count: images wanted beside the real ones.
        part: how to draw and filter.
        sieve: which of them the class gets.
        seed: seed of the pool.
        unit: position of the unit, for records.
        device: device to draw on.
        store: where blocks are kept.
        uses: stage rows are appended here.

    Raises:
        TrialFailure: `collapsed`, where the filter refuses nearly everything, or hardly any image is taken for this class.
    """
    accepted: list[torch.Tensor] = []
    accepted_masks: list[torch.Tensor] = []
    keys: list[str] = []
    drawn = own = kept = 0
    first = source.shared_by
    most = BLOCK * first * max(FEWEST_BLOCKS, math.ceil(count * LARGEST_EXCESS / BLOCK))
    noted = {use.key for use in uses}
    while len(keys) < first or kept < count:
        if drawn >= most:
            raise TrialFailure(
                "collapsed",
                f"class {cls}: only {kept} of {own} synthetic images {_demand(sieve)}, {count} are needed. "
                f"Train longer, ask for fewer, or lower {_limits(sieve)}.",
            )
        block = draw_block(source, cls, len(keys), part, seed=seed, unit=unit, device=device, store=store)
        if block.key not in noted:
            uses.append(block.use)
        mine = torch.ones(BLOCK, dtype=torch.bool) if sieve.sort is None else sieve.sort(block)
        mask = mine if sieve.accept is None else mine & sieve.accept(block)
        masks = block.masks
        if masks is None and sieve.mark is not None:
            marked = sieve.mark(block)
            masks, mask = marked.masks, mask & marked.usable
        accepted.append(block.images[mask])
        if masks is not None:
            accepted_masks.append(masks[mask])
        keys.append(block.key)
        drawn, own, kept = drawn + BLOCK, own + int(mine.sum()), kept + int(mask.sum())
        if len(keys) == first and sieve.sort is not None and own < FEWEST_SORTED:
            raise TrialFailure(
                "collapsed",
                f"class {cls}: only {own} of {drawn} images of the one model of all classes are taken for it. "
                "Train longer, or give each class a model or the model the class: class_mode per_class or conditional.",
            )
        yield Progress(unit=unit, stage="pool", metrics={"drawn": float(drawn), "accepted": float(kept)})
    return Chosen(
        training=torch.cat(accepted)[:count],
        masks=torch.cat(accepted_masks)[:count] if accepted_masks else None,
        scored=torch.cat(accepted[:first]),
        scored_masks=torch.cat(accepted_masks[:first]) if accepted_masks else None,
        scored_key=stage_key("scored", version=VERSION, settings={}, inputs=[*keys[:first], sieve.key]),
        acceptance=kept / own,
    )


def _demand(sieve: Sieve) -> str:
    """Says what is asked of an image."""
    demands = ["pass the confidence filter"] if sieve.accept is not None else []
    demands += ["have a mask that is large and sure enough"] if sieve.mark is not None else []
    return " and ".join(demands) or "are of their class"


def _limits(sieve: Sieve) -> str:
    """Names the settings that refuse images."""
    limits = ["synthesis.min_confidence"] if sieve.accept is not None else []
    limits += ["synthesis.mask_threshold, mask_min_area_px or mask_min_sureness"] if sieve.mark is not None else []
    return " or ".join(limits) or "synthesis.amount"
