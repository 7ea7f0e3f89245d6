"""The sweep over amounts: nested sets of images of one generator that is trained once, so that only inspectors differ."""

from dataclasses import replace

import pytest
import torch

from trainables.datasets.packs import fingerprint
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.inspectors.base import LabelledImages
from trainables.progress import Scores
from trainables.recipe import Amount, GeneratorPart, InspectorPart, Recipe, ScorePart, SynthesisPart, Unit
from trainables.store import Store
from trainables.trial import run_trial

DATA = DataSettings(size_px=16, defect_free="background", procedural=ProceduralSettings(per_class=10, defect_free=4))
RECIPE = Recipe(
    data=DATA,
    fingerprint=fingerprint(DATA),
    generator=GeneratorPart(family="dcgan", kimg=0.064, settings={"width": 4, "batch": 32, "class_mode": "conditional", "latent_dim": 8}),
    synthesis=SynthesisPart(),
    inspector=InspectorPart(kind="fcn", settings={"width": 8, "min_steps": 1, "epochs": 1, "batch": 16}),
    scores=ScorePart(extractor="random"),
    units=(Unit(inspector=1), Unit(inspector=2)),
)
FRACTIONS = (0.0, 0.3, 0.6, 0.9)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Scores, list[LabelledImages | None]]]:
    """Each amount's scores, with the synthetic images that the inspectors of its two seeds were shown."""
    from trainables.inspectors import stage

    store, found = Store(tmp_path_factory.mktemp("store")), []
    train = stage.train
    with pytest.MonkeyPatch.context() as patch:
        for fraction in FRACTIONS:
            seen: list[LabelledImages | None] = []

            def watched(inspector, *, synthetic, seen=seen, **more):  # type: ignore[no-untyped-def]
                seen.append(synthetic)
                return train(inspector, synthetic=synthetic, **more)

            patch.setattr(stage, "train", watched)
            *_, last = run_trial(replace(RECIPE, synthesis=SynthesisPart(amount=Amount(kind="fraction", value=fraction))), store)
            assert isinstance(last, Scores)
            found.append((last, seen))
    return found


def test_the_generator_is_trained_once_and_only_inspectors_differ(sweep: list[tuple[Scores, list[LabelledImages | None]]]) -> None:
    keys = [{use.key for use in scores.stages if use.stage == "generator"} for scores, _ in sweep]
    assert len(set.union(*keys)) == 1
    fresh = [{use.stage for use in scores.stages if not use.reused} for scores, _ in sweep]
    assert fresh == [{"generator", "pool", "inspector"}, {"inspector"}, {"inspector"}, {"inspector"}]
    inspectors = [use.key for scores, _ in sweep for use in scores.stages if use.stage == "inspector"]
    assert len(set(inspectors)) == len(FRACTIONS) * 2


def test_a_smaller_amount_is_the_beginning_of_a_larger_one(sweep: list[tuple[Scores, list[LabelledImages | None]]]) -> None:
    smaller: dict[int, torch.Tensor] = {}
    for (scores, seen), fraction in zip(sweep, FRACTIONS, strict=True):
        first, second = seen
        if fraction == 0.0:
            assert first is None and second is None and scores.conditions["synthetic_images"] == 0
            continue
        assert first is not None and second is not None and torch.equal(first.images, second.images), "seeds of inspectors change no image"
        own = {label: first.images[first.labels == label] for label in range(6)}
        for label, images in own.items():
            assert len(images) == round(6 * fraction / (1 - fraction)) > len(smaller.get(label, []))
            assert label not in smaller or torch.equal(images[: len(smaller[label])], smaller[label])
        smaller = own
