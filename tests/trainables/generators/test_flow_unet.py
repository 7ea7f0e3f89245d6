"""The flow-matching UNet: guidance, what it is told of augmentation, drawing apart from training, and that it learns."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainables.checkpoints import state_from_bytes, state_to_bytes
from trainables.errors import SettingsError
from trainables.generators.bases.subject import Batch, Subject, TrainingData
from trainables.generators.flow_unet import FlowUnet, FlowUnetConfig
from trainables.generators.networks.attention import SelfAttention
from trainables.generators.networks.unet import PATCH_PX, UNet, drop
from trainables.generators.training.loop import train
from trainables.generators.training.stage import generator_key, train_to_mark
from trainables.generators.training.told_changes import CHANGES, change
from trainables.recipe import GeneratorPart
from trainables.store import Store


def model(*, size_px: int = 16, num_classes: int = 2, vectors: Tensor | None = None, seed: int = 0, **settings: object) -> FlowUnet:
    config = FlowUnetConfig(**{"width": 8, "batch": 8, "sample_steps": 3, **settings})  # type: ignore[arg-type]
    return FlowUnet(config, Subject(shape=(1, size_px, size_px), num_classes=num_classes, class_vectors=vectors), seed=seed)


def awake(flow: FlowUnet) -> FlowUnet:
    """Replaces the weights, most of which lead nowhere at first."""
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in flow.ema.parameters():
            weight.copy_(torch.randn(weight.shape, generator=random) * 0.2)
    return flow


def test_guidance_scale_1_is_the_conditional_field_and_others_lead_away_from_the_null_class() -> None:
    flow = awake(model())
    noisy, labels = torch.randn(3, 1, 16, 16), torch.tensor([0, 1, 1])
    level, nothing = torch.full((3,), 0.4), torch.zeros(3, CHANGES)
    with torch.no_grad():
        conditional = flow.ema(noisy, level, labels, told=torch.ones(3), changes=nothing)
        null = flow.ema(noisy, level, labels, told=torch.zeros(3), changes=nothing)
        assert float((conditional - null).abs().mean()) > 1e-3
        torch.testing.assert_close(flow.field(noisy, 0.4, labels, 1.0), conditional)
        torch.testing.assert_close(flow.field(noisy, 0.4, labels, 2.5), null + 2.5 * (conditional - null))
        # The null class is the same whatever the label.
        torch.testing.assert_close(flow.ema(noisy, level, 1 - labels, told=torch.zeros(3), changes=nothing), null)


def test_guidance_changes_what_a_model_of_classes_draws_and_not_one_of_a_single_class() -> None:
    for num_classes in (2, 1):
        plain, guided = (awake(model(num_classes=num_classes, cfg_scale=scale)) for scale in (1.0, 3.0))
        assert torch.equal(plain.sample(0, 2, 1).items, guided.sample(0, 2, 1).items) == (num_classes == 1)


def test_drawing_says_that_nothing_was_augmented_and_training_says_what_was(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = model(aug_prob=0.5)
    told: list[Tensor] = []
    forward = UNet.forward

    def listen(self: UNet, *arguments: Tensor, changes: Tensor, **more: Tensor) -> Tensor:
        told.append(changes)
        return forward(self, *arguments, changes=changes, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(UNet, "forward", listen)
    flow.sample(0, 2, 1)
    flow.look(0, 2, 1)
    assert len(told) == 5 + 7 and not any(bool(changes.any()) for changes in told)
    told.clear()
    flow.train_step(Batch(real=torch.zeros(8, 1, 16, 16, dtype=torch.uint8), labels=torch.zeros(8, dtype=torch.int64)), 0)
    assert bool(told[0].any())


def test_an_image_that_is_as_it_was_has_a_row_of_zeros_and_the_others_do_not() -> None:
    images = torch.randn(64, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    changed, told = change(images, 0.2, torch.Generator().manual_seed(1))
    untouched = (told == 0).all(dim=1)
    assert 0.1 < float(untouched.float().mean()) < 0.45  # 0.8 to the power of 6 is 0.26
    assert torch.equal(changed[untouched], images[untouched])
    assert all(not torch.allclose(after, before) for after, before in zip(changed[~untouched], images[~untouched], strict=True))
    same, nothing = change(images, 0.0, torch.Generator().manual_seed(1))
    assert torch.equal(same, images) and not bool(nothing.any())


def test_each_change_does_what_it_is_told_as() -> None:
    images = torch.nn.functional.avg_pool2d(torch.randn(400, 1, 20, 20, generator=torch.Generator().manual_seed(0)), 5, 1)
    changed, told = change(images, 0.15, torch.Generator().manual_seed(2))
    touched = told != 0
    only_across = touched[:, 0] & (touched.sum(dim=1) == 1)
    only_down = touched[:, 1] & (touched.sum(dim=1) == 1)
    only_shift = touched[:, 6] & touched[:, 7] & (touched.sum(dim=1) == 2)
    only_turn = touched[:, 4] & (touched.sum(dim=1) == 2) & ~touched[:, 6]
    assert min(int(rows.sum()) for rows in (only_across, only_down, only_shift, only_turn)) > 5
    torch.testing.assert_close(changed[only_across], images[only_across].flip(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(changed[only_down], images[only_down].flip(2), atol=1e-4, rtol=0)
    # A shift by a share of the side, found again as the shift at which the two agree best.
    row = int(only_shift.nonzero()[0])
    right, down = (round(float(share) * 16) for share in told[row, 6:8])
    moved = {
        (x, y): float((changed[row, 0, 5:11, 5:11] - images[row, 0, 5 - y : 11 - y, 5 - x : 11 - x]).abs().mean())
        for x in range(-5, 6)
        for y in range(-5, 6)
    }
    best = min(moved, key=moved.__getitem__)
    assert abs(best[0] - right) <= 1 and abs(best[1] - down) <= 1
    torch.testing.assert_close((told[only_turn, 3] + 1).square() + told[only_turn, 4].square(), torch.ones(int(only_turn.sum())))


def test_a_tiny_model_learns_the_two_images_it_is_shown() -> None:
    dark, bright = torch.full((2, 1, 16, 16), 60, dtype=torch.uint8)
    dark[:, :, :8], bright[:, :, :8] = 120, 180
    data = TrainingData(items=torch.stack([dark, bright + 60]), labels=torch.zeros(2, dtype=torch.int64), num_classes=1)
    flow = model(num_classes=1, batch=32, lr=1e-2, dropout=0.0, aug_prob=0.0, ema_halflife_kimg=0.3, sample_steps=8)
    list(train(flow, data, start_step=0, stop_step=100, seed=0, report_every_s=1e9))
    drawn = flow.sample(0, 128, 1).items.float()
    wanted = data.items.float()
    apart = float((wanted[0] - wanted[1]).abs().mean())
    assert float((drawn.mean(dim=0) - wanted.mean(dim=0)).abs().mean()) < 0.3 * apart
    distance = (drawn[:, None] - wanted[None]).abs().mean(dim=(2, 3, 4))
    nearest, which = distance.min(dim=1)
    assert float(nearest.median()) < 0.2 * apart
    assert 0.2 < float(which.float().mean()) < 0.8


@pytest.mark.parametrize(("objective", "begins_at"), [("flow", 2.0), ("edm", 1.0), ("v", 1.0)])
def test_every_objective_lowers_its_loss_from_that_of_saying_nothing(objective: str, begins_at: float) -> None:
    """A fresh network answers about 0, which costs the mean square of what is asked for: data and noise have deviation 1."""
    pixels = torch.arange(0, 256, 16, dtype=torch.uint8).repeat(16, 1)[None].repeat(2, 1, 1, 1)
    pixels[1] = pixels[1].flip(2)
    flow = model(objective=objective, batch=16, lr=1e-2, ema_halflife_kimg=0.1, aug_prob=0.0, dropout=0.0)
    data = TrainingData(items=pixels, labels=torch.arange(2), num_classes=2)
    told = [progress.metrics["loss"] for progress in train(flow, data, start_step=0, stop_step=40, seed=0, report_every_s=0.0)]
    assert told[0] == pytest.approx(begins_at, rel=0.1)
    assert sum(told[-10:]) / 10 < 0.7 * told[0]
    assert flow.sample(0, 2, 1).items.shape == (2, 1, 16, 16)


def test_how_images_are_drawn_is_no_part_of_a_training() -> None:
    keys = {
        generator_key(
            GeneratorPart(family="flow_unet", settings=settings, kimg=1.0),
            Subject(shape=(1, 16, 16)),
            inputs=["pack"],
            cls=None,
            precision="fp32",
            seed=0,
        )
        for settings in ({}, {"cfg_scale": 3.0}, {"sample_steps": 4}, {"cfg_dropout": 0.2})
    }
    assert len(keys) == 2
    one, other = awake(model()), awake(model(sample_steps=9, cfg_scale=2.0))
    assert torch.equal(one.look(1, 3, 0).items, other.look(1, 3, 0).items)
    assert not torch.equal(one.sample(1, 3, 0).items, other.sample(1, 3, 0).items)


def test_there_is_no_critic_and_the_state_says_so() -> None:
    flow = model()
    assert list(flow.critic.parameters()) == [] and flow.is_finite()
    state = state_from_bytes(state_to_bytes(flow.state()))
    assert state["critic"] == {} and state["optimizer_d"] == {}
    flow.load(state)


def test_mean_and_deviation_of_the_pixels_go_with_the_state() -> None:
    pixels = torch.randint(100, 120, (6, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    flow, other = model(), model(seed=1)
    flow.fit(TrainingData(items=pixels, labels=torch.arange(6) % 2, num_classes=2))
    assert float(flow.ema.mean) == pytest.approx(float(pixels.float().mean()) / 127.5 - 1, abs=1e-6)
    assert float(flow.ema.deviation) == pytest.approx(float(pixels.float().std(correction=0)) / 127.5, abs=1e-6)
    other.load(flow.state())
    assert torch.equal(other.sample(0, 2, 5).items, flow.sample(0, 2, 5).items)
    # Images all of one grey are not scaled without bound.
    flow.fit(TrainingData(items=torch.full_like(pixels, 7), labels=torch.arange(6) % 2, num_classes=2))
    assert float(flow.ema.deviation) == pytest.approx(1 / 127.5)


def test_the_cost_of_an_image_is_that_of_all_runs_under_a_trial_s_own_settings(tmp_path: Path) -> None:
    data = TrainingData(items=torch.randint(0, 255, (6, 1, 16, 16), dtype=torch.uint8), labels=torch.arange(6) % 2, num_classes=2)

    def costs(**drawing: float) -> tuple[bool, float]:
        part = GeneratorPart(family="flow_unet", settings={"width": 8, "batch": 8, "sample_steps": 3, **drawing}, kimg=0.01)
        work = train_to_mark(part, data=data, inputs=[], cls=None, seed=0, precision="fp32", device="cpu", store=Store(tmp_path))
        while True:
            try:
                next(work)
            except StopIteration as stop:
                return stop.value.reused, stop.value.costs["generator_gmadds"]

    (trained, base), *others = costs(), costs(sample_steps=6), costs(cfg_scale=2.0)
    assert not trained and all(reused for reused, _ in others)
    assert [value / base for _, value in others] == pytest.approx([11 / 5, 2.0])
    one_run = model().drawing_costs()["generator_gmadds"]
    assert base == pytest.approx(5 * one_run)


def test_dropout_leaves_out_its_share_in_training_alone() -> None:
    maps = torch.ones(4, 8, 16, 16)
    assert torch.equal(drop(maps, 0.3, None), maps)
    left = drop(maps, 0.3, torch.Generator().manual_seed(0))
    assert left.unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
    assert float((left == 0).float().mean()) == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("size_px", sorted(PATCH_PX))
def test_attention_is_innermost_and_large_images_enter_as_patches(size_px: int) -> None:
    network = model(size_px=size_px).generator
    assert sum(isinstance(part, SelfAttention) for part in network.modules()) == 1
    places: list[int] = []
    network.attention.register_forward_pre_hook(lambda _, given: places.append(given[0].shape[2]))
    with torch.no_grad():
        made = network(
            torch.zeros(1, 1, size_px, size_px), torch.zeros(1), torch.zeros(1, dtype=torch.int64), told=torch.ones(1), changes=torch.zeros(1, 8)
        )
    assert made.shape == (1, 1, size_px, size_px) and places == [8]
    assert len(network.down) == int(math.log2(size_px // PATCH_PX[size_px] // 8)) + 1


def test_a_class_may_be_told_by_any_vector() -> None:
    flow = awake(model(num_classes=3, vectors=torch.randn(3, 5, generator=torch.Generator().manual_seed(0))))
    assert flow.generator.label is not None and flow.generator.label.in_features == 5
    assert not torch.equal(flow.sample(0, 2, 1).items, flow.sample(2, 2, 1).items)
    assert model(num_classes=1).generator.label is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"cfg_dropout": 0.0, "cfg_scale": 2.0}, "needs a null class"),
        ({"cfg_scale": 0.5}, "cfg_scale: 0.5 is less than 1"),
        ({"dropout": 1.0}, "dropout: 1.0"),
        ({"aug_prob": 1.5}, "not a probability"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        FlowUnetConfig(**settings)  # type: ignore[arg-type]
