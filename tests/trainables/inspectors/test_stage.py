"""The inspector stages: made once for a key, continued bit for bit after an interruption, judged apart."""

from collections.abc import Generator
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from spaces.inspectors import task_of
from trainables.errors import SettingsError
from trainables.inspectors import INSPECTORS, training
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.stage import STAGE, Inspected, inspect, inspector_key, judge, load_inspector, read_predictions
from trainables.inspectors.training import features, predict
from trainables.progress import Progress
from trainables.recipe import InspectorPart
from trainables.registry import OPEN
from trainables.store import Store

LARGE = ("resnet50", "efficientnet_v2_s", "inception_v3")
"""Inspectors of twenty million parameters, which train for seconds even on four images."""
KINDS = [kind.replace(OPEN, "test_resnet") for kind in INSPECTORS if task_of(kind) == "classify"]
"""Inspectors that are taught by labels alone; those that need masks are tested by themselves."""
SIZES_PX = {"inception_v3": 64}
"""Where 16 px are too few."""


def labelled(count: int, seed: int, size_px: int = 16) -> LabelledImages:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, size_px, size_px), dtype=torch.uint8, generator=generator)
    return LabelledImages(images=images, labels=torch.arange(count) % 3)


def stage(store: Store, *, kind: str = "fcn", seed: int = 1, save_every_s: float = 120.0, **settings: object) -> Generator[Progress, None, Inspected]:
    own: dict[str, object] = {"width": 8} if kind == "fcn" else {}
    size_px = SIZES_PX.get(kind, 16)
    return inspect(
        InspectorPart(kind=kind, settings={"epochs": 1, "min_steps": 6, "batch": 4, **own, **settings}),
        real=labelled(9, 0, size_px),
        synthetic=labelled(6, 1, size_px),
        validation=labelled(12, 2, size_px),
        inputs=["split", "pool"],
        num_classes=3,
        seed=seed,
        precision="fp32",
        device="cpu",
        store=store,
        save_every_s=save_every_s,
    )


def finish(running: Generator[Progress, None, Inspected]) -> tuple[list[Progress], Inspected]:
    seen = []
    while True:
        try:
            seen.append(next(running))
        except StopIteration as end:
            return seen, end.value


def test_a_trained_inspector_is_found_again_with_its_predictions(tmp_path: Path) -> None:
    store = Store(tmp_path)
    seen, made = finish(stage(store))
    assert seen and not made.reused
    again, found = finish(stage(store))
    assert again == [] and found.reused and found.entry.attempt == made.entry.attempt
    inspector = load_inspector(found.entry, "cpu")
    predictions = read_predictions(found.entry)
    assert torch.equal(predict(inspector, labelled(12, 2).images)["logits"], predictions["logits"])
    assert torch.equal(predictions["labels"], labelled(12, 2).labels)
    assert features(inspector, labelled(2, 3).images).shape == (2, 8)


