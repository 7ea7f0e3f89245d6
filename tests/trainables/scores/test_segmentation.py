"""Scores of segmentation against torchmetrics and scikit-learn, and what they are where nothing is to be found."""

import math

import pytest
import torch
from sklearn import metrics
from torch import Tensor
from torchmetrics.functional.classification import multiclass_jaccard_index

from trainables.errors import DatasetError
from trainables.scores import segmentation
from trainables.scores.segmentation import iou, iou_per_class, iou_per_image, iou_pooled, pixel_confusions, segmentation_scores

CLASSES = ("a", "b", "c")


def drawn(seed: int, count: int = 7) -> tuple[Tensor, Tensor]:
    """Draws class-number maps of 9 x 11 pixels that agree on about half of the pixels."""
    generator = torch.Generator().manual_seed(seed)
    true = torch.randint(0, 4, (count, 9, 11), generator=generator, dtype=torch.uint8)
    other = torch.randint(0, 4, (count, 9, 11), generator=generator, dtype=torch.uint8)
    return torch.where(torch.rand(true.shape, generator=generator) < 0.5, true, other), true


def test_pixel_confusions_equal_scikit_learn_s_image_by_image() -> None:
    predicted, true = drawn(0)
    found = pixel_confusions(predicted, true, 3)
    for table, named, there in zip(found, predicted, true, strict=True):
        assert table.tolist() == metrics.confusion_matrix(there.flatten(), named.flatten(), labels=range(4)).tolist()


def test_counting_in_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    predicted, true = drawn(0)
    whole = pixel_confusions(predicted, true, 3)
    monkeypatch.setattr(segmentation, "CHUNK_PIXELS", 250)
    assert torch.equal(pixel_confusions(predicted, true, 3), whole)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_scores_equal_torchmetrics_and_scikit_learn_s(seed: int) -> None:
    predicted, true = drawn(seed)
    scores, matrix = segmentation_scores(pixel_confusions(predicted, true, 3), CLASSES)
    per_image = [metrics.jaccard_score(there.flatten() > 0, named.flatten() > 0) for there, named in zip(true, predicted, strict=True)]
    assert scores["val_iou"] == pytest.approx(sum(per_image) / len(per_image), abs=1e-6)
    assert scores["val_iou_pooled"] == pytest.approx(metrics.jaccard_score(true.flatten() > 0, predicted.flatten() > 0), abs=1e-6)
    by_class = multiclass_jaccard_index(predicted.long(), true.long(), num_classes=4, average="none")
    assert [scores[f"val_iou.{cls}"] for cls in CLASSES] == pytest.approx(by_class[1:].tolist(), abs=1e-6)
    assert scores["val_iou_classes"] == pytest.approx(float(multiclass_jaccard_index(predicted.long(), true.long(), num_classes=4)), abs=1e-6)
    assert scores["val_pixel_accuracy"] == pytest.approx(metrics.accuracy_score(true.flatten(), predicted.flatten()), abs=1e-6)
    assert matrix == metrics.confusion_matrix(true.flatten(), predicted.flatten()).tolist()


def maps(*rows: list[int]) -> Tensor:
    """Makes images of one line of four pixels."""
    return torch.tensor(rows, dtype=torch.uint8)[:, None]


def test_empty_masks() -> None:
    predicted = maps([0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [2, 2, 0, 0])
    true = maps([0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0])
    confusions = pixel_confusions(predicted, true, 2)
    # Nothing and nothing found; a false alarm; a miss; and one pixel of three in common, of whatever class.
    assert iou_per_image(confusions).tolist() == pytest.approx([1.0, 0.0, 0.0, 1 / 3])
    assert iou(confusions) == pytest.approx((1 + 1 / 3) / 4)
    assert iou_pooled(confusions) == pytest.approx(1 / 5)
    assert iou_per_class(confusions) == pytest.approx([11 / 15, 0.0, None]), "class 2 has no true pixel"


def test_a_split_without_a_defect() -> None:
    empty = pixel_confusions(maps([0, 0, 0, 0]), maps([0, 0, 0, 0]), 2)
    scores, _ = segmentation_scores(empty, ("a", "b"), split="test")
    assert scores == {
        "test_iou": 1.0,
        "test_iou_pooled": 1.0,
        "test_iou_classes": 1.0,
        "test_pixel_accuracy": 1.0,
        "test_iou.a": None,
        "test_iou.b": None,
    }
    alarmed = pixel_confusions(maps([0, 0, 0, 1]), maps([0, 0, 0, 0]), 2)
    assert (iou(alarmed), iou_pooled(alarmed), iou_per_class(alarmed)) == (0.0, 0.0, [0.75, None, None])


def test_the_class_of_a_defect_counts_only_where_classes_are_told_apart() -> None:
    confusions = pixel_confusions(maps([1, 1, 0, 0]), maps([2, 2, 0, 0]), 2)
    scores, _ = segmentation_scores(confusions, ("a", "b"))
    assert scores["val_iou"] == scores["val_iou_pooled"] == 1.0
    assert scores["val_iou_classes"] == 0.5 and scores["val_iou.b"] == 0.0 and scores["val_pixel_accuracy"] == 0.5


def test_the_scores_of_some_images_follow_from_their_tables_alone() -> None:
    predicted, true = drawn(4)
    some = torch.tensor([5, 0, 2])
    whole = pixel_confusions(predicted, true, 3)
    assert segmentation_scores(whole[some], CLASSES) == segmentation_scores(pixel_confusions(predicted[some], true[some], 3), CLASSES)


def test_large_counts_stay_exact() -> None:
    # 3 of 2^30 pixels are wrong: single precision would call that perfect.
    table = torch.tensor([[[2**30 - 3, 0], [3, 0]]])
    assert 1.0 - segmentation.pixel_accuracy(table) == pytest.approx(3 / 2**30)
    assert math.isclose(iou_per_class(table)[0] or 0.0, 1 - 3 / 2**30, rel_tol=1e-15)


def test_numbers_that_no_class_has_are_refused() -> None:
    good, bad = maps([0, 1, 2, 0]), maps([0, 3, 0, 0])
    with pytest.raises(DatasetError, match="true maps hold the number 3; expected 0 for background and 1 to 2"):
        pixel_confusions(good, bad, 2)
    with pytest.raises(DatasetError, match="predicted maps hold the number 3"):
        pixel_confusions(bad, good, 2)
    with pytest.raises(DatasetError, match=r"shape \(1, 1, 4\)"):
        pixel_confusions(good[:, :, :2], good, 2)
