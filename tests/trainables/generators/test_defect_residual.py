"""The masked defect residual: outside of its mask an image is its background, and both branches learn from what they are meant to."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from trainables.errors import SettingsError
from trainables.generators.bases.subject import Batch, Subject, TrainingData
from trainables.generators.defect_residual import DefectResidual, DefectResidualConfig
from trainables.generators.networks.residual import masked, pooled_noise
from trainables.generators.training.loop import train

SMALL: dict[str, Any] = {"width": 8, "latent_dim": 8, "batch": 8, "gp_interval": 1}
LOSSES = ["r1_logistic", "wgan_gp", "rpgan"]
SUBJECT = Subject(shape=(1, 32, 32), num_classes=2)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(subject: Subject = SUBJECT, **settings: Any) -> DefectResidual:
    return DefectResidual(DefectResidualConfig(**{**SMALL, **settings}), subject, seed=3)


def data(*, masks: bool = True) -> TrainingData:
    pixels = torch.randint(0, 255, (12, 1, 32, 32), dtype=torch.uint8, generator=random())
    where = torch.zeros(12, 1, 32, 32, dtype=torch.uint8)
    where[:, :, 4:12, 6:14] = 255
    scenes = torch.randint(0, 255, (5, 1, 32, 32), dtype=torch.uint8, generator=random(1))
    return TrainingData(items=pixels, labels=torch.arange(12) % 2, masks=where if masks else None, backgrounds=scenes, num_classes=2)


def batch(made: DefectResidual, *, masks: bool = True) -> Batch:
    given, count = data(masks=masks), made.batch_size
    assert given.backgrounds is not None
    shown = given.masks[:count] if given.masks is not None else None
    return Batch(real=given.items[:count], labels=given.labels[:count], masks=shown, backgrounds=given.backgrounds[:count])


def weights(made: DefectResidual) -> dict[str, torch.Tensor]:
    named = [(f"{side}.{name}", weight) for side in ("generator", "critic") for name, weight in getattr(made, side).named_parameters()]
    return {name: weight.detach().clone() for name, weight in named}


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_a_mask_is_zero_up_to_zero_and_gradients_pass_everywhere() -> None:
    logits = torch.linspace(-4, 4, 81).requires_grad_(True)
    residual = torch.full((81,), 0.5).requires_grad_(True)
    mask, change = masked(logits, residual)
    assert torch.equal(mask.detach()[:41], torch.zeros(41)) and torch.equal(change.detach()[:41], torch.zeros(41))
    assert torch.allclose(mask.detach()[41:], torch.tanh(logits.detach()[41:]), atol=1e-6)
    assert torch.allclose(change.detach(), 0.5 * mask.detach(), atol=1e-6)
    smooth = torch.sigmoid(2 * logits.detach())
    (by_mask,) = torch.autograd.grad(mask.sum(), logits, retain_graph=True)
    assert torch.allclose(by_mask, 2 * smooth * (1 - smooth)) and (by_mask > 0).all()
    by_logits, by_residual = torch.autograd.grad(change.sum(), (logits, residual))
    assert torch.allclose(by_logits, 0.5 * by_mask) and torch.allclose(by_residual, smooth) and (by_residual > 0).all()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_outside_of_the_mask_an_image_is_a_background(precision: str) -> None:
    made = DefectResidual(DefectResidualConfig(**SMALL, mirror_backgrounds=False), SUBJECT, precision=precision, seed=3)
    scenes = data().backgrounds
    assert scenes is not None
    drawn = made.sample(1, 70, 0, backgrounds=scenes)
    assert drawn.masks is not None and 0.05 < (drawn.masks > 0).float().mean() < 0.95
    equal = (drawn.items[:, None] == scenes[None]) | (drawn.masks > 0)[:, None]
    hits = equal.flatten(2).all(dim=2)
    assert (hits.sum(dim=1) == 1).all()
    assert hits.sum(dim=0).tolist() == [14] * 5, "no background is used twice before all were used"
    changed = drawn.items != scenes[hits.int().argmax(dim=1)]
    assert changed[drawn.masks > 0].float().mean() > 0.9


def test_mirrored_backgrounds_give_more_images() -> None:
    scenes = data().backgrounds
    assert scenes is not None
    made = model()
    with torch.no_grad():
        weight, bias = made.ema.defect.exit.parameters()
        weight.zero_()
        bias.fill_(-100.0)  # no pixel is in the mask
    drawn = made.sample(0, 200, 0, backgrounds=scenes[:1])
    assert drawn.masks is not None and not drawn.masks.any()
    mirrored = {bytes(image.flatten().tolist()) for image in drawn.items}
    assert mirrored == {bytes(scenes[:1].flip(axes).flatten().tolist()) for axes in ([], [2], [3], [2, 3])}


@pytest.mark.parametrize("background", ["real", "generated"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("masks", [True, False])
def test_gradients_reach_every_weight_of_both_games(background: str, loss: str, masks: bool) -> None:
    made = model(background=background, adversarial_loss=loss)
    before = weights(made)
    told = made.train_step(batch(made, masks=masks), 0)
    assert moved(before, weights(made)) == set(before)
    assert ("loss_g_background" in told) == (background == "generated")
    assert all(value.ndim == 0 and not value.requires_grad and value.isfinite() for value in told.values())


@pytest.mark.parametrize("frozen", [True, False])
def test_defects_teach_the_background_only_where_it_is_not_frozen(frozen: bool) -> None:
    made = model(background="generated", freeze_background=frozen)
    z = made.latent(4, random())
    images, _ = made.generator(z, torch.zeros(4, dtype=torch.int64), made._scenes(z, torch.zeros(4, 1, 32, 32)))
    images.sum().backward()
    assert made.generator.background is not None
    assert all((weight.grad is None) == frozen for weight in made.generator.background.parameters())


def test_generated_backgrounds_need_none_to_draw_from() -> None:
    made = model(background="generated")
    one, two = made.sample(0, 3, 1), made.sample(0, 3, 1, backgrounds=data().backgrounds)
    assert torch.equal(one.items, two.items)
    shapes, length = made.probe()
    assert shapes(torch.zeros(2, *length)).shape == (2, 1, 32, 32)


def test_the_critic_compares_masks_only_where_the_real_one_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    made = model(diffaug="none")
    seen: list[torch.Tensor] = []

    def judge(pairs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen.append(pairs)
        return pairs.mean(dim=(1, 2, 3))

    monkeypatch.setattr(made.critic.defects, "forward", judge)
    shown = batch(made)
    assert shown.masks is not None
    half = shown.masks.clone()
    half[2:] = 0  # nobody marked these
    monkeypatch.setattr(made, "slope", lambda pairs, labels: torch.zeros_like(pairs, requires_grad=True))
    monkeypatch.setattr(made.optimizer_d, "step", lambda: None)
    made.train_step(replace(shown, masks=half), 0)
    real, fake = seen[0].chunk(2)
    assert torch.equal(real[:, 1:], half.float() / 255)
    assert fake[:2, 1:].any() and not fake[2:, 1:].any()


def test_an_unknown_mask_costs_what_its_area_is_off_by_and_its_edges() -> None:
    made = model(mask_l1=2.0, mask_area=0.125, mask_smooth=3.0)
    mask = torch.zeros(2, 1, 32, 32)
    mask[:, :, :8] = 1.0  # a quarter of the picture: twice the free share, with one edge of 32 pixels
    unknown, known = torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1)
    edges = 32 / (31 * 32) / 2
    assert float(made._prior(mask, unknown)) == pytest.approx(2.0 * 1.0 + 3.0 * edges)
    assert float(made._prior(mask, known)) == 0.0
    assert float(made._prior(mask * 0.25, unknown)) == float(made._prior(mask, unknown)), "a faint mask changes the image as well"
    mask[:, :, 3:] = 0.0
    assert float(made._prior(mask, unknown)) == pytest.approx(3.0 * edges), "less than the free share costs nothing"
    assert float(made._prior(mask * 0.0, unknown)) == pytest.approx(2.0), "but no area at all does"


def test_image_and_mask_are_moved_and_cut_alike_and_colours_are_the_image_s() -> None:
    made = model(Subject(shape=(3, 32, 32)), diffaug="translation,cutout")
    picture = torch.rand(6, 1, 32, 32, generator=random())
    changed = made.augment(picture.expand(-1, 4, -1, -1), random(1))
    assert not torch.equal(changed[:, :1], picture)
    assert torch.equal(changed[:, 3], changed[:, 0])
    coloured = model(Subject(shape=(3, 32, 32)), diffaug="color").augment(picture.expand(-1, 4, -1, -1), random(1))
    assert torch.equal(coloured[:, 3:], picture) and not torch.equal(coloured[:, :1], picture)


def test_pooled_noise_keeps_its_variance() -> None:
    levels = pooled_noise(torch.randn(200, 1, 32, 32, generator=random()), 4)
    assert [level.shape[-1] for level in levels] == [4, 8, 16, 32]
    assert all(abs(float(level.std()) - 1.0) < 0.05 for level in levels)


@pytest.mark.parametrize("masks", [True, False])
def test_it_trains_in_the_loop_with_and_without_masks(masks: bool) -> None:
    made = model(n_critic=2, gp_interval=3)
    assert made.steps_per_period == 6
    (last,) = train(made, data(masks=masks), start_step=0, stop_step=6, seed=0, report_every_s=1e9)
    assert {"loss_d", "loss_g", "penalty", "mask_area"} == set(last.metrics)


def test_missing_backgrounds_are_said() -> None:
    with pytest.raises(SettingsError, match=r"data\.backgrounds"):
        model().sample(0, 1, 0)
