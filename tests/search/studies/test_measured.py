"""Scores that a study asks for beside those of its task: which objectives are taken, what is refused and how, and what a recipe is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from search.studies.measured import group_problems, measured_problems, read_groups
from search.studies.objectives import direction_of, objective_problem
from search.studies.recipes import baseline_params, build_recipe
from search.studies.schema import json_schema
from search.studies.settings import Resolved
from search.studies.study import Study, StudyError
from search.studies.study_file import parse_study
from trainables.datasets.packs import pack_dataset
from trainables.datasets.procedural import draw
from trainables.datasets.splits import split
from trainables.errors import SettingsError
from trainables.scores.names import CORRUPTIONS
from trainables.settings import from_plain, to_plain
from trainables.store import Store

SEGMENT = "study: s\ntask: segment\nspace: {generator.family: dcgan}\nsearch: {trials: 9}\n"
CLASSIFY = "study: c\nspace: {generator.family: dcgan, inspector.kind: fcn}\nsearch: {trials: 9}\n"


def study(text: str) -> Study:
    return parse_study(text, "study.yaml")


def refusal(text: str) -> str:
    with pytest.raises(StudyError) as caught:
        study(text)
    return str(caught.value)


def test_groups_and_robustness_may_be_objectives() -> None:
    found = study(SEGMENT + "objectives: [val_iou@small, val_iou@large.scratches, val_robustness.blur, val_texture_lbp, val_memorisation_random]\n")
    assert [item.direction for item in found.objectives] == ["maximize"] * 3 + ["minimize"] * 2
    assert study(CLASSIFY + "objectives: {val_inception_score_inspector: maximize, val_texture_glcm.scratches: minimize}\n").objectives
    assert direction_of("val_fp@small") == "minimize"


@pytest.mark.parametrize(
    ("score", "task", "said"),
    [
        ("val_iou@tiny", "segment", "no such group as tiny; there are small, medium, large; scores.columns names columns of data.groups"),
        ("val_kid@small", "segment", "val_kid is not measured by group"),
        ("val_accuracy@small.scratches", "classify", "val_accuracy.<class> is not measured by group"),
        ("val_accuracy@line=3.5", "classify", "in a column's value, write %2E for a point"),
        ("val_accuracy@shift=late", "classify", "no such group as shift=late; there are small, medium, large, line=<value>"),
        ("val_harmonic_mean@small", "zero_shot", "is not measured by group"),
        ("val_robustness.blurr", "classify", "no such corruption; did you mean val_robustness.blur?"),
        ("test_iou@small", "segment", "the test split is read once"),
        ("val_inception_score_inspector", "segment", "a score of task classify"),
        ("val_inception_score_inspector.scratches", "classify", "is not measured class by class"),
        ("val_texture_lbp", "zero_shot", "a score of task classify"),
    ],
)
def test_what_is_not_measured_is_refused(score: str, task: Any, said: str) -> None:
    columns = ("line",) if "shift" in score else ()
    assert said in str(objective_problem(score, None, ("inspector",), task, columns=columns))


def test_a_direction_is_that_of_the_score() -> None:
    assert "expected maximize" in str(objective_problem("val_iou@small", "minimize", ("inspector",), "segment"))
    assert objective_problem("val_accuracy@line=3", "maximize", ("inspector",), "classify", columns=("line",)) is None


def test_corruptions_are_named_or_all_of_them() -> None:
    from search.studies.settings import ScoreSettings

    for text, expected in ((True, CORRUPTIONS), ("all", CORRUPTIONS), (False, ()), (["noise"], ("noise",)), ([], ())):
        made = from_plain(ScoreSettings, {"robustness": text})
        assert made.corruptions == expected and from_plain(ScoreSettings, to_plain(made)) == made
    with pytest.raises(SettingsError, match="robustness: 'blurr' is no corruption; did you mean blur"):
        ScoreSettings(robustness=("blurr",))


def test_a_search_pays_only_for_the_robustness_that_it_aims_at() -> None:
    settled = Resolved(extractor="inspector", precision="fp32", fingerprint="f")
    asked = study(CLASSIFY + "scores: {extractor: inspector, robustness: [noise, blur]}\nobjectives: [val_accuracy, val_robustness.gradient]\n")
    point = baseline_params(asked.space, ("plain",))[0]
    searching, judged = (build_recipe(asked.resolve(settled), point, judge=judge).scores.robustness for judge in (False, True))
    assert searching == ("gradient",) and judged == ("noise", "blur", "gradient")
    plain = study(CLASSIFY + "scores: {extractor: inspector}\n").resolve(settled)
    assert build_recipe(plain, point, judge=True).scores.robustness == ()


def test_a_router_has_neither() -> None:
    text = "study: z\ntask: zero_shot\nzero_shot: {unseen: [class_1, class_2]}\nspace: {generator.family: tf_vaegan}\n"
    text += "scores: {columns: [line], robustness: true}\n"
    places = [place for place, _ in measured_problems(study(text))]
    assert places[:2] == ["scores.columns", "scores.robustness"]


def images(root: Path) -> Path:
    for cls in ("patches", "scratches"):
        for seed in range(15):
            path = root / cls / f"{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw(cls, size_px=48, seed=seed).pixels).save(path)
    return root


def test_columns_are_checked_against_the_table_and_the_images(tmp_path: Path) -> None:
    root = images(tmp_path / "images")
    names = [f"{cls}/{seed}.png" for cls in ("patches", "scratches") for seed in range(15)]
    table = tmp_path / "parts.csv"
    table.write_text("\n".join(["path,group,Line", *(f"{name},{i},{'A' if i % 2 else 'B 2.5'}" for i, name in enumerate(names))]), encoding="utf-8")
    data = f"data: {{dataset: image_folder, path: {root}, size_px: 32, groups: {table}}}\n"
    objectives = "objectives: [val_accuracy@line=B 2%2E5, val_accuracy@line=C, val_recall@small.patches]\n"
    asked = study(CLASSIFY + data + "scores: {columns: [LINE]}\n" + objectives)
    assert measured_problems(asked) == []
    _, pack = pack_dataset(asked.data, Store(tmp_path / "store"))
    columns = read_groups(asked, pack)
    assert columns is not None and columns.notes == [] and set(columns.values["line"]) == {"A", "B 2.5"}
    found = group_problems(asked, pack, split(pack, asked.data), columns)
    assert len(found) == 2 and "no validation image has line C" in found[0] and "A" in found[0]
    assert "val_recall@small.patches: no validation image of that size" in found[1]
    wrong = study(CLASSIFY + data + "scores: {columns: [lines]}\n")
    assert measured_problems(wrong) == [("scores.columns", f"{table}:1: no column lines; did you mean line?")]
    without = study(CLASSIFY + "scores: {columns: [line]}\n")
    assert "that is not given" in measured_problems(without)[0][1]


def test_the_schema_lists_them() -> None:
    listed = json_schema()["properties"]["objectives"]["anyOf"][0]["properties"]
    assert {"val_iou@small", "val_ap@large", "val_robustness.gradient", "val_texture_lbp", "val_memorisation_inspector"} <= set(listed)
    assert np.all([name.startswith(("val_", "generator_", "inspector_", "trial_", "acceptance")) for name in listed])
