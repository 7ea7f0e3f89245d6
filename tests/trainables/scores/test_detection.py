"""Scores of detection against scikit-learn and torchmetrics, and thresholds against a search through all of them."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor
from torchmetrics.functional import auroc
from torchmetrics.functional import average_precision as torchmetrics_ap

from trainables.errors import DatasetError, SettingsError
from trainables.scores.detection import (
    Outcome,
    Thresholds,
    auc,
    average_precision,
    best_f_threshold,
    choose_thresholds,
    detection_scores,
    operating_scores,
    operating_threshold,
    outcome,
    trapezoid_ap,
)


def drawn(seed: int, count: int = 150, levels: int | None = None) -> tuple[Tensor, Tensor]:
    """Draws scores that know something of the truth; with levels, few different ones."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(count, generator=generator) < 0.3
    scores = torch.randn(count, generator=generator) + truth.float()
    return (scores * levels).round() if levels else scores, truth


CASES = [(0, None), (1, None), (2, 1), (3, 3)]
"""Seeds and levels; few levels make many images of equal score."""


@pytest.mark.parametrize(("seed", "levels"), CASES)
def test_areas_equal_scikit_learn_s_and_torchmetrics_(seed: int, levels: int | None) -> None:
    scores, truth = drawn(seed, levels=levels)
    precision, recall, _ = metrics.precision_recall_curve(truth, scores)
    assert trapezoid_ap(scores, truth) == pytest.approx(metrics.auc(recall, precision), abs=1e-6)
    assert average_precision(scores, truth) == pytest.approx(metrics.average_precision_score(truth, scores), abs=1e-6)
    assert auc(scores, truth) == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-6)
    # torchmetrics takes the logistic function of scores outside of 0..1, which keeps their order.
    assert average_precision(scores, truth) == pytest.approx(float(torchmetrics_ap(scores, truth.long(), task="binary")), abs=1e-6)
    assert auc(scores, truth) == pytest.approx(float(auroc(scores, truth.long(), task="binary")), abs=1e-6)


@pytest.mark.parametrize(("seed", "levels"), CASES)
def test_the_best_f_equals_scikit_learn_s_at_every_threshold(seed: int, levels: int | None) -> None:
    scores, truth = drawn(seed, levels=levels)
    every = {float(threshold): metrics.f1_score(truth, scores >= threshold) for threshold in scores.unique()}
    best = max(every.values())
    threshold = best_f_threshold(scores, truth)
    assert threshold == min(value for value, f in every.items() if f == pytest.approx(best, abs=1e-12))
    (tn, fp), (fn, tp) = metrics.confusion_matrix(truth, scores >= threshold)
    expected = Outcome(
        f=pytest.approx(best, abs=1e-6), fp=fp, fn=fn, sensitivity=pytest.approx(tp / (tp + fn)), specificity=pytest.approx(tn / (tn + fp))
    )
    assert outcome(scores, truth, threshold) == expected


def test_the_papers_area_lies_above_the_sum_of_steps_and_both_have_closed_forms() -> None:
    # One defect ranked second of three: precision 1 at recall 0, then 0 at recall 0, 1/2 at recall 1, 1/3 at recall 1.
    scores, truth = torch.tensor([3.0, 2.0, 1.0]), torch.tensor([False, True, False])
    assert trapezoid_ap(scores, truth) == pytest.approx(0.25)
    assert average_precision(scores, truth) == pytest.approx(0.5)
    assert auc(scores, truth) == pytest.approx(0.5)
    # Equal scores: one threshold, precision 1/3, recall 1; a line from (0, 1) to (1, 1/3).
    same = torch.zeros(3)
    assert (trapezoid_ap(same, truth), average_precision(same, truth), auc(same, truth)) == pytest.approx((2 / 3, 1 / 3, 0.5))


def test_numbers_that_nothing_could_give_are_null() -> None:
    scores = torch.tensor([0.1, 0.9])
    none, all_of_them = torch.zeros(2, dtype=torch.bool), torch.ones(2, dtype=torch.bool)
    assert (trapezoid_ap(scores, none), average_precision(scores, none), auc(scores, none), auc(scores, all_of_them)) == (None, None, None, None)
    assert trapezoid_ap(scores, all_of_them) == average_precision(scores, all_of_them) == 1.0
    assert outcome(scores, none, 0.5) == Outcome(f=None, fp=1, fn=0, sensitivity=None, specificity=0.5)
    assert outcome(scores, all_of_them, 0.5) == Outcome(f=pytest.approx(2 / 3), fp=0, fn=1, sensitivity=0.5, specificity=None)
    assert outcome(scores, all_of_them, 2.0).f == 0.0


