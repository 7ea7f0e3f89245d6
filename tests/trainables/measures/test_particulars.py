"""What is particular to a family: taken once, from each of its models, and stored as files."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.dcgan import Dcgan
from trainables.generators.pe_gan import PeGan, PeGanConfig
from trainables.inspectors.base import LabelledImages
from trainables.measures.particulars import Particulars, particulars
from trainables.scores.extractors import Extractor
from trainables.store import Store
from trainables.synthesis.blocks import Source

EXTRACTOR = Extractor(name="random", identity="flat", run=lambda images: images.float().flatten(1))


class Asked(PeGan):
    """Says what it was asked for."""

    def extra_scores(self, data: TrainingData, seed: int, *, features: Any, extractor: str) -> dict[str, float]:
        self.seen = data
        return {"images": float(len(data.items)), f"width_{extractor}": float(features(data.items).shape[1])}

    def extra_pictures(self, data: TrainingData, seed: int) -> dict[str, Tensor]:
        return {"faces": torch.full((2, 3, 1, 32, 32), 250, dtype=torch.uint8)}


def real() -> LabelledImages:
    """Ten images of each of two defect classes, and five of a third that is defect-free."""
    return LabelledImages(images=torch.zeros(25, 1, 32, 32, dtype=torch.uint8), labels=torch.tensor([0, 1] * 10 + [2] * 5))


def model() -> Asked:
    return Asked(PeGanConfig(base_width=4, n_res_blocks=0), Subject(shape=(1, 32, 32), num_classes=2))


def taken(sources: dict[str, Source], store: Store, **changes: Any) -> Particulars:
    arguments = {"inputs": ["split"], "seed": 1, "device": "cpu", "store": store, **changes}
    return particulars(Asked, sources, real(), EXTRACTOR, **arguments)  # type: ignore[arg-type]


def test_one_model_of_all_classes_is_asked_once_and_never_again(tmp_path: Path) -> None:
    loaded: list[Asked] = []

    def load() -> Asked:
        loaded.append(model())
        return loaded[-1]

    scenes = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)
    sources = {cls: Source(key="mark", label=label, sampler=load, backgrounds=scenes) for label, cls in enumerate(("a", "b"))}
    first = taken(sources, Store(tmp_path))
    assert first.scores == {"images": 20.0, "width_random": 1024.0}
    assert loaded[0].seen.labels.tolist() == [0, 1] * 10 and loaded[0].seen.num_classes == 2
    assert loaded[0].seen.backgrounds is scenes
    assert taken(sources, Store(tmp_path)) == first and len(loaded) == 1
    assert taken(sources, Store(tmp_path), seed=2).files != first.files and len(loaded) == 2


def test_a_model_for_each_class_sees_its_own_images_and_keeps_its_own_number(tmp_path: Path) -> None:
    models = {"a": model(), "b": model()}
    sources = {cls: Source(key=f"mark-{cls}", label=0, sampler=lambda cls=cls: models[cls]) for cls in models}  # type: ignore[misc]
    found = taken(sources, Store(tmp_path))
    assert found.scores == {
        "images": 10.0,
        "width_random": 1024.0,
        "images.a": 10.0,
        "width_random.a": 1024.0,
        "images.b": 10.0,
        "width_random.b": 1024.0,
    }
    assert [(len(one.seen.items), set(one.seen.labels.tolist())) for one in models.values()] == [(10, {0}), (10, {0})]
    (where,) = found.files.values()
    entry = Store(tmp_path).lookup(where["stage"], where["key"])
    assert entry is not None
    sheet = np.asarray(Image.open(io.BytesIO(entry.read(where["file"]))))
    assert sheet.shape == (2 + 4 * 34, 2 + 3 * 34, 3)  # two rows of each model
    assert sheet[10, 10].tolist() == pytest.approx([250] * 3, abs=4)
    assert sheet[0, 0].tolist() == pytest.approx([128] * 3, abs=30)


def test_a_family_without_particulars_makes_no_stage(tmp_path: Path) -> None:
    def never() -> Any:
        raise AssertionError("nothing has to be drawn")

    sources = {"a": Source(key="mark", label=0, sampler=never)}
    found = particulars(Dcgan, sources, real(), EXTRACTOR, inputs=[], seed=0, device="cpu", store=Store(tmp_path))
    assert found == Particulars() and not (tmp_path / "particulars").exists()
