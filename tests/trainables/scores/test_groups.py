"""Scores by defect size and by a user's column."""

import math

import pytest
import torch

from trainables.datasets.layouts.boxes import fill_boxes
from trainables.scores.classification import classification_scores
from trainables.scores.detection import average_precision
from trainables.scores.groups import box_areas, by_group, column_groups, mask_areas, size_groups
from trainables.scores.segmentation import pixel_confusions, segmentation_scores


def members(groups: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: mask.nonzero().flatten().tolist() for name, mask in groups.items()}


def test_defective_images_are_sorted_into_thirds() -> None:
    areas = torch.tensor([0.0, 0.5, 0.1, 0.3, 0.2, 0.6, 0.4, math.nan])
    assert members(size_groups(areas)) == {"small": [2, 4], "medium": [3, 6], "large": [1, 5]}
    assert members(size_groups(areas, defect_free=True)) == {"small": [0, 2, 4], "medium": [0, 3, 6], "large": [0, 1, 5]}


def test_equal_areas_stay_together() -> None:
    assert members(size_groups(torch.tensor([0.1, 0.1, 0.1, 0.2]))) == {"small": [0, 1, 2], "medium": [], "large": [3]}
    assert members(size_groups(torch.tensor([0.1]))) == {"small": [0], "medium": [], "large": []}
    assert members(size_groups(torch.tensor([0.0, math.nan]))) == {"small": [], "medium": [], "large": []}


def test_areas_of_masks_and_boxes() -> None:
    masks = torch.zeros(2, 4, 5, dtype=torch.uint8)
    masks[1, 1, 1:4] = torch.tensor([1, 3, 2], dtype=torch.uint8)
    assert mask_areas(masks).tolist() == pytest.approx([0.0, 3 / 20])
    boxes = [[], [(0.1, 0.2, 0.4, 0.6)], [(0.0, 0.0, 0.5, 0.5), (0.25, 0.25, 0.75, 1.0), (0.25, 0.25, 0.5, 0.5)]]
    assert box_areas(boxes).tolist() == pytest.approx([0.0, 0.12, 0.25 + 0.375 - 0.0625])
    # On a grid that all edges lie on, what the boxes cover can be counted.
    assert float(box_areas(boxes)[2]) == fill_boxes(boxes[2], 4, 4).mean()


def test_a_score_of_every_group_is_what_it_is_of_the_group_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    true = (torch.rand(12, 8, 8, generator=generator) < torch.linspace(0.05, 0.9, 12)[:, None, None]).to(torch.uint8)
    predicted = (torch.rand(12, 8, 8, generator=generator) < 0.5).to(torch.uint8)
    confusions = pixel_confusions(predicted, true, 1)
    groups = size_groups(mask_areas(true))
    found = by_group(lambda some: segmentation_scores(some, ("rolled-in.scale",))[0], groups, confusions)
    large = segmentation_scores(confusions[groups["large"]], ("rolled-in.scale",))[0]
    assert found["val_iou@large"] == large["val_iou"] and found["val_iou@large.rolled-in.scale"] == large["val_iou.rolled-in.scale"]
    assert found["val_iou_pooled@small"] < found["val_iou_pooled@medium"] < found["val_iou_pooled@large"]
    assert len(found) == 3 * len(large)


def test_detection_by_size_weighs_each_third_against_all_sound_images() -> None:
    areas = torch.tensor([0.0, 0.0, 0.1, 0.2, 0.3])
    scores = torch.tensor([0.5, 0.4, 0.45, 0.6, 0.1])
    groups = size_groups(areas, defect_free=True)
    found = by_group(lambda some, truth: {"val_average_precision": average_precision(some, truth)}, groups, scores, areas > 0)
    expected = {"val_average_precision@small": 0.5, "val_average_precision@medium": 1.0, "val_average_precision@large": 1 / 3}
    assert found == pytest.approx(expected)


def test_a_user_s_column_with_any_values() -> None:
    groups = column_groups("line", ["2", "3.5", None, "2"])
    assert members(groups) == {"line=2": [0, 3], "line=3%2E5": [1]}
    logits, labels = torch.eye(2)[[0, 0, 1, 1]], torch.tensor([0, 1, 1, 1])
    names = ["a", "b", "c", "d"]
    seen = []

    def score(some: torch.Tensor, truth: torch.Tensor, who: list[str]) -> dict[str, float | None]:
        seen.append(who)
        return classification_scores(some, truth, ("x", "y"))[0]

    found = by_group(score, groups, logits, labels, names)
    assert seen == [["a", "d"], ["b"]]
    assert found["val_accuracy@line=2"] == 1.0 and found["val_accuracy@line=3%2E5"] == 0.0
    assert found["val_recall@line=3%2E5.x"] is None


def test_a_group_without_images_has_no_scores() -> None:
    groups = size_groups(torch.tensor([0.1, 0.1]))
    assert by_group(lambda some: {"val_count": float(len(some))}, groups, torch.zeros(2)) == {"val_count@small": 2.0}