def test_costs_are_measured_by_whoever_trained(tmp_path: Path) -> None:
    store = Store(tmp_path)
    _, made = finish(stage(store))
    _, found = finish(stage(store))
    assert found.costs == made.costs
    assert made.costs["inspector_params_m"] == pytest.approx((49 * 8 + 25 * 8 * 16 + 9 * 16 * 8 + 2 * 32 + 27) / 1e6)
    assert min(made.costs.values()) > 0
    assert set(made.costs) == {f"inspector_{name}" for name in ("params_m", "gmadds", "ms_per_image", "s", "peak_memory_gib")}
    assert {"seconds", "device", "peak_memory_gib"} <= set(made.entry.info)


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in LARGE else kind for kind in KINDS])
def test_an_interrupted_training_ends_with_the_same_bits(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = finish(stage(Store(tmp_path / "whole"), kind=kind, min_steps=4))
    monkeypatch.setattr(training, "REPORT_EVERY_S", 0.0)
    store = Store(tmp_path / "cut")
    running = stage(store, kind=kind, min_steps=4, save_every_s=0.0)
    for _ in range(2):
        next(running)
    running.close()
    assert store.lookup(STAGE, whole.key) is None, "nothing half-trained is visible"
    rest, continued = finish(stage(store, kind=kind, min_steps=4))
    assert [progress.metrics["step"] for progress in rest] == [2.0, 3.0, 4.0]
    assert continued.key == whole.key
    assert continued.entry.files == whole.entry.files, "files carry their hashes: weights and logits are equal bit for bit"
    assert store.read_scratch(f"{STAGE}-{whole.key}.safetensors") is None, "the rolling checkpoint goes once the stage is published"


def test_the_key_tells_apart_what_decides_the_result() -> None:
    def key(
        kind: str = "fcn", inputs: tuple[str, ...] = ("a",), size_px: int = 32, precision: str = "fp32", seed: int = 0, **settings: object
    ) -> str:
        part = InspectorPart(kind=kind, settings=settings)
        return inspector_key(part, inputs=inputs, size_px=size_px, channels=1, num_classes=3, precision=precision, seed=seed)

    keys = [key(), key("resnet18"), key(inputs=("a", "b")), key(size_px=64), key(precision="bf16"), key(seed=1), key(epochs=3)]
    assert len(set(keys)) == len(keys)
    assert key(epochs=50) == key(), "a default spelled out is the same inspector"


def test_the_test_split_is_read_as_a_stage_of_its_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    _, made = finish(stage(store))
    assert store.keys("test_predictions") == []
    test = labelled(7, 5)
    first = judge(made.entry, test=test, inputs=["split"], device="cpu", store=store)
    again = judge(made.entry, test=test, inputs=["split"], device="cpu", store=store)
    assert (first.reused, again.reused) == (False, True)
    assert torch.equal(read_predictions(first.entry)["logits"], predict(load_inspector(made.entry, "cpu"), test.images)["logits"])
    assert torch.equal(read_predictions(made.entry)["labels"], labelled(12, 2).labels), "the inspector's own entry keeps to validation"


def test_weights_of_a_file_begin_a_training_and_are_named_by_their_content(tmp_path: Path) -> None:
    def begun(file: Path, **settings: object) -> Inspected:
        # With next to no learning rate the trained weights are still the first ones.
        return finish(stage(store, kind="timm:test_resnet", lr=1e-6, weight_decay=0.0, min_steps=1, weights=str(file), **settings))[1]

    store, kind = Store(tmp_path / "store"), "timm:test_resnet"
    file, copy = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    given = {f"{name}": torch.full_like(value, 0.5) for name, value in timm.create_model("test_resnet").state_dict().items()}
    save_file(given, file)
    made = begun(file)
    own = load_inspector(made.entry, "cpu").network.state_dict()
    learned = [name for name, value in given.items() if value.ndim == 4]
    assert learned and all(torch.allclose(own[f"trunk.network.{name}"], given[name], atol=1e-4) for name in learned)
    copy.write_bytes(file.read_bytes())
    file.unlink()
    assert begun(copy).reused, "a file that moved is the same file; a trained inspector needs it no more"
    save_file({name: value * 2 for name, value in given.items()}, copy)
    assert not begun(copy).reused
    assert finish(stage(store, kind=kind, lr=1e-6, weight_decay=0.0, min_steps=1))[1].key != made.key


def test_an_earlier_inspector_s_weights_begin_a_training(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    _, first = finish(stage(store))
    file = first.entry.local_path("weights.safetensors")
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(file.read_bytes())
    _, gone_on = finish(stage(store, seed=2, start_from=str(file), lr=1e-6))
    _, anew = finish(stage(store, seed=2, lr=1e-6))
    before, after, other = (load_inspector(found.entry, "cpu").network.head.weight for found in (first, gone_on, anew))  # type: ignore[union-attr]
    assert torch.allclose(before, after, atol=1e-3) and not torch.allclose(before, other, atol=1e-2), "steps of 1e-6 leave weights where they began"
    _, again = finish(stage(store, seed=2, start_from=str(moved), lr=1e-6))
    assert again.reused, "what counts is the content, wherever it lies"
    with pytest.raises(SettingsError, match=r"start_from: .*tensors do not fit: .*expected 4x1x7x7, found 8x1x7x7"):
        finish(stage(store, start_from=str(file), width=4))
