"""Names of scores: their directions, their extractors, and that a study can be checked without torch."""

import subprocess
import sys

import pytest

from trainables.registry import resolve
from trainables.scores import SCORES
from trainables.scores.names import COSTS, full_name, overlap_names, score_names


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


def test_names_are_known_without_torch() -> None:
    code = "import sys, trainables.scores.names, trainables.scores, trainables.inspectors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", SCORES)
def test_every_score_of_the_registry_can_be_called(name: str) -> None:
    assert callable(resolve(SCORES[name]))


def test_scores_and_names_go_together() -> None:
    bases = {
        name.removeprefix("val_").partition(".")[0].partition("_random")[0].partition("_inception")[0].partition("_inspector")[0]
        for name in [*score_names("random", classes=("a",)), *score_names("inception")]
        if name not in COSTS
    }
    assert bases == set(SCORES) - {"confusion"}, "the confusion matrix is recorded, but is no number"
