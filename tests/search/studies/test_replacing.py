"""A study that replaces real training images is checked before anything is trained."""

import re

import pytest

from search.studies.replacing import replacement_problems
from search.studies.study_file import parse_study

TEXT = """
study: s
data: {dataset: procedural, size_px: 32, backgrounds: folder}
space:
  generator:
    family: [dcgan]
    dcgan: {class_mode: conditional, conditioning: one_hot}
  synthesis: {replaces: %s, per_class: 20}
  inspector: {kind: [fcn]}
scores: {extractor: random}
"""
COUNTS = {cls: {"train": count, "val": 5, "test": 5} for cls, count in (("a", 10), ("b", 30), ("defect_free", 60))}


def told(replaces: str, *sets: str, counted: bool = True) -> list[str]:
    study = parse_study(TEXT % replaces, "s.yaml", sets)
    return [f"{name}: {text}" for name, text in replacement_problems(study, COUNTS if counted else None)]


@pytest.mark.parametrize("replaces", ["nothing", "defects", "all", "[nothing, defects]"])
def test_what_can_be_done_is_let_through(replaces: str) -> None:
    assert told(replaces) == [] and told(replaces, counted=False) == []


@pytest.mark.parametrize(
    ("replaces", "sets", "said"),
    [
        ("defects", ["space.generator.family=[dcgan,smote]"], "smote makes features of an inspector"),
        ("all", ["space.generator.family=[dcgan,pe_gan]"], "pe_gan puts defects into real defect-free images"),
        ("all", ["space.generator.family=[cutpaste]"], "cutpaste puts defects into real defect-free images"),
        ("all", ["task=segment", "space.inspector.kind=[deeplabv3plus]"], "task segment can take defects"),
        ("all", ["space.generator.dcgan.conditioning=attributes"], "has no attributes; take one_hot"),
        ("defects", ["space.inspector.fcn.finetune_epochs=5"], "expected 0"),
        ("[nothing, defects]", ["space.inspector.fcn.synthetic_weight=0"], "0 would teach nothing"),
        ("defects", ["space.synthesis.amount=fraction", "space.synthesis.fraction={low: 0.0, high: 0.5}"], "0 puts no synthetic image"),
        ("defects", ["space.synthesis.amount=multiple", "space.synthesis.multiple=0.05"], "0.05 puts no synthetic image .* of a;"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(replaces: str, sets: list[str], said: str) -> None:
    (text,) = told(replaces, *sets)
    assert re.search(said, text) and text.startswith("space.")


def test_pasted_defects_may_replace_defects() -> None:
    assert told("defects", "space.generator.family=[cutpaste,pe_gan]") == []


def test_balance_leaves_no_class_empty_once_real_images_are_gone() -> None:
    assert told("defects", "space.synthesis.amount=balance") == []


def test_zero_shot_keeps_its_real_images() -> None:
    study = parse_study(
        """
study: s
task: zero_shot
data: {dataset: procedural, size_px: 32}
zero_shot: {unseen: [crazing, patches]}
space:
  generator: {family: [vaegan_ce]}
  synthesis: {replaces: defects, per_class: 20}
""",
        "s.yaml",
    )
    ((name, text),) = replacement_problems(study)
    assert name == "space.synthesis.replaces" and "task zero_shot" in text
