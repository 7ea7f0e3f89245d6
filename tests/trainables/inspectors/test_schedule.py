"""Which images a training shows, and when."""

import numpy as np
import pytest
import torch

from trainables.inspectors.base import Config
from trainables.inspectors.schedule import FINETUNE_LR, Schedule


def made(labels: np.ndarray, config: Config, *, seed: int, real: int | None = None) -> Schedule:
    return Schedule(labels, config, seed, real=len(labels) if real is None else real)


def test_an_epoch_shows_every_image_once_and_batches_run_on_over_its_end() -> None:
    labels = np.repeat([0, 1], [7, 3])
    schedule = made(labels, Config(epochs=4, batch=4, min_steps=0), seed=1)
    assert schedule.steps == 10
    shown = torch.cat([schedule.batch(step) for step in range(schedule.steps)])
    for epoch in range(4):
        assert sorted(shown[10 * epoch : 10 * epoch + 10].tolist()) == list(range(10))
    assert shown[:10].tolist() != shown[10:20].tolist()


def test_a_step_does_not_depend_on_those_before_it() -> None:
    labels = np.repeat([0, 1], [7, 3])
    config = Config(epochs=5, batch=4, min_steps=0, balance="oversample")
    in_order = made(labels, config, seed=1)
    batches = [in_order.batch(step) for step in range(12)]
    assert torch.equal(made(labels, config, seed=1).batch(9), batches[9])
    assert not torch.equal(made(labels, config, seed=2).batch(9), batches[9])


@pytest.mark.parametrize(("balance", "each"), [("oversample", 7), ("undersample", 3), ("rotate", 3)])
def test_balance_shows_the_classes_equally(balance: str, each: int) -> None:
    labels = np.repeat([0, 1], [7, 3])
    schedule = made(labels, Config(epochs=3, batch=2 * each, min_steps=0, balance=balance), seed=0)  # type: ignore[arg-type]
    epochs = [schedule.batch(step) for step in range(3)]
    for chosen in epochs:
        assert np.bincount(labels[chosen]).tolist() == [each, each]
        counts = np.bincount(chosen)
        for label in (0, 1):
            members = counts[labels[: len(counts)] == label]
            assert members.max() - members.min() <= 1
    assert len({tuple(sorted(chosen.tolist())) for chosen in epochs}) > 1, "every epoch draws anew"


def test_a_small_set_has_at_least_its_steps() -> None:
    labels = np.arange(10) % 2
    assert made(labels, Config(epochs=2, batch=5, min_steps=50), seed=0).steps == 50
    assert made(labels, Config(epochs=40, batch=5, min_steps=50), seed=0).steps == 80
    schedule = made(labels, Config(epochs=2, batch=5, min_steps=50, lr=0.5), seed=0)
    assert schedule.lr(0) == 0.5 and schedule.lr(25) == pytest.approx(0.25) and schedule.lr(49) < 0.001


def test_images_that_take_turns_are_shown_equally_often_over_the_epochs() -> None:
    labels = np.repeat([0, 1], [7, 3])
    schedule = made(labels, Config(epochs=7, batch=6, min_steps=0, balance="rotate"), seed=0)
    counts = np.bincount(torch.cat([schedule.batch(step) for step in range(7)]).numpy(), minlength=10)
    assert counts[:7].tolist() == [3] * 7, "seven epochs of three: each of the seven three times"
    assert counts[7:].tolist() == [7] * 3


def test_the_last_phase_shows_real_images_alone_at_a_tenth_of_the_learning_rate() -> None:
    labels = np.concatenate([np.arange(10) % 2, np.arange(30) % 2])
    schedule = made(labels, Config(epochs=2, batch=10, min_steps=0, lr=0.5, finetune_epochs=3), seed=0, real=10)
    assert schedule.steps == 8 + 3
    first, last = ([schedule.batch(step) for step in steps] for steps in (range(8), range(8, 11)))
    assert torch.cat(first).bincount(minlength=40).tolist() == [2] * 40
    assert all(sorted(batch.tolist()) == list(range(10)) for batch in last)
    assert schedule.lr(8) == pytest.approx(0.5 * FINETUNE_LR) and schedule.lr(10) < schedule.lr(9) < schedule.lr(8)
    assert [schedule.share(step) for step in (0, 4, 8, 10)] == [0.0, 0.5, 1.0, 1.0]


def test_a_last_phase_on_a_single_real_image_shows_it_twice() -> None:
    own = made(np.array([0, 1, 0, 1]), Config(epochs=1, batch=4, min_steps=0, finetune_epochs=3), seed=0, real=1)
    assert [own.batch(step).tolist() for step in range(own.steps - 2, own.steps)] == [[0, 0], [0, 0]]


def test_without_a_real_image_there_is_no_last_phase() -> None:
    own = made(np.array([0, 1, 0, 1]), Config(epochs=2, batch=4, min_steps=0, finetune_epochs=3), seed=0, real=0)
    assert own.steps == 2 and own.ends == {1, 2}


def test_each_phase_ends_as_many_epochs_as_it_has() -> None:
    own = made(np.array([0, 1] * 8), Config(epochs=4, batch=4, min_steps=40, finetune_epochs=2), seed=0, real=8)
    assert sorted(own.ends) == [10, 20, 30, 40, 42, 44]
