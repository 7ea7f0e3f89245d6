"""The training loop: whole epochs without a state, marks on batch boundaries, reports and checkpoints."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.errors import SettingsError
from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.dcgan import Dcgan, DcganConfig
from trainables.generators.training.loop import Shuffle, steps_for, train
from trainables.generators.wgan_gp import WganGp, WganGpConfig


@given(count=st.integers(1, 20), start=st.integers(0, 100), length=st.integers(1, 50), seed=st.integers(0, 2**40))
def test_rows_are_a_pure_function_of_the_position(count: int, start: int, length: int, seed: int) -> None:
    whole = Shuffle(count, seed).rows(0, start + length)
    assert torch.equal(Shuffle(count, seed).rows(start, start + length), whole[start:])
    epochs = whole[: len(whole) // count * count].reshape(-1, count)
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(count).expand_as(epochs))


def test_epochs_differ_and_so_do_seeds() -> None:
    rows = Shuffle(50, 1).rows(0, 100)
    assert not torch.equal(rows[:50], rows[50:])
    assert not torch.equal(rows, Shuffle(50, 2).rows(0, 100))


@pytest.mark.parametrize(
    ("batch", "n_critic", "gp_interval", "kimg", "steps"),
    [(64, 1, 1, 0.064, 1), (64, 1, 1, 0.065, 2), (64, 5, 1, 0.001, 5), (64, 5, 2, 1.0, 20), (32, 5, 1, 1.6, 50), (32, 5, 1, 1.601, 55)],
)
def test_marks_fall_on_whole_periods(batch: int, n_critic: int, gp_interval: int, kimg: float, steps: int) -> None:
    config = WganGpConfig(batch=batch, n_critic=n_critic, gp_interval=gp_interval, width=8)
    model = WganGp(config, Subject(shape=(1, 32, 32)))
    assert steps_for(model, kimg) == steps


def test_a_mark_must_be_above_0() -> None:
    model = Dcgan(DcganConfig(width=8), Subject(shape=(1, 32, 32)))
    with pytest.raises(SettingsError, match="not above 0"):
        steps_for(model, 0.0)
    with pytest.raises(SettingsError, match="not above 0"):
        steps_for(model, float("nan"))


def tiny() -> tuple[Dcgan, TrainingData]:
    pixels = torch.randint(0, 255, (6, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = TrainingData(items=pixels, labels=torch.zeros(6, dtype=torch.int64), num_classes=1)
    return Dcgan(DcganConfig(width=8, batch=8), Subject(shape=(1, 32, 32))), data


def test_it_reports_at_once_when_asked_to_and_always_at_the_end() -> None:
    model, data = tiny()
    every = list(train(model, data, start_step=2, stop_step=5, seed=0, report_every_s=0.0))
    assert [progress.kimg for progress in every] == pytest.approx([0.024, 0.032, 0.040])
    assert {progress.stage for progress in every} == {"generator"}
    assert set(every[0].metrics) == {"loss_d", "loss_g"}
    last = list(train(model, data, start_step=5, stop_step=8, seed=0, report_every_s=1e9))
    assert [progress.kimg for progress in last] == pytest.approx([0.064])


def test_it_saves_on_time_and_when_nobody_listens_any_more() -> None:
    model, data = tiny()
    saved: list[int] = []
    list(train(model, data, start_step=0, stop_step=4, seed=0, checkpoint=saved.append, checkpoint_every_s=0.0, report_every_s=0.0))
    assert saved == [1, 2, 3]
    saved.clear()
    going = train(model, data, start_step=4, stop_step=9, seed=0, checkpoint=saved.append, report_every_s=0.0)
    next(going)
    next(going)
    going.close()  # type: ignore[attr-defined]
    assert saved == [6]


def test_a_single_class_is_taken_out_and_relabelled() -> None:
    pixels = torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(4, 1, 32, 32)
    data = TrainingData(items=pixels, labels=torch.tensor([0, 2, 1, 2]), num_classes=3)
    one = data.only(2)
    assert one.num_classes == 1
    assert one.items[:, 0, 0, 0].tolist() == [1, 3]
    assert one.labels.tolist() == [0, 0]
