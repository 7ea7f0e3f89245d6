"""How generators are told the class, from the study file to the recipe: what goes without saying, and what cannot be had."""

from pathlib import Path

import pytest

from search.studies.checks import problems
from search.studies.recipes import build_recipe, paper_params
from search.studies.settings import Resolved
from search.studies.study import Study, StudyError
from search.studies.study_file import parse_study
from trainables.conditioning.attributes import OWN_TABLES, TEMPLATE
from trainables.recipe import ConditioningPart

RESOLVED = Resolved(extractor="inspector", precision="fp32", fingerprint="f" * 32)
FOLDER = "study: s\ndata: {dataset: image_folder, path: pictures}\nspace:\n  generator.family: [dcgan, wgan_gp]\n"
OWN = "study: s\nspace:\n  generator.family: [dcgan, wgan_gp, cutpaste]\n"


def complaints(text: str) -> list[str]:
    with pytest.raises(StudyError) as caught:
        parse_study(text, "s.yaml")
    return str(caught.value).splitlines()


def kinds(study: Study, family: str) -> list[object]:
    return study.space.names()[f"generator.{family}.conditioning"].grid(0)


def test_a_study_without_attributes_tells_by_one_hot_vectors_without_saying_so() -> None:
    study = parse_study(FOLDER, "s.yaml")
    assert kinds(study, "dcgan") == kinds(study, "wgan_gp") == ["one_hot"]
    assert not [name for name in study.space.names() if ".ce_" in name]
    again = parse_study(study.to_yaml(), "study.yaml")
    assert again.to_plain() == study.to_plain() and kinds(again, "dcgan") == ["one_hot"]


def test_a_data_set_with_attributes_leaves_the_choice_to_the_search(tmp_path: Path) -> None:
    assert kinds(parse_study(OWN, "s.yaml"), "dcgan") == ["one_hot", "attributes", "learned", "blend"]
    named = parse_study(FOLDER.replace("path: pictures", f"path: pictures, attributes: {tmp_path / 'own.csv'}"), "s.yaml")
    assert kinds(named, "wgan_gp") == ["one_hot", "attributes", "learned", "blend"]
    again = parse_study(named.to_yaml(), "study.yaml")
    assert again.to_plain() == named.to_plain()


def test_what_needs_attributes_is_refused_where_there_are_none() -> None:
    said = complaints(
        FOLDER
        + """  generator.dcgan.conditioning: [one_hot, learned, blend]
  generator.wgan_gp:
    ce_blend: 0.3
search:
  try:
    - {generator.family: wgan_gp, generator.wgan_gp.conditioning: attributes}
"""
    )
    cure = f"the study has none; copy {TEMPLATE}, fill a row for each class and name it in data.attributes, or take one_hot"
    assert said[0] == f"s.yaml:5: space.generator.dcgan.conditioning: learned, blend: made from attribute vectors of the classes, and {cure}"
    assert said[1].startswith("s.yaml:7: space.generator.wgan_gp.ce_blend: ce_blend: made from attribute vectors")
    assert said[2].startswith("s.yaml:10: search.try[0].generator.wgan_gp.conditioning: attributes: made from attribute vectors")
    assert len(said) == 3


def test_a_family_or_a_mode_that_is_not_told_by_vectors_says_so() -> None:
    assert complaints(f"{OWN}  generator.cutpaste.conditioning: learned\n") == [
        "s.yaml:4: space.generator.cutpaste.conditioning: cutpaste cannot be told the class by vectors; drop this line"
    ]
    cure = "add it there, or drop this line"
    assert complaints(f"{OWN}  generator.dcgan: {{class_mode: [per_class, pooled], conditioning: learned}}\n") == [
        f"s.yaml:4: space.generator.dcgan.conditioning: has no effect: generator.dcgan.class_mode leaves conditional out; {cure}"
    ]
    assert complaints(f"{OWN}  generator.wgan_gp: {{conditioning: learned, ce_blend: 0.2}}\n") == [
        f"s.yaml:4: space.generator.wgan_gp.ce_blend: has no effect: generator.wgan_gp.conditioning leaves blend out; {cure}"
    ]
    said = complaints(f"{OWN}search: {{try: [{{generator.family: dcgan, generator.dcgan.conditioning: blend}}]}}\n")
    assert said[0].endswith("does not apply beside the other settings; it does where generator.dcgan.class_mode is conditional")


def test_a_point_becomes_the_recipe_s_conditioning() -> None:
    study = parse_study(OWN, "s.yaml").resolve(RESOLVED)
    usual = {point["generator.family"]: build_recipe(study, point).generator for point in paper_params(study)}
    assert [part.conditioning if part else 0 for part in usual.values()] == [None, ConditioningPart(), None]
    told = {"generator.family": "dcgan", "generator.dcgan.class_mode": "conditional", "generator.dcgan.conditioning": "blend"}
    part = build_recipe(study, study.space.defaults({**told, "generator.dcgan.ce_blend": 0.25})).generator
    assert part is not None and part.conditioning == ConditioningPart(kind="blend", ce_blend=0.25)
    assert set(part.settings) & {"conditioning", "ce_blend", "ce_rec_weight", "ce_kl_weight"} == set()


def test_the_csv_is_read_while_the_study_is_checked_and_its_classes_once_they_are_known(tmp_path: Path) -> None:
    rows = OWN_TABLES["procedural"].read_text(encoding="utf-8").replace("patches,0,1", "patches,zero,1").replace("\ninclusion,", "\ninclusoin,")
    (tmp_path / "own.csv").write_text(rows, encoding="utf-8")
    study = parse_study(f"{OWN}data: {{attributes: {tmp_path / 'own.csv'}}}\n", "s.yaml")
    line = 1 + rows.splitlines().index(next(row for row in rows.splitlines() if row.startswith("patches")))
    found = [("data.attributes", f"{tmp_path / 'own.csv'}:{line}: class patches, column Color D: white: 'zero' is not a number")]
    assert problems(study) == found
    (tmp_path / "own.csv").write_text(rows.replace("zero", "0"), encoding="utf-8")
    assert problems(study) == []
    counts = {cls: {"train": 9, "val": 3, "test": 3} for cls in ("crazing", "inclusion", "patches", "rust", "defect_free")}
    assert problems(study, counts) == [
        ("data.attributes", "no row for class inclusion; did you mean it by inclusoin?"),
        ("data.attributes", "no row for class rust; add one"),
    ]


def test_too_few_images_are_found_once_the_images_are_split() -> None:
    study = parse_study("study: s\nspace: {generator.family: dcgan}", "s.yaml")
    counts = {"crazing": {"train": 1, "val": 1, "test": 1}, "patches": {"train": 9, "val": 1, "test": 1}, "defect_free": {"train": 0}}
    found = problems(study, counts)
    assert {name for name, _ in found} == {"space.generator.dcgan.class_mode"}
    assert "dcgan: a model for each class needs at least 2 training images of each class, and crazing has 1;" in found[0][1]
