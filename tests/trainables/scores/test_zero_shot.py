"""Scores of zero-shot inspectors against their definitions and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn import metrics

from trainables.errors import SettingsError
from trainables.scores.zero_shot import harmonic_mean, per_class_accuracy, reading_error, unseen_threshold, zero_shot_scores, zsl_accuracy

UNSEEN = (1, 4)


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    # Unequal classes, so that a mean over images would be another number.
    labels = torch.repeat_interleave(torch.arange(5), torch.tensor([40, 7, 20, 5, 30]))
    logits = torch.randn(len(labels), 5, generator=generator) + torch.nn.functional.one_hot(labels, 5)
    return logits, labels


@pytest.mark.parametrize("seed", [0, 1])
def test_accuracies_are_means_over_classes(seed: int) -> None:
    logits, labels = drawn(seed)
    recalls = metrics.recall_score(labels, logits.argmax(1), average=None)
    found = zero_shot_scores(logits, labels, UNSEEN)
    seen, unseen = recalls[[0, 2, 3]].mean(), recalls[[1, 4]].mean()
    assert found["val_seen"] == pytest.approx(seen, abs=1e-6)
    assert found["val_unseen"] == pytest.approx(unseen, abs=1e-6)
    assert found["val_harmonic_mean"] == pytest.approx(2 * seen * unseen / (seen + unseen), abs=1e-6)
    among = np.isin(labels, UNSEEN)
    named = np.array(UNSEEN)[logits.numpy()[among][:, UNSEEN].argmax(1)]
    assert found["val_zsl_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels[among], named), abs=1e-6)
    assert found["val_zsl_accuracy"] > found["val_unseen"], "fewer classes to choose from"
    assert found["val_auc_unseen"] is None


def test_the_alarm_s_area_equals_scikit_learn_s() -> None:
    logits, labels = drawn(2)
    strange = torch.randn(len(labels), generator=torch.Generator().manual_seed(3)) + torch.isin(labels, torch.tensor(UNSEEN)).float()
    found = zero_shot_scores(logits, labels, UNSEEN, dissimilarity=strange, split="test")
    assert found["test_auc_unseen"] == pytest.approx(metrics.roc_auc_score(np.isin(labels, UNSEEN), strange), abs=1e-6)


def test_the_harmonic_mean_wants_both() -> None:
    assert harmonic_mean(0.5, 1.0) == pytest.approx(2 / 3)
    assert harmonic_mean(0.0, 1.0) == 0.0 and harmonic_mean(0.0, 0.0) == 0.0
    assert harmonic_mean(None, 1.0) is None and harmonic_mean(1.0, None) is None


def test_a_split_of_seen_classes_alone_has_no_unseen_scores() -> None:
    logits, labels = drawn(0)
    seen = ~torch.isin(labels, torch.tensor(UNSEEN))
    found = zero_shot_scores(logits[seen], labels[seen], UNSEEN, dissimilarity=torch.zeros(int(seen.sum())))
    assert found.pop("val_seen") == zero_shot_scores(logits, labels, UNSEEN)["val_seen"]
    assert set(found.values()) == {None}
    assert zsl_accuracy(logits[seen], labels[seen], UNSEEN) is None and per_class_accuracy(logits[seen], labels[seen], UNSEEN) is None


def test_the_reading_error_is_measured_in_distances_between_classes() -> None:
    vectors = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 10.0]])
    labels = torch.tensor([0, 1, 1, 2, 2])
    offsets = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, -2.0], [3.0, 4.0], [6.0, 8.0]])
    # Distances of 0, 1, 2, 5 and 10, and the closest two classes 4 apart.
    assert reading_error(vectors[labels] + offsets, labels, vectors) == pytest.approx(2.0 / 4.0)
    assert reading_error(vectors[labels], labels, vectors) == 0.0
    assert reading_error(vectors[labels[:2]] + offsets[1:3], labels[:2], vectors) == pytest.approx(1.5 / 4.0)
    assert reading_error(vectors[[1, 0]], torch.tensor([0, 1]), vectors) == pytest.approx(1.0), "each is read as the other"
    assert reading_error(vectors[:0], labels[:0], vectors) is None
    assert reading_error(vectors[labels], labels, torch.cat([vectors, vectors[:1]])) is None, "two classes of one vector cannot be told apart"


def test_the_unseen_threshold_is_a_percentile() -> None:
    strange = torch.rand(57, generator=torch.Generator().manual_seed(0))
    for percentile in (0.0, 50.0, 95.0, 97.3, 100.0):
        assert unseen_threshold(strange, percentile) == pytest.approx(float(np.percentile(strange.double().numpy(), percentile)), abs=1e-12)
    with pytest.raises(SettingsError, match="percentile: 101"):
        unseen_threshold(strange, 101.0)
