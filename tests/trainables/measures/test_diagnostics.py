"""Train on synthetic, test on real, and the reverse: what is trained on what, under which key, and at no cost of the trial."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainables.datasets.packs import fingerprint
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.stage import read_predictions
from trainables.progress import Scores
from trainables.recipe import Amount, GeneratorPart, InspectorPart, Recipe, ScorePart, SynthesisPart
from trainables.store import Store
from trainables.tasks import TaskName
from trainables.trial import run_trial

DATA = DataSettings(size_px=16, procedural=ProceduralSettings(per_class=10, defect_free=16))
FCN = InspectorPart(kind="fcn", settings={"width": 8, "min_steps": 2, "epochs": 1, "batch": 16, "finetune_epochs": 1})
DCGAN = GeneratorPart(family="dcgan", kimg=0.064, settings={"width": 4, "batch": 32, "class_mode": "conditional", "latent_dim": 8})
RECIPE = Recipe(
    data=DATA,
    fingerprint=fingerprint(DATA),
    generator=DCGAN,
    synthesis=SynthesisPart(amount=Amount(kind="per_class", value=3)),
    inspector=FCN,
    scores=ScorePart(extractor="random", diagnostics=True),
)


def run(own: Recipe, store: Store) -> Scores:
    *_, last = run_trial(own, store)
    assert isinstance(last, Scores)
    return last


def test_each_is_trained_on_one_kind_and_tested_on_the_other(tmp_path: Path, trained: list[tuple[LabelledImages, LabelledImages | None]]) -> None:
    store = Store(tmp_path)
    scores = run(RECIPE, store)
    (kept, made), (real, nothing), (_, beside) = trained
    free = scores.classes.index("defect_free")
    each = int((real.labels == 0).sum())
    assert nothing is None and made is not None and beside is not None
    assert set(kept.labels.tolist()) == {free}, "what the generator does not make keeps its real images"
    assert torch.bincount(made.labels).tolist() == [each] * free and len(beside.labels) == 3 * free, "whatever the trial's amount"
    assert torch.equal(made.images[made.labels == 2][:3], beside.images[beside.labels == 2])

    tstr, _, trts = [store.lookup(stage, use.key) for use, stage in zip(_diagnostics(scores), STAGES, strict=True)]
    assert tstr is not None and trts is not None
    told, asked = read_predictions(tstr), read_predictions(trts)
    assert set(told["labels"].tolist()) == set(range(free + 1)) and (asked["labels"] == 0).sum() == each
    assert (asked["labels"] == free).sum() == (told["labels"] == free).sum(), "and so on the other side"
    for name, said in (("val_tstr_accuracy", told), ("val_trts_accuracy", asked)):
        right = (said["logits"].argmax(1) == said["labels"]).float().mean()
        assert scores.values[name] == pytest.approx(float(right), abs=1e-6)
    assert scores.conditions["diagnostics_images"] == each * free


STAGES = ("inspector", "inspector", "synthetic_predictions")


def _diagnostics(scores: Scores) -> list:  # type: ignore[type-arg]
    return [use for use in scores.stages if use.stage == "diagnostics"]


def test_they_change_nothing_else_and_cost_nothing(tmp_path: Path) -> None:
    looked = run(RECIPE, Store(tmp_path))
    plain = run(replace(RECIPE, scores=ScorePart(extractor="random")), Store(tmp_path))
    assert all(use.reused for use in plain.stages) and not _diagnostics(plain)
    own = {"val_tstr_accuracy", "val_trts_accuracy"}
    assert looked.values.keys() - plain.values.keys() == own
    assert {name: value for name, value in looked.values.items() if name not in own} == plain.values
    more = run(replace(RECIPE, synthesis=SynthesisPart(amount=Amount(kind="per_class", value=5))), Store(tmp_path))
    assert all(use.reused for use in _diagnostics(more)), "another amount asks for the same"


def test_trts_asks_the_inspector_of_the_baseline(tmp_path: Path) -> None:
    plain = InspectorPart(kind="fcn", settings={name: value for name, value in FCN.settings.items() if name != "finetune_epochs"})
    own = replace(RECIPE, inspector=plain)
    looked, baseline = run(own, Store(tmp_path)), run(replace(own, generator=None, synthesis=None), Store(tmp_path))
    (key,) = [use.key for use in baseline.stages]
    assert key in [use.key for use in _diagnostics(looked)]
    assert "val_tstr_accuracy" not in baseline.values


@pytest.mark.parametrize(("task", "kind", "names"), [("detect", "segdecnet", {"val_tstr_ap", "val_trts_ap"})])
def test_other_tasks_by_their_first_score(tmp_path: Path, task: TaskName, kind: str, names: set[str]) -> None:
    small = InspectorPart(kind=kind, settings={"width": 0.05, "min_steps": 2, "epochs": 1, "batch": 4})
    cutpaste = GeneratorPart(family="cutpaste", kimg=0.001)
    own = replace(RECIPE, task=task, inspector=small, generator=cutpaste, data=replace(DATA, backgrounds="folder"))
    own = replace(own, fingerprint=fingerprint(own.data))
    scores = run(own, Store(tmp_path))
    assert {name for name in scores.values if "tstr" in name or "trts" in name} == names
    assert all(0.0 <= (scores.values[name] or -1.0) <= 1.0 for name in names)
