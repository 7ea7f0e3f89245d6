"""Weights of an earlier inspector in one that tells other classes apart: outputs go over by name, number by number."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from trainables.errors import SettingsError
from trainables.inspectors import INSPECTORS
from trainables.inspectors.base import InspectorNetwork, LabelledImages
from trainables.inspectors.earlier_classes import carry_over, change_of
from trainables.inspectors.local_weights import read_classes
from trainables.inspectors.stage import Inspected, inspect, load_inspector
from trainables.recipe import InspectorPart
from trainables.registry import pick
from trainables.store import Store

THEN = ("crazing", "inclusion", "scratches")
NOW = ("inclusion", "patches", "scratches", "crazing")


def network(kind: str, num_classes: int, seed: int, **settings: Any) -> InspectorNetwork:
    chosen = pick(INSPECTORS, kind, "inspector")
    torch.manual_seed(seed)
    made: InspectorNetwork = chosen(chosen.Config(**settings), size_px=32, channels=1, num_classes=num_classes)
    return made


def train(store: Store, classes: Sequence[str], **settings: object) -> Inspected:
    count = len(classes)
    images = torch.randint(0, 256, (4 * count, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    data = LabelledImages(images=images, labels=torch.arange(4 * count) % count)
    running = inspect(
        InspectorPart(kind="fcn", settings={"epochs": 1, "min_steps": 1, "batch": 8, "width": 4, "lr": 1e-6, "weight_decay": 0.0, **settings}),
        real=data,
        synthetic=None,
        validation=data,
        inputs=["split", *classes],
        num_classes=count,
        classes=classes,
        seed=1,
        precision="fp32",
        device="cpu",
        store=store,
    )
    while True:
        try:
            next(running)
        except StopIteration as end:
            found: Inspected = end.value
            return found


@pytest.mark.parametrize(
    ("kind", "settings", "weight"),
    [("fcn", {"width": 4}, "head"), ("smp:unet", {"encoder": "tu-test_resnet"}, "network.network.segmentation_head.0")],
)
def test_rows_go_over_by_the_names_of_their_classes(kind: str, settings: dict[str, Any], weight: str) -> None:
    earlier, made = network(kind, 3, 1, **settings), network(kind, 4, 2, **settings)
    given, fresh = earlier.state_dict(), {name: value.clone() for name, value in made.state_dict().items()}
    carried = carry_over(given, THEN, made, NOW)
    for part in ("weight", "bias"):
        rows, was, new = (tensors[f"{weight}.{part}"] for tensors in (carried, given, fresh))
        assert rows.shape == (4, *was.shape[1:])
        for row, expected in zip(rows, (was[1], new[1], was[2], was[0]), strict=True):
            assert torch.equal(row, expected)
    others = [name for name in given if not name.startswith(weight)]
    assert others and all(carried[name] is given[name] for name in others)
    assert all(torch.equal(value, fresh[name]) for name, value in made.state_dict().items()), "the network itself is not touched"


def test_fewer_classes_drop_rows_and_equal_ones_stay_as_they_are() -> None:
    earlier, made = network("fcn", 3, 1, width=4), network("fcn", 2, 2, width=4)
    given = earlier.state_dict()
    fewer = carry_over(given, THEN, made, ("scratches", "crazing"))
    assert torch.equal(fewer["head.weight"], given["head.weight"][[2, 0]])
    assert change_of(THEN, ("scratches", "crazing")) == (("scratches", "crazing"), (), ("inclusion",))
    turned = carry_over(given, THEN, earlier, THEN[::-1])
    assert torch.equal(turned["head.bias"], given["head.bias"].flip(0))
    for then, now in ((THEN, THEN), (None, NOW), (THEN, ())):
        assert carry_over(given, then, made, now) == given, "nothing to go by, or nothing to do"


def test_a_trained_inspector_begins_with_one_of_fewer_classes(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    first = train(store, THEN)
    file = str(first.entry.local_path("weights.safetensors"))
    assert read_classes(file) == THEN
    grown = train(store, NOW, start_from=file)
    before, after = (load_inspector(found.entry, "cpu").network for found in (first, grown))
    head, was = after.state_dict()["head.weight"], before.state_dict()["head.weight"]
    assert torch.allclose(head[[0, 2, 3]], was[[1, 2, 0]], atol=1e-4), "one step of 1e-6 leaves them where they began"
    assert torch.allclose(after.state_dict()["trunk.0.weight"], before.state_dict()["trunk.0.weight"], atol=1e-4)
    assert read_classes(str(grown.entry.local_path("weights.safetensors"))) == NOW
    assert train(store, NOW, start_from=file).reused


def test_what_cannot_fit_is_refused_with_the_reason(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    file = str(train(store, THEN).entry.local_path("weights.safetensors"))
    chosen = pick(INSPECTORS, "fcn", "inspector")

    def said(path: str, width: int, num_classes: int | None) -> list[str]:
        found: list[str] = chosen.problems(chosen.Config(width=width, start_from=path), size_px=16, channels=1, num_classes=num_classes)
        return found

    assert said(file, 4, 7) == said(file, 4, 2) == said(file, 4, None) == []
    assert "trunk.0.weight: expected 8x1x7x7, found 4x1x7x7" in said(file, 8, 4)[0]
    nameless = str(tmp_path / "nameless.safetensors")
    save_file(load_file(file), nameless)
    assert read_classes(nameless) is None and said(nameless, 4, 3) == []
    (text,) = said(nameless, 4, 4)
    assert "head.weight: expected 4x4, found 3x4" in text and text.endswith("`tundish winner RUN --out FOLDER` writes does")
    with pytest.raises(SettingsError, match=r"start_from: .*weights.safetensors: tells crazing, .* of which none is among the classes here: a, b"):
        train(store, ("a", "b"), start_from=file)
