"""What synthetic images stand in the place of: nothing, the real defects, or all real training images."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainables.bench import Bench
from trainables.datasets.packs import fingerprint, open_pack
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.datasets.splits import split
from trainables.errors import TrialFailure
from trainables.inspectors.base import LabelledImages
from trainables.progress import Scores
from trainables.recipe import Amount, GeneratorPart, InspectorPart, Recipe, Replaces, ScorePart, SynthesisPart
from trainables.store import Store
from trainables.tasks.classify import Classify
from trainables.tasks.detect import Detect
from trainables.tasks.segment import Segment
from trainables.trial import run_trial

DATA = DataSettings(size_px=16, procedural=ProceduralSettings(per_class=8, defect_free=16))
FCN = InspectorPart(kind="fcn", settings={"width": 8, "min_steps": 2, "epochs": 1, "batch": 16})
DCGAN = GeneratorPart(family="dcgan", kimg=0.064, settings={"width": 4, "batch": 32, "class_mode": "conditional", "latent_dim": 8})
FIVE = Amount(kind="per_class", value=5)


def recipe(replaces: Replaces, *, amount: Amount = FIVE) -> Recipe:
    return Recipe(
        data=DATA,
        fingerprint=fingerprint(DATA),
        generator=DCGAN,
        synthesis=SynthesisPart(amount=amount, replaces=replaces),
        inspector=FCN,
        scores=ScorePart(extractor="random"),
    )


def bench_of(store: Store, replaces: Replaces) -> Bench:
    own = recipe(replaces)
    pack = open_pack(DATA, own.fingerprint, store)
    return Bench(recipe=own, store=store, device="cpu", pack=pack, parts=split(pack, DATA), task=Classify(pack))


def run(own: Recipe, store: Store) -> Scores:
    *_, last = run_trial(own, store)
    assert isinstance(last, Scores)
    return last


def test_defects_are_replaced_and_defect_free_images_stay(tmp_path: Path, trained: list[tuple[LabelledImages, LabelledImages | None]]) -> None:
    store = Store(tmp_path)
    beside, instead = run(recipe("nothing"), store), run(recipe("defects"), store)
    (real, synthetic), (kept, same) = trained
    free = beside.classes.index("defect_free")
    assert set(real.labels.tolist()) == set(range(len(beside.classes)))
    assert set(kept.labels.tolist()) == {free} and len(kept.labels) == int((real.labels == free).sum())
    assert synthetic is not None and same is not None and torch.equal(synthetic.images, same.images)
    assert [use.stage for use in instead.stages if not use.reused] == ["inspector"], "generator and pool are those of the other trial"
    assert (instead.conditions["replaces"], instead.conditions["replaced_images"]) == ("defects", len(real.labels) - len(kept.labels))
    assert "replaces" not in beside.conditions


def test_all_real_images_are_replaced_and_the_generator_learns_the_defect_free_class(
    tmp_path: Path, trained: list[tuple[LabelledImages, LabelledImages | None]]
) -> None:
    scores = run(recipe("all"), Store(tmp_path))
    ((real, synthetic),) = trained
    assert synthetic is not None and len(real.labels) == 0
    assert torch.bincount(synthetic.labels).tolist() == [5] * len(scores.classes)
    assert f"val_kid_random.{scores.classes[-1]}" in scores.values and scores.classes[-1] == "defect_free"


def test_what_is_kept_beside_them_decides_the_key(tmp_path: Path) -> None:
    keys = {}
    for replaces in ("nothing", "defects", "all"):
        scores = run(recipe(replaces), Store(tmp_path))
        keys[replaces] = {use.stage: use.key for use in scores.stages}
    assert len({found["inspector"] for found in keys.values()}) == 3
    assert keys["nothing"]["generator"] == keys["defects"]["generator"] != keys["all"]["generator"]


@pytest.mark.parametrize(
    ("kind", "value", "beside", "instead"),
    [
        ("fraction", 0.5, [10, 30, 60], [10, 30, 60]),
        ("multiple", 2.0, [20, 60, 120], [20, 60, 120]),
        ("per_class", 7, [7, 7, 7], [7, 7, 7]),
        ("top_up_to", 40, [30, 10, 0], [40, 40, 0]),
        # LM-GAN: as many of each defect as there are defect-free images.
        ("balance", 0, [50, 30, 0], [60, 60, 0]),
    ],
)
def test_amounts_are_counted_beside_and_in_the_place_of_real_images(kind: str, value: float, beside: list[int], instead: list[int]) -> None:
    amount = Amount(kind=kind, value=value)  # type: ignore[arg-type]
    assert amount.counts([10, 30, 60]) == beside
    assert amount.counts([10, 30, 60], replaced={0: "a", 1: "b"}) == instead


def test_a_class_without_any_image_left_fails_by_name(tmp_path: Path) -> None:
    with pytest.raises(TrialFailure, match=r"takes the place of the real ones of crazing, .*raise the amount") as caught:
        run(recipe("defects", amount=Amount(kind="fraction", value=0.0)), Store(tmp_path))
    assert caught.value.name == "bad_data"


def test_masks_of_synthetic_defect_free_images_are_known_to_be_empty(tmp_path: Path) -> None:
    from trainables.synthesis.blocks import Chosen

    bench = bench_of(Store(tmp_path), "all")
    images = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    chosen = {cls: Chosen(training=images, scored=images, scored_key="k", acceptance=1.0) for cls in bench.made.values()}
    found = Detect(bench.pack).synthetic(chosen)
    assert found.marked is not None and found.masks is not None
    assert found.labels.tolist() == [1] * 12 + [0] * 2 and found.marked.tolist() == [False] * 12 + [True] * 2
    assert int(found.masks.max()) == 0
    opinion = torch.tensor([[2.0], [-2.0]])
    detect = Detect(bench.pack)
    assert detect.taken_for(opinion, 0, 0.5).tolist() == [True, False]
    assert detect.taken_for(opinion, len(bench.pack.classes) - 1, 0.5).tolist() == [False, True]
    assert Segment(bench.pack).outputs == 6, "which a segmenter has maps for does not change"


def test_left_out_images_take_their_masks_with_them(tmp_path: Path) -> None:
    bench = bench_of(Store(tmp_path), "defects")
    known = Segment(bench.pack).known(bench.images(bench.parts.train), bench.parts.train)
    kept = bench.without(known, bench.replaced, bench.parts.train)
    assert kept.masks is not None and kept.marked is not None
    assert len(kept.labels) == len(kept.images) == len(kept.masks) == len(kept.marked) < len(known.labels)
    nothing = replace(bench, recipe=recipe("nothing"))
    assert nothing.replaced == {} and list(nothing.made.values()) == list(bench.pack.classes[:-1])
