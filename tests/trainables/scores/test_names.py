"""Names of scores: their directions, their extractors, and that a study can be checked without torch."""

import subprocess
import sys

import pytest

from trainables.registry import resolve
from trainables.scores import SCORES
from trainables.scores.names import (
    CORRUPTIONS,
    COSTS,
    DIAGNOSTICS,
    EXTRACTORS,
    SIZE_GROUPS,
    TASK_SCORES,
    ScoreName,
    column_group,
    full_name,
    group_label,
    grouped,
    overlap_names,
    parse_name,
    robustness_names,
    score_names,
    set_score_names,
)


def test_only_standard_inception_features_are_called_fid() -> None:
    assert "val_fid" in score_names("inception")
    assert not [name for extractor in ("inspector", "random") for name in score_names(extractor) if "fid" in name]
    assert {"val_kid_inspector", "val_frechet_inspector"} <= set(score_names("inspector"))


def test_directions_point_at_better() -> None:
    names = score_names("random", classes=("scratches",))
    assert names["val_accuracy"] == names["val_recall.scratches"] == names["acceptance_rate"] == "maximize"
    assert names["val_kid_random.scratches"] == names["inspector_gmadds"] == "minimize"
    assert names["val_coverage_random"] == names["val_manifold_recall_random.scratches"] == "maximize"


def test_the_recall_of_images_is_not_mistaken_for_that_of_an_inspector() -> None:
    assert not [name for name in score_names("inspector", classes=("a",)) if name.startswith(("val_recall_", "val_precision_"))]


def test_test_names_carry_no_costs() -> None:
    names = score_names("random", split="test")
    assert names and all(name.startswith("test_") for name in names)
    assert not set(names) & set(COSTS)


@pytest.mark.parametrize(
    ("alias", "extractor", "name"),
    [
        ("val_kid", "inspector", "val_kid_inspector"),
        ("val_kid.scratches", "random", "val_kid_random.scratches"),
        ("val_frechet", "inception", "val_fid"),
        ("val_accuracy", "random", "val_accuracy"),
    ],
)
def test_aliases_resolve_to_the_study_s_extractor(alias: str, extractor: str, name: str) -> None:
    assert full_name(alias, extractor) == name
    assert name in score_names(extractor, classes=("scratches",))


def test_an_unknown_extractor_is_refused() -> None:
    with pytest.raises(KeyError):
        score_names("vgg")
    with pytest.raises(KeyError):
        overlap_names("vgg")
    with pytest.raises(KeyError):
        set_score_names("vgg")


def test_every_task_has_its_scores() -> None:
    assert {"val_iou": "maximize", "val_iou.patches": "maximize", "val_pixel_accuracy": "maximize"}.items() <= score_names(
        "random", classes=("patches",), task="segment"
    ).items()
    detect = score_names("random", task="detect", classes=("patches",))
    assert detect["val_ap"] == "maximize" and detect["val_fp"] == detect["val_fn"] == "minimize"
    assert "val_recall.patches" not in detect and "val_kid_random.patches" in detect
    assert {"val_harmonic_mean", "val_auc_unseen"} <= set(score_names("random", task="zero_shot"))
    with pytest.raises(KeyError):
        score_names("random", task="count")


def test_only_the_test_split_has_oracles() -> None:
    oracles = [name for name in score_names("random", task="detect", split="test") if name.endswith("_oracle")]
    assert sorted(oracles) == [f"test_{base}_oracle" for base in ("f", "fn", "fp", "sensitivity", "specificity")]
    assert not [name for name in score_names("random", task="detect") if name.endswith("_oracle")]


def test_groups_have_the_scores_of_the_task_and_its_classes_alone() -> None:
    line = column_group("line", "3.5")
    names = score_names("random", classes=("a",), task="segment", groups=(*SIZE_GROUPS, line))
    assert names["val_iou@small"] == names[f"val_iou@{line}.a"] == "maximize"
    assert not [name for name in names if "@" in name and ("kid" in name or name in COSTS)]
    assert len([name for name in names if "@" in name]) == 4 * (len(TASK_SCORES["segment"]) + 1)


@pytest.mark.parametrize("base", ["iou", "kid_random", "f_oracle"])
@pytest.mark.parametrize("group", ["", "small", column_group("line", "3.5"), column_group("a@b", "x=y%.z")])
@pytest.mark.parametrize("cls", ["", "scratches", "rolled-in.scale", "a@b", "x_y"])
def test_a_name_comes_apart_into_what_it_was_made_of(base: str, group: str, cls: str) -> None:
    name = f"test_{base}.{cls}" if cls else f"test_{base}"
    name = grouped(name, group) if group else name
    assert parse_name(name) == ScoreName("test", base, group, cls)
    assert name.partition(".")[2] == cls, "readers that know no groups still find the class"


def test_costs_and_corruptions_come_apart_too() -> None:
    assert parse_name("generator_params_m") == ScoreName("", "generator_params_m", "", "")
    assert [parse_name(name).cls for name in robustness_names()] == list(CORRUPTIONS)


def test_a_column_s_value_is_read_back_as_it_was_written() -> None:
    assert group_label(column_group("line.no", "3.5 m@x=%")) == "line.no=3.5 m@x=%"
    assert len({column_group("line", value) for value in ("a.b", "a_b", "a b", "a%2Eb")}) == 4


def test_names_are_known_without_torch() -> None:
    code = "import sys, trainables.scores.names, trainables.scores, trainables.inspectors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", SCORES)
def test_every_score_of_the_registry_can_be_called(name: str) -> None:
    assert callable(resolve(SCORES[name]))


def test_scores_and_names_go_together() -> None:
    full = {name for task in TASK_SCORES for name in score_names("random", classes=("a",), task=task)} - set(COSTS)
    full |= {*robustness_names(), *(f"val_{base}" for extractor in EXTRACTORS for base in set_score_names(extractor)), *score_names("inception")}
    bases = {parse_name(name).base for name in full - set(COSTS)}
    bases = {base[:4] if base.startswith(DIAGNOSTICS) else base for base in bases}
    for extractor in EXTRACTORS:
        bases = {base.removesuffix(f"_{extractor}") for base in bases}
    assert bases == set(SCORES) - {"confusion", "pixel_confusion"}, "confusions are recorded, but are no numbers"