@pytest.mark.parametrize(("case", "target"), list(product(CASES, [0.01, 0.5, 0.9, 0.95, 1.0])))
def test_an_operating_point_reaches_its_target_at_the_least_cost(case: tuple[int, int | None], target: float) -> None:
    scores, truth = drawn(case[0], levels=case[1])
    every = [*scores.unique().tolist(), math.nextafter(float(scores.max()), math.inf)]
    sensitive = [(found.specificity, threshold) for threshold in every if (found := outcome(scores, truth, threshold)).sensitivity >= target]
    specific = [(found.sensitivity, -threshold) for threshold in every if (found := outcome(scores, truth, threshold)).specificity >= target]
    assert operating_threshold(scores, truth, target_sensitivity=target) == max(sensitive)[1]
    chosen = operating_threshold(scores, truth, target_specificity=target)
    reached = outcome(scores, truth, chosen)
    assert reached.specificity >= target and reached.sensitivity == max(specific)[0]
    assert chosen == min(-threshold for _, threshold in specific)


def test_full_specificity_is_reached_even_where_a_sound_image_scores_highest() -> None:
    scores, truth = torch.tensor([0.9, 0.5]), torch.tensor([False, True])
    threshold = operating_threshold(scores, truth, target_specificity=1.0)
    assert math.isfinite(threshold) and outcome(scores, truth, threshold)[1:] == (0, 1, 0.0, 1.0)


def test_a_threshold_chosen_on_validation_is_used_on_test_and_the_oracle_says_so() -> None:
    val, test = drawn(5), drawn(6)
    chosen = choose_thresholds(*val, target_sensitivity=0.9)
    own = choose_thresholds(*test, target_sensitivity=0.9)
    found = detection_scores(*test, chosen, oracle=own, split="test")
    assert chosen.best_f != own.best_f
    assert found["test_f"] == outcome(*test, chosen.best_f).f < found["test_f_oracle"] == outcome(*test, own.best_f).f
    assert (found["test_fp"], found["test_fn"]) == outcome(*test, chosen.best_f)[1:3]
    assert found["test_sensitivity"] == outcome(*test, chosen.operating).sensitivity
    assert found["test_specificity_oracle"] == outcome(*test, own.operating).specificity
    assert found["test_sensitivity_oracle"] >= 0.9
    assert not [name for name in detection_scores(*val, chosen) if name.endswith("_oracle")]
    assert operating_scores(*test, chosen.operating, split="test") == {name: found[name] for name in ("test_sensitivity", "test_specificity")}


def test_without_a_target_the_operating_point_is_that_of_the_best_f() -> None:
    val = drawn(5)
    assert choose_thresholds(*val) == Thresholds(best_f_threshold(*val), best_f_threshold(*val))


def test_what_cannot_be_chosen_is_refused() -> None:
    scores, none = torch.rand(4), torch.zeros(4, dtype=torch.bool)
    with pytest.raises(SettingsError, match="one of the two"):
        operating_threshold(scores, none)
    with pytest.raises(SettingsError, match="one of the two"):
        operating_threshold(scores, none, target_sensitivity=0.9, target_specificity=0.9)
    with pytest.raises(SettingsError, match=r"target_specificity: 1\.5 is not above 0"):
        operating_threshold(scores, none, target_specificity=1.5)
    with pytest.raises(DatasetError, match="target_sensitivity: no image of the split is defective"):
        operating_threshold(scores, none, target_sensitivity=0.9)
    with pytest.raises(DatasetError, match="target_specificity: no image of the split is sound"):
        operating_threshold(scores, ~none, target_specificity=0.9)
    with pytest.raises(DatasetError, match="no image of the split is defective"):
        best_f_threshold(scores, none)


def test_scores_in_double_precision_are_told_apart() -> None:
    close = torch.tensor(np.array([1.0, 1.0 + 1e-12]))
    assert auc(close, torch.tensor([False, True])) == 1.0
