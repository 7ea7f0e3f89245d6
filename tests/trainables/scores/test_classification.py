"""Scores of classifiers against scikit-learn."""

import pytest
import torch
from sklearn import metrics
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_precision

from trainables.scores.classification import classification_scores, defect_margin, macro


def test_scores_equal_scikit_learn_s() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (200,), generator=generator)
    logits = torch.randn(200, 4, generator=generator) + 1.5 * torch.nn.functional.one_hot(labels, 4)
    named = logits.argmax(1)
    scores, matrix = classification_scores(logits, labels, ["a", "b", "c", "d"])
    assert scores["val_accuracy"] == pytest.approx(metrics.accuracy_score(labels, named))
    assert scores["val_macro_f1"] == pytest.approx(metrics.f1_score(labels, named, average="macro"))
    assert [scores[f"val_recall.{cls}"] for cls in "abcd"] == pytest.approx(list(metrics.recall_score(labels, named, average=None)))
    per_class = metrics.precision_recall_fscore_support(labels, named)
    for name, values in zip(("precision", "recall", "f1"), per_class, strict=False):
        assert [scores[f"val_{name}.{cls}"] for cls in "abcd"] == pytest.approx(list(values), abs=1e-6)
    assert scores["val_macro_precision"] == pytest.approx(per_class[0].mean(), abs=1e-6)
    assert scores["val_macro_recall"] == pytest.approx(metrics.balanced_accuracy_score(labels, named), abs=1e-6)
    for name, theirs in (("precision", multiclass_precision), ("f1", multiclass_f1_score)):
        assert [scores[f"val_{name}.{cls}"] for cls in "abcd"] == pytest.approx(theirs(named, labels, 4, average="none").tolist(), abs=1e-6)
    assert "val_auc" not in scores, "there are four classes"
    assert matrix == metrics.confusion_matrix(labels, named).tolist()
    assert all(type(row[0]) is int for row in matrix)


def test_a_class_that_the_split_lacks_counts_in_no_mean() -> None:
    logits = torch.eye(3)[[0, 0, 1, 2]]
    scores, matrix = classification_scores(logits, torch.tensor([0, 0, 1, 1]), ["a", "b", "c"], split="test")
    assert scores == {
        "test_accuracy": 0.75,
        "test_macro_f1": pytest.approx((1.0 + 2 / 3) / 2),
        "test_macro_precision": pytest.approx((2 / 2 + 1 / 1) / 2),
        "test_macro_recall": 0.75,
        "test_recall.a": 1.0,
        "test_recall.b": 0.5,
        "test_recall.c": None,
        "test_precision.a": 1.0,
        "test_precision.b": 1.0,
        "test_precision.c": None,
        "test_f1.a": 1.0,
        "test_f1.b": pytest.approx(2 / 3),
        "test_f1.c": None,
    }
    assert matrix == [[2, 0, 0], [0, 1, 1], [0, 0, 0]]


def test_a_class_that_is_never_named_has_no_precision_to_speak_of() -> None:
    scores, _ = classification_scores(torch.eye(2)[[0, 0, 0]], torch.tensor([0, 1, 1]), ["a", "b"])
    assert (scores["val_precision.b"], scores["val_f1.b"], scores["val_recall.b"]) == (0.0, 0.0, 0.0)
    assert scores["val_macro_precision"] == pytest.approx(1 / 6)


def test_two_classes_have_an_area_under_the_roc_curve() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (90,), generator=generator)
    logits = torch.randn(90, 2, generator=generator) + torch.nn.functional.one_hot(labels, 2)
    scores, _ = classification_scores(logits, labels, ["a", "b"])
    expected = metrics.roc_auc_score(labels, logits.softmax(1)[:, 1])
    assert scores["val_auc"] == pytest.approx(expected, abs=1e-6)
    exchanged, _ = classification_scores(logits.flip(1), 1 - labels, ["b", "a"])
    assert exchanged["val_auc"] == pytest.approx(expected, abs=1e-6), "whichever of the two comes first"
    alone, _ = classification_scores(logits[labels == 1], labels[labels == 1], ["a", "b"])
    assert alone["val_auc"] is None


def test_images_are_ranked_by_all_defect_classes_together() -> None:
    logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    share = 1.0 - logits.softmax(1)[:, 3]
    assert defect_margin(logits, 3).tolist() == pytest.approx((share / (1 - share)).log().tolist())


def test_a_mean_over_no_class_is_null() -> None:
    assert macro([None, 0.5, 1.0]) == 0.75 and macro([None]) is None
