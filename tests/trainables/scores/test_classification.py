"""Scores of classifiers against scikit-learn."""

import pytest
import torch
from sklearn import metrics

from trainables.scores.classification import classification_scores


def test_scores_equal_scikit_learn_s() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (200,), generator=generator)
    logits = torch.randn(200, 4, generator=generator) + 1.5 * torch.nn.functional.one_hot(labels, 4)
    named = logits.argmax(1)
    scores, matrix = classification_scores(logits, labels, ["a", "b", "c", "d"])
    assert scores["val_accuracy"] == pytest.approx(metrics.accuracy_score(labels, named))
    assert scores["val_macro_f1"] == pytest.approx(metrics.f1_score(labels, named, average="macro"))
    assert [scores[f"val_recall.{cls}"] for cls in "abcd"] == pytest.approx(list(metrics.recall_score(labels, named, average=None)))
    assert matrix == metrics.confusion_matrix(labels, named).tolist()
    assert all(type(row[0]) is int for row in matrix)


def test_a_class_that_the_split_lacks_counts_in_no_mean() -> None:
    logits = torch.eye(3)[[0, 0, 1, 2]]
    scores, matrix = classification_scores(logits, torch.tensor([0, 0, 1, 1]), ["a", "b", "c"], split="test")
    assert scores == {
        "test_accuracy": 0.75,
        "test_macro_f1": pytest.approx((1.0 + 2 / 3) / 2),
        "test_recall.a": 1.0,
        "test_recall.b": 0.5,
        "test_recall.c": None,
    }
    assert matrix == [[2, 0, 0], [0, 1, 1], [0, 0, 0]]
