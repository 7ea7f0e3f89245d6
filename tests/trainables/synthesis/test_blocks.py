"""Pools: whole blocks, prefixes, filters, and a generator that a filter refuses."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainables.errors import TrialFailure
from trainables.generators.bases.subject import Drawn
from trainables.progress import StageUse
from trainables.recipe import SynthesisPart
from trainables.store import Store
from trainables.synthesis.blocks import BLOCK, Block, Chosen, Sieve, Source, choose


class Noise:
    """A sampler whose images are seeded noise, and which counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def sample(self, label: int, count: int, seed: int, *, truncation: float, backgrounds: torch.Tensor | None) -> Drawn:
        self.calls += 1
        draw = torch.Generator().manual_seed(seed)
        return Drawn(items=torch.randint(0, 256, (count, 1, 4, 4), generator=draw, dtype=torch.uint8))


class Marked(Noise):
    """Noise whose masks are where it is bright, so that a mask tells its image."""

    def sample(self, label: int, count: int, seed: int, *, truncation: float, backgrounds: torch.Tensor | None) -> Drawn:
        items = super().sample(label, count, seed, truncation=truncation, backgrounds=backgrounds).items
        return Drawn(items=items, masks=(items > 127).to(torch.uint8) * 255)


def bright(block: Block) -> torch.Tensor:
    """Accepts images whose mean is above the middle: about half of noise."""
    return block.images.float().mean(dim=(1, 2, 3)) > 127.5


def run(
    store: Store, noise: Noise, count: int, accept: Callable[[Block], torch.Tensor] | None = None, part: SynthesisPart | None = None
) -> tuple[Chosen, list[StageUse]]:
    uses: list[StageUse] = []
    source = Source(key="mark", label=0, sampler=lambda: noise)
    work = choose(
        source, "scratches", count, part or SynthesisPart(), Sieve(accept=accept, key="f"), seed=1, unit=0, device="cpu", store=store, uses=uses
    )
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, uses


def test_a_smaller_amount_is_a_prefix_of_a_larger_one(tmp_path: Path) -> None:
    noise = Noise()
    few, _ = run(Store(tmp_path), noise, 10, bright)
    many, _ = run(Store(tmp_path), noise, 300, bright)
    assert torch.equal(few.training, many.training[:10])
    assert torch.equal(few.scored, many.scored) and few.scored_key == many.scored_key
    assert all(image.float().mean() > 127.5 for image in many.training)


def test_masks_stay_with_their_images_through_filters_and_prefixes(tmp_path: Path) -> None:
    few, _ = run(Store(tmp_path), Marked(), 10, bright)
    many, _ = run(Store(tmp_path), Marked(), 300, bright)
    for chosen in (few, many):
        assert chosen.masks is not None and chosen.scored_masks is not None
        assert torch.equal(chosen.masks > 0, chosen.training > 127)
        assert torch.equal(chosen.scored_masks > 0, chosen.scored > 127)
    assert many.masks is not None and len(many.masks) == 300 and torch.equal(few.masks, many.masks[:10])  # type: ignore[arg-type]
    bare, _ = run(Store(tmp_path / "bare"), Noise(), 10, bright)
    assert bare.masks is None and bare.scored_masks is None


def test_blocks_are_drawn_whole_and_once(tmp_path: Path) -> None:
    noise = Noise()
    first, uses = run(Store(tmp_path), noise, 3)
    assert (noise.calls, len(first.scored), [use.reused for use in uses]) == (1, BLOCK, [False])
    _, uses = run(Store(tmp_path), noise, BLOCK)
    assert (noise.calls, [use.reused for use in uses]) == (1, [True])
    run(Store(tmp_path), noise, BLOCK + 1)
    assert noise.calls == 2


def test_other_sampling_settings_are_another_pool(tmp_path: Path) -> None:
    noise = Noise()
    whole, _ = run(Store(tmp_path), noise, 3)
    cut, _ = run(Store(tmp_path), noise, 3, part=SynthesisPart(truncation=0.7))
    assert noise.calls == 2 and whole.scored_key != cut.scored_key


def test_no_images_asked_for_still_scores_the_generator(tmp_path: Path) -> None:
    chosen, _ = run(Store(tmp_path), Noise(), 0)
    assert (len(chosen.training), len(chosen.scored), chosen.acceptance) == (0, BLOCK, 1.0)


def test_a_filter_that_refuses_everything_ends_the_trial_as_collapsed(tmp_path: Path) -> None:
    with pytest.raises(TrialFailure, match="only 0 of 1024 synthetic images") as caught:
        run(Store(tmp_path), Noise(), 10, lambda block: torch.zeros(BLOCK, dtype=torch.bool))
    assert caught.value.name == "collapsed"


def sorted_run(store: Store, noise: Noise, cls: str, count: int, uses: list[StageUse], share: float = 0.5) -> Chosen:
    """Takes the brighter part of shared blocks for `bright`, the rest for `dark`."""

    def sort(block: Block) -> torch.Tensor:
        level = block.images.float().mean(dim=(1, 2, 3))
        is_bright = level > level.quantile(1.0 - share)
        return is_bright if cls == "bright" else ~is_bright

    source = Source(key="mark", label=0, sampler=lambda: noise, shared_by=2)
    named = {"seed": 1, "unit": 0, "device": "cpu", "store": store, "uses": uses}
    work = choose(source, cls, count, SynthesisPart(), Sieve(sort=sort, key=cls), **named)  # type: ignore[arg-type]
    while True:
        try:
            next(work)
        except StopIteration as end:
            chosen: Chosen = end.value
            return chosen


def test_classes_share_the_blocks_of_a_model_that_is_not_told_them(tmp_path: Path) -> None:
    noise, uses, store = Noise(), list[StageUse](), Store(tmp_path)
    bright, dark = (sorted_run(store, noise, cls, 5, uses) for cls in ("bright", "dark"))
    assert noise.calls == 2 == len(uses), "as many blocks as there are classes, each drawn and noted once"
    assert {use.cls for use in uses} == {None} and len({use.key for use in uses}) == 2
    assert len(bright.scored) + len(dark.scored) == 2 * BLOCK, "each image belongs to one class"
    assert bright.scored_key != dark.scored_key
    assert bright.scored.float().mean() > dark.scored.float().mean()
    assert len(bright.training) == 5 and bright.acceptance == 1.0
    more = sorted_run(store, noise, "bright", 300, uses)
    assert noise.calls == 3 and torch.equal(more.training[:5], bright.training) and more.scored_key == bright.scored_key


def test_a_class_that_hardly_gets_an_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrialFailure, match="class bright: only 6 of 512 images of the one model of all classes are taken for it") as caught:
        sorted_run(Store(tmp_path), Noise(), "bright", 0, [], share=0.01)
    assert caught.value.name == "collapsed"
