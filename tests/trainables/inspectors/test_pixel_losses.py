"""The losses of segmenters against numbers worked out by hand and against segmentation-models-pytorch."""

import math

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor

from trainables.inspectors.pixel_losses import UNKNOWN, Wanted, bce, dice, focal, tversky, wanted


def logit(chance: float) -> float:
    return math.log(chance / (1.0 - chance))


def drawn(seed: int = 0, *, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Logits (4, K, 8, 8) and class numbers (4, 1, 8, 8)."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, classes, 8, 8, generator=generator) * 2
    return logits, torch.randint(0, classes + 1, (4, 1, 8, 8), generator=generator).to(torch.uint8)


LOSSES = {
    "dice": dice,
    "bce": bce,
    "tversky": lambda logits, goal: tversky(logits, goal, 0.7),
    "focal": lambda logits, goal: focal(logits, goal, gamma=2.0, alpha=0.25),
}


def test_class_numbers_become_one_plane_each_and_unknown_pixels_count_for_nothing() -> None:
    planes = torch.tensor([[[[0, 1, 2, UNKNOWN]]]], dtype=torch.uint8)
    goal = wanted(planes, torch.tensor([0.5]), 2)
    assert goal.truth.tolist() == [[[[0, 1, 0, 0]], [[0, 0, 1, 0]]]]
    assert goal.counted.tolist() == [[[[0.5, 0.5, 0.5, 0.0]]]]


def test_numbers_worked_out_by_hand() -> None:
    """Four pixels, the first two defective, found with probabilities 0.8, 0.6, 0.4 and 0.2: TP 1.4, FP 0.6, FN 0.6."""
    logits = torch.tensor([logit(chance) for chance in (0.8, 0.6, 0.4, 0.2)]).view(1, 1, 2, 2)
    goal = wanted(torch.tensor([1, 1, 0, 0], dtype=torch.uint8).view(1, 1, 2, 2), None, 1)
    assert dice(logits, goal).item() == pytest.approx(1 - 2.8 / 4.0, abs=1e-6)
    assert tversky(logits, goal, 0.7).item() == pytest.approx(1 - 1.4 / (1.4 + 0.3 * 0.6 + 0.7 * 0.6), abs=1e-6)
    assert tversky(logits, goal, 1.0).item() == pytest.approx(1 - 1.4 / 2.0, abs=1e-6)
    assert bce(logits, goal).item() == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2, abs=1e-6)
    by_hand = (0.25 + 0.75) * (0.2**2 * -math.log(0.8) + 0.4**2 * -math.log(0.6)) / 4
    assert focal(logits, goal, gamma=2.0, alpha=0.25).item() == pytest.approx(by_hand, abs=1e-6)
    assert focal(logits, goal, gamma=0.0, alpha=0.5).item() == pytest.approx(bce(logits, goal).item() / 2, abs=1e-6)


@pytest.mark.parametrize("classes", [1, 3])
def test_they_are_the_librarys_where_all_pixels_are_known(classes: int) -> None:
    logits, planes = drawn(classes=classes)
    goal = wanted(planes, None, classes)
    theirs = {
        "dice": smp.losses.DiceLoss("multilabel"),
        "bce": smp.losses.SoftBCEWithLogitsLoss(),
        "tversky": smp.losses.TverskyLoss("multilabel", alpha=0.3, beta=0.7),
        "focal": smp.losses.FocalLoss("multilabel", alpha=0.25, gamma=2.0),
    }
    for name, loss in theirs.items():
        assert LOSSES[name](logits, goal).item() == pytest.approx(loss(logits, goal.truth).item(), abs=1e-6), name


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("how", ["weight", "unknown"])
def test_what_is_left_out_is_as_if_it_were_not_there(name: str, how: str) -> None:
    logits, planes = drawn()
    logits.requires_grad_(True)
    weights = torch.tensor([1.0, 1.0, 0.0, 1.0]) if how == "weight" else None
    if how == "unknown":
        planes[2] = UNKNOWN
    loss = LOSSES[name](logits, wanted(planes, weights, 3))
    kept = [0, 1, 3]
    assert loss.item() == pytest.approx(LOSSES[name](logits[kept], wanted(planes[kept], None, 3)).item(), abs=1e-6)
    loss.backward()
    assert logits.grad is not None and logits.grad[2].abs().sum() == 0 and logits.grad[kept].abs().sum() > 0


@pytest.mark.parametrize("name", LOSSES)
def test_weights_say_how_much_an_image_counts_beside_others(name: str) -> None:
    logits, planes = drawn()
    twice = LOSSES[name](torch.cat([logits, logits[:1]]), wanted(torch.cat([planes, planes[:1]]), None, 3))
    weighted = LOSSES[name](logits, wanted(planes, torch.tensor([2.0, 1.0, 1.0, 1.0]), 3))
    assert weighted.item() == pytest.approx(twice.item(), abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_of_which_nothing_is_known_moves_nothing(name: str) -> None:
    logits, planes = drawn()
    logits.requires_grad_(True)
    loss = LOSSES[name](logits, wanted(torch.full_like(planes, UNKNOWN), None, 3))
    loss.backward()
    assert loss.item() == 0.0 and logits.grad is not None and logits.grad.abs().sum() == 0


@pytest.mark.parametrize("name", LOSSES)
def test_certain_pixels_leave_numbers_finite(name: str) -> None:
    logits, planes = drawn()
    logits = (logits.sign() * 200).requires_grad_(True)
    loss = LOSSES[name](logits, wanted(planes, None, 3))
    loss.backward()
    assert math.isfinite(loss.item()) and logits.grad is not None and bool(logits.grad.isfinite().all())


def test_a_class_that_is_absent_has_no_overlap_to_better() -> None:
    logits = torch.zeros(1, 2, 2, 2, requires_grad=True)
    truth = torch.zeros(1, 2, 2, 2)
    truth[:, 0] = 1.0
    loss = dice(logits, Wanted(truth, torch.ones(1, 1, 2, 2)))
    assert loss.item() == pytest.approx((1 - 2 * 2 / (2 + 4)) / 2, abs=1e-6)
    loss.backward()
    assert logits.grad is not None and logits.grad[:, 1].abs().sum() == 0
