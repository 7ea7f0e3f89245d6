"""The router's parts: what is read from features, how its classifier is learned and goes on, and how its answers are scored."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from trainables.errors import TrialFailure
from trainables.generators.bases.subject import TrainingData
from trainables.generators.tf_vaegan import TfVaegan
from trainables.generators.training.stage import load_sampler, train_to_mark
from trainables.inspectors.head import LabelledFeatures
from trainables.progress import Progress
from trainables.recipe import Amount, GeneratorPart
from trainables.store import Store
from trainables.synthesis.blocks import Source
from trainables.zero_shot.answers import router_scores
from trainables.zero_shot.classifier import STAGE, Names, Routed, train_classifier
from trainables.zero_shot.router import EmbeddingReader, Router, make_router, plain_reader, reader_of_mark
from trainables.zero_shot.sources import mark_of, unseen_count, unseen_sources

VECTORS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0], [1.0, 1.0, 4.0]])
NAMES = Names(seen=("a", "b", "c"), unseen=("d",), attributes=("light", "grain", "rust"))


def clouds(classes: list[int], count: int, *, seed: int) -> LabelledFeatures:
    """Draws `count` features (6,) of each class around a corner of its own."""
    random = torch.Generator().manual_seed(seed)
    values = [100.0 + 3.0 * torch.eye(6)[cls] + 0.4 * torch.randn(count, 6, generator=random) for cls in classes]
    return LabelledFeatures(features=torch.cat(values), labels=torch.tensor(classes).repeat_interleave(count))


def reader() -> EmbeddingReader:
    seen = clouds([0, 1, 2], 40, seed=0)
    return plain_reader(seen.features, seen.labels)


def training(store: Store, **changes: Any) -> Generator[Progress, None, Routed]:
    given: dict[str, Any] = {
        "reader": reader(),
        "names": Names(seen=NAMES.seen, unseen=NAMES.unseen),
        "uses": "features",
        "percentile": None,
        "lr": 1e-2,
        "epochs": 5,
        "real": clouds([0, 1, 2], 40, seed=0),
        "synthetic": clouds([3], 60, seed=1),
        "validation": clouds([0, 1, 2], 20, seed=2),
        "inputs": ["features"],
        "seed": 0,
        "store": store,
    }
    return train_classifier(**{**given, **changes})


def ended(steps: Generator[Progress, None, Routed]) -> Routed:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            routed: Routed = end.value
            return routed


def test_a_classifier_learns_classes_from_real_and_from_synthetic_features(tmp_path: Path) -> None:
    store = Store(tmp_path)
    routed = ended(training(store))
    router = routed.router()
    asked = clouds([0, 1, 2, 3], 30, seed=5)
    said = router.answer(asked.features)
    assert float((said.logits.argmax(1) == asked.labels).float().mean()) > 0.95
    assert torch.equal(said.is_unseen, said.logits.argmax(1) == 3)
    assert float((said.nearest[:90] == asked.labels[:90]).float().mean()) > 0.95
    assert ended(training(store)).reused and not ended(training(store, inputs=["others"])).reused
    assert routed.entry.info["val_seen"] > 0.95 and 0 < routed.entry.info["taken_step"] <= 400


def test_a_threshold_keeps_its_share_of_the_seen_validation_images(tmp_path: Path) -> None:
    routed = ended(training(Store(tmp_path), names=Names(seen=NAMES.seen, unseen=()), synthetic=None, percentile=90.0))
    router = routed.router()
    said = router.answer(clouds([0, 1, 2], 20, seed=2).features)
    assert int(said.is_unseen.sum()) == 6 and said.logits.shape == (60, 3)
    assert torch.equal(said.is_unseen, said.dissimilarity > router.threshold)
    assert bool(router.answer(clouds([3], 30, seed=5).features).is_unseen.all())


def test_a_calibrated_classifier_calls_its_share_of_the_seen_validation_images_seen(tmp_path: Path) -> None:
    # Synthetic features that lie half way to a seen class: the classifier, learned on three times as many real ones, misses most real ones of d.
    random = torch.Generator().manual_seed(1)
    centre = 0.5 * (torch.eye(6)[3] + torch.eye(6)[0])
    near = LabelledFeatures(features=100.0 + 3.0 * centre + 0.4 * torch.randn(15, 6, generator=random), labels=torch.full((15,), 3))
    validation, asked = clouds([0, 1, 2], 20, seed=2), clouds([0, 1, 2, 3], 20, seed=3)
    plain = ended(training(Store(tmp_path), synthetic=near)).router()
    for percentile, strange in ((90.0, 6), (50.0, 30)):
        moved = ended(training(Store(tmp_path), synthetic=near, percentile=percentile)).router()
        assert int(moved.answer(validation.features).is_unseen.sum()) == strange and moved.threshold is None
        before, after = plain.answer(asked.features), moved.answer(asked.features)
        torch.testing.assert_close(before.logits[:, :3], after.logits[:, :3])
        shift = after.logits[:, 3] - before.logits[:, 3]
        torch.testing.assert_close(shift, shift[:1].expand(80))


def test_a_classifier_that_goes_on_ends_bit_for_bit_where_an_undisturbed_one_ends(tmp_path: Path) -> None:
    whole = ended(training(Store(tmp_path / "whole")))
    store = Store(tmp_path / "broken")
    for stops in (3, 150):
        steps = training(store, report_every_s=0.0)
        for _ in range(stops):
            next(steps)
        steps.close()
        assert store.keys(STAGE) == []
    last = training(store, report_every_s=0.0)
    assert next(last).metrics["step"] > 151, "it went on from the second stop"
    again = ended(last)
    assert again.entry.read("router.safetensors") == whole.entry.read("router.safetensors")
    assert again.entry.info["taken_step"] == whole.entry.info["taken_step"] and list((tmp_path / "broken" / "scratch").iterdir()) == []


def test_the_pass_that_names_most_of_the_seen_classes_right_is_taken(tmp_path: Path) -> None:
    # Two of three classes have their validation labels exchanged, so that learning them makes the score fall: an early pass is the best one.
    confused = clouds([0, 1, 2], 20, seed=2)
    blurred = clouds([0, 1, 2], 40, seed=0)
    blurred.features[:80] = 100.0 + 3.0 * torch.randn(80, 6, generator=torch.Generator().manual_seed(1))
    wrong = LabelledFeatures(features=confused.features, labels=torch.tensor([1, 0, 2]).repeat_interleave(20))
    routed = ended(training(Store(tmp_path), validation=wrong, real=blurred, lr=1e-2))
    named = routed.router().answer(confused.features).logits.argmax(1)
    shares = [float((named[wrong.labels == cls] == cls).float().mean()) for cls in range(3)]
    assert routed.entry.info["taken_step"] < 400
    assert sum(shares) / 3 == pytest.approx(routed.entry.info["val_seen"]), "the weights are those of that pass"


def test_features_that_are_not_finite_end_the_trial_by_name(tmp_path: Path) -> None:
    broken = clouds([3], 60, seed=1)
    broken.features[0, 0] = float("nan")
    with pytest.raises(TrialFailure) as caught:
        ended(training(Store(tmp_path), synthetic=broken))
    assert caught.value.name == "diverged"


@pytest.mark.parametrize("family", ["tf_vaegan", "vaegan_ce"])
def test_the_reader_is_the_trained_attribute_decoder_and_unseen_vectors_change_only_the_class(family: str, tmp_path: Path) -> None:
    store, seen = Store(tmp_path), clouds([0, 1, 2], 40, seed=0)
    settings = {"hidden": 16, "latent_size": 4, "batch": 16, "critic_iter": 2, "lr": 1e-3}
    data = TrainingData(items=seen.features, labels=seen.labels, num_classes=3, class_vectors=VECTORS)
    part = GeneratorPart(family=family, kimg=0.256, settings=settings)
    steps = train_to_mark(part, data=data, inputs=["x"], cls=None, seed=0, precision="fp32", device="cpu", store=store)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            mark = end.value
            break
    own, length = TfVaegan, float(VECTORS.norm(dim=1).mean())
    found = reader_of_mark(mark.entry, length=length)
    source = Source(key=mark.key, label=0, sampler=lambda: load_sampler(mark.entry))
    assert mark_of(source, store) == mark.entry
    model = load_sampler(mark.entry)
    assert isinstance(model, own)
    read = found(seen.features)
    assert torch.allclose(read.scaled.amin(0), torch.zeros(6)) and torch.allclose(read.scaled.amax(0), torch.ones(6))
    if family == "tf_vaegan":
        decoder = model.ema.attributes
        assert decoder is not None
        torch.testing.assert_close(read.embedded, decoder(read.scaled))
        torch.testing.assert_close(found.vectors, VECTORS / VECTORS.norm(dim=1, keepdim=True))
    else:
        torch.testing.assert_close(found.vectors, VECTORS / length)
    shown = found.shown(seen.features, "embedded")
    assert shown.shape == (120, 6 + 16 + 3) and torch.equal(found.shown(seen.features, "features"), read.scaled)
    # Told the vector of a class that it has seen, it draws what it draws of that class; told another one, something else.
    unseen = unseen_sources(source, mark.entry, torch.stack([VECTORS[0], VECTORS[2] + 1.0]) / length, ("d", "e"), device="cpu")
    drawn = {cls: its.sampler().sample(its.label, 8, 3, truncation=1.0, backgrounds=None).items for cls, its in unseen.items()}
    torch.testing.assert_close(drawn["d"], model.sample(0, 8, 3).items)
    assert not torch.allclose(drawn["e"], model.sample(1, 8, 3).items)
    assert unseen["d"].key == unseen["e"].key != unseen_sources(source, mark.entry, VECTORS[:2], ("d", "e"), device="cpu")["d"].key


def test_a_router_comes_back_from_its_files_and_names_its_embedding() -> None:
    vectors = torch.eye(3)
    given = EmbeddingReader(width=6, hidden=5, vectors=vectors, unit=True, length=2.0)
    head = torch.nn.Linear(14, 4)
    own = Router(reader=given, head=head, seen=("a", "b", "c"), unseen=("d",), attributes=NAMES.attributes, uses="embedded", threshold=0.25)
    back = make_router(own.outline(), load(save(own.state())))
    features = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    for ours, theirs in zip(own.answer(features), back.answer(features), strict=True):
        assert torch.equal(ours, theirs)
    assert back.outline() == own.outline()
    assert own.named(torch.tensor([0.5, 0.0, 1.0])) == {"light": 1.0, "grain": 0.0, "rust": 2.0}


def test_an_alarm_is_right_for_any_unseen_class_and_wrong_for_a_seen_one() -> None:
    inf = torch.inf
    logits = torch.tensor([[2.0, 0, -inf, -inf], [2, 0, -inf, -inf], [0, 2, -inf, -inf], [2, 0, -inf, -inf], [0, 2, -inf, -inf], [0, 2, -inf, -inf]])
    said = {
        "logits": logits,
        "labels": torch.tensor([0, 0, 1, 2, 2, 3]),
        "is_unseen": torch.tensor([False, True, False, True, False, True]),
        "dissimilarity": torch.tensor([0.1, 0.6, 0.2, 0.9, 0.5, 0.7]),
    }
    values, confused = router_scores(said, [2, 3], by_threshold=True, split="val")
    assert values["val_seen"] == pytest.approx((0.5 + 1.0) / 2) and values["val_unseen"] == pytest.approx((0.5 + 1.0) / 2)
    assert values["val_harmonic_mean"] == pytest.approx(0.75) and values["val_auc_unseen"] == pytest.approx(8 / 9)
    assert values["val_zsl_accuracy"] is None and confused is None
    assert (values["val_unseen_found"], values["val_alarm_harmonic_mean"]) == (values["val_unseen"], values["val_harmonic_mean"])
    named, table = router_scores({**said, "logits": torch.eye(4)[[0, 1, 1, 2, 3, 3]]}, [2, 3], by_threshold=False, split="test")
    assert named["test_seen"] == pytest.approx(0.75) and named["test_unseen"] == pytest.approx(0.75) and table is not None
    assert table == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 1]]
    # Of class 2 one of two images, and that of class 3, are called unseen, under whichever name.
    assert named["test_unseen_found"] == pytest.approx(0.75) and named["test_alarm_harmonic_mean"] == pytest.approx(0.75)
    none, _ = router_scores({**said, "is_unseen": torch.zeros(6, dtype=torch.bool)}, [2, 3], by_threshold=False, split="test")
    assert none["test_unseen_found"] == 0.0 and none["test_alarm_harmonic_mean"] == 0.0


def test_a_feature_that_training_never_varied_says_nothing_elsewhere_either() -> None:
    seen = clouds([0, 1, 2], 20, seed=0)
    seen.features[:, 5] = 100.0
    read = plain_reader(seen.features, seen.labels)
    strange = seen.features.clone()
    strange[:, 5] += 7.0
    torch.testing.assert_close(read(strange).scaled, read(seen.features).scaled)
    assert bool(read(strange).scaled.isfinite().all())


@pytest.mark.parametrize(
    ("amount", "count"),
    [
        (Amount(kind="per_class", value=1800), 1800),
        (Amount(kind="top_up_to", value=50), 50),
        (Amount(kind="multiple", value=2.0), 60),
        (Amount(kind="fraction", value=0.5), 30),
        (Amount(kind="balance"), 40),
    ],
)
def test_an_amount_beside_real_images_is_taken_beside_those_of_a_mean_seen_class(amount: Amount, count: int) -> None:
    assert unseen_count(amount, [40, 20, 30]) == count
