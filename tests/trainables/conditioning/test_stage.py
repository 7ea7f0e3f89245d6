"""The conditioning stage: keys that follow what decides the vectors and nothing else, and what is published."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainables.conditioning import stage
from trainables.conditioning.attributes import OWN_TABLES, AttributeTable, read_attributes
from trainables.conditioning.stage import STAGE, TABLE, Conditioned, blend, class_vectors
from trainables.datasets.procedural import CLASSES
from trainables.errors import SettingsError
from trainables.progress import Progress
from trainables.recipe import ConditioningPart
from trainables.scores.extractors import Features
from trainables.store import Store

ATTRIBUTES = read_attributes(OWN_TABLES["procedural"])
LABELS = torch.arange(40) % 4
FEATURES = Features(key="features", reused=False, seconds=0.0, values=torch.randn(40, 16, generator=torch.Generator().manual_seed(0)))


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    def learn(*arguments: object, **named: object) -> Generator[Progress, None, torch.Tensor]:
        return stage_learn(*arguments, **{**named, "steps": 5})  # type: ignore[arg-type]

    stage_learn = stage.learn
    monkeypatch.setattr(stage, "learn", learn)


def made(
    store: Store,
    kind: str,
    *,
    classes: tuple[str, ...] = CLASSES[:3],
    attributes: AttributeTable | None = ATTRIBUTES,
    features: Features = FEATURES,
    seed: int = 1,
    **weights: float,
) -> Conditioned:
    part = ConditioningPart(kind=kind, **weights)  # type: ignore[arg-type]
    work = class_vectors(part, classes=classes, attributes=attributes, features=features, labels=LABELS, seed=seed, store=store)
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def test_a_one_hot_vector_or_a_single_class_needs_no_stage(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for nothing in (made(store, "one_hot"), made(store, "blend", classes=CLASSES[:1]), made(store, "one_hot", attributes=None)):
        assert nothing == Conditioned() and nothing.inputs == [] and nothing.files == {}
    assert list(store.entries()) == []
    with pytest.raises(SettingsError, match=r"data\.attributes: learned needs attribute vectors"):
        made(store, "learned", attributes=None)


def test_attributes_are_the_rows_of_the_classes_in_their_order(tmp_path: Path) -> None:
    found = made(Store(tmp_path), "attributes", classes=(CLASSES[4], CLASSES[1]))
    assert found.vectors is not None
    assert torch.equal(found.vectors, torch.from_numpy(ATTRIBUTES.values[[4, 1]]))
    assert list(found.table) == ["real"] and found.table["real"].attributes == ATTRIBUTES.attributes
    assert found.use(2).stage == STAGE and found.use(2).unit == 2 and found.inputs == [found.key]


def test_what_was_learned_is_found_again_by_whoever_needs_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, again = made(store, "learned"), made(store, "learned")
    assert not first.reused and again.reused and first.key == again.key and first.seconds == again.seconds
    assert first.vectors is not None and again.vectors is not None and torch.equal(first.vectors, again.vectors)
    blended = made(store, "blend", ce_blend=0.25)
    real = torch.from_numpy(ATTRIBUTES.values[:3])
    assert blended.vectors is not None
    torch.testing.assert_close(blended.vectors, 0.25 * first.vectors + 0.75 * real)
    assert store.keys(STAGE) == sorted([first.key, blended.key]), "a blend learns nothing anew"
    text = (entry.read(TABLE).decode() if (entry := store.lookup(STAGE, blended.key)) else "").splitlines()
    assert [line.split(",")[:2] for line in text[1:]] == [[name, cls] for name in ("real", "learned", "blend") for cls in CLASSES[:3]]
    assert [float(cell) for cell in text[7].split(",")[2:]] == pytest.approx(blended.vectors[0].tolist(), rel=1e-4, abs=1e-5)


def test_the_ends_of_a_blend_are_what_is_blended() -> None:
    learned, real = torch.rand(3, 4), torch.rand(3, 4)
    assert torch.equal(blend(learned, real, 1.0), learned) and torch.equal(blend(learned, real, 0.0), real)


def test_the_key_follows_what_decides_the_vectors_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other_values = ATTRIBUTES.with_values(ATTRIBUTES.values * 0.5)
    others = [
        made(store, "learned", ce_rec_weight=1.0),
        made(store, "learned", ce_kl_weight=0.5),
        made(store, "learned", seed=2),
        made(store, "learned", features=replace(FEATURES, key="another split")),
        made(store, "learned", attributes=other_values),
        made(store, "learned", classes=CLASSES[:2]),
        made(store, "attributes"),
        made(store, "blend"),
        made(store, "blend", ce_blend=0.6),
    ]
    usual = made(store, "learned")
    assert len({usual.key, *(other.key for other in others)}) == 1 + len(others)
    assert made(store, "learned", ce_blend=0.9).key == usual.key
    # Rows of classes that are not served decide nothing; nor does learning, for attributes.
    assert made(store, "learned", attributes=ATTRIBUTES.only(CLASSES[:4])).key == usual.key
    assert made(store, "attributes", ce_kl_weight=3.0, seed=9, features=replace(FEATURES, key="another split")).key == others[6].key
