"""CycleGAN: its networks, its losses in closed form, its pool."""

import pytest
import torch
from torch import Tensor, nn

from trainables.errors import SettingsError
from trainables.generators.bases.subject import Batch, Subject, TrainingData
from trainables.generators.cyclegan import CycleGan, CycleGanConfig, PatchCritic, jittered, l1_of_both
from trainables.generators.networks.translators import ReflectedConv2d
from trainables.generators.training.image_pool import ImagePool
from trainables.generators.training.loop import train

TINY = {"base_width": 8, "n_res_blocks": 1, "batch": 4}


def tiny(**more: object) -> CycleGan:
    return CycleGan(CycleGanConfig(**{**TINY, **more}), Subject(shape=(1, 32, 32)))  # type: ignore[arg-type]


def scenes_and_defects() -> TrainingData:
    pixels = torch.randint(0, 255, (20, 1, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return TrainingData(items=pixels, labels=torch.zeros(20, dtype=torch.int64), backgrounds=pixels[:5], num_classes=1)


def metrics(model: CycleGan, steps: int = 1) -> dict[str, float]:
    (last,) = train(model, scenes_and_defects(), start_step=0, stop_step=steps, seed=0, report_every_s=1e9)
    return last.metrics


@pytest.mark.parametrize(("size_px", "parameters"), [(128, 7_833_987), (256, 11_372_931)])
def test_its_generators_have_six_blocks_and_nine_at_256_px(size_px: int, parameters: int) -> None:
    # The authors' 7,837,699 and 11,378,179 without the biases that instance norm takes away: 3,712 and 5,248.
    model = CycleGan(CycleGanConfig(), Subject(shape=(3, size_px, size_px)))
    assert [sum(weight.numel() for weight in model.generator[side].parameters()) for side in ("defect", "background")] == [parameters] * 2  # type: ignore[index]
    assert model.parameters_m() == parameters / 1e6
    assert sum(weight.numel() for weight in model.critic.parameters()) == 2 * 2_763_841
    layers = list(model.generator.modules())
    assert not any(layer.affine for layer in layers if isinstance(layer, nn.InstanceNorm2d))
    # The convolutions of stride 2 pad with zeros, as the authors' do.
    assert {layer.stride for layer in layers if isinstance(layer, nn.Conv2d) and not isinstance(layer, ReflectedConv2d)} == {(2, 2)}
    spread = torch.cat([layer.weight.flatten() for layer in layers if isinstance(layer, nn.Conv2d)]).std()
    torch.testing.assert_close(spread, torch.tensor(0.02), atol=2e-4, rtol=0)


def test_a_patch_is_70_pixels_wide() -> None:
    critic = PatchCritic(width=4, channels=1)
    for norm in [layer for layer in critic.layers if isinstance(layer, nn.InstanceNorm2d)]:
        norm.forward = lambda maps: maps  # type: ignore[method-assign]  # a norm would see the whole image
    images = torch.zeros(1, 1, 128, 128, requires_grad=True)
    scores = critic(images)
    assert scores.shape == (1, 1, 14, 14)
    (slope,) = torch.autograd.grad(scores[0, 0, 7, 7], images)
    rows = slope[0, 0].abs().sum(dim=1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


class Same(nn.Module):
    """Gives back what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        return images * self.share


@pytest.mark.parametrize("loss", ["lsgan", "hinge"])
def test_generators_that_change_nothing_lose_nothing_but_to_the_critics(loss: str) -> None:
    model = tiny(adversarial_loss=loss)
    model.generator = nn.ModuleDict({"defect": Same(), "background": Same()})
    model.optimizer_g = torch.optim.SGD(model.generator.parameters(), lr=0.0)
    for critic in model.critic.values():  # type: ignore[operator]
        for weight in critic.parameters():
            nn.init.zeros_(weight)
        nn.init.constant_(critic.layers[-1].bias, 0.25)
    model.optimizer_d = torch.optim.SGD(model.critic.parameters(), lr=0.0)
    data = scenes_and_defects()
    told = model.train_step(Batch(real=data.items[:4], labels=data.labels[:4], backgrounds=data.items[4:8]), 0)
    assert float(told["loss_cyc"]) == float(told["loss_idt"]) == 0.0
    # Every patch scores 0.25: two critics; the generators' least squares are not halved, the critics' loss is.
    expected = {"lsgan": (2 * 0.75**2, 0.5 * 2 * (0.75**2 + 0.25**2)), "hinge": (-0.5, 0.5 * 2 * (0.75 + 1.25))}[loss]
    assert (float(told["loss_g"]), float(told["loss_d"])) == pytest.approx(expected)


def test_the_cycle_loss_is_the_mean_difference_of_both_sides() -> None:
    real = {"defect": torch.zeros(2, 1, 4, 4), "background": torch.ones(2, 1, 4, 4)}
    made = {"defect": torch.full((2, 1, 4, 4), 0.3), "background": torch.full((2, 1, 4, 4), 0.8)}
    assert float(l1_of_both(made, real)) == pytest.approx(0.5)


def test_without_its_weight_the_identity_is_not_looked_at() -> None:
    passes = {}
    for weight in (0.5, 0.0):
        model = tiny(lambda_idt=weight)
        shapes: list[int] = []
        for generator in model.generator.values():  # type: ignore[operator]
            generator.register_forward_hook(lambda module, inputs, output, shapes=shapes: shapes.append(len(output)))  # type: ignore[misc]
        passes[weight] = ("loss_idt" in metrics(model), sorted(shapes))
    assert passes == {0.5: (True, [4, 4, 8, 8]), 0.0: (False, [4, 4, 4, 4])}


def test_the_penalty_of_a_relativistic_loss_reaches_both_critics() -> None:
    assert {"penalty_defect", "penalty_background"} <= set(metrics(tiny(adversarial_loss="rpgan")))
    assert "penalty_defect" not in metrics(tiny())


def numbered(start: int, count: int) -> Tensor:
    return torch.arange(start, start + count, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2)


@pytest.mark.parametrize("batch", [1, 8])
def test_the_pool_fills_up_to_50_and_then_swaps_with_probability_one_half(batch: int) -> None:
    pool, random = ImagePool(50, (1, 2, 2), torch.device("cpu")), torch.Generator().manual_seed(0)
    shown = [pool.exchange(numbered(start, batch), random)[:, 0, 0, 0] for start in range(0, 48, batch)]
    assert torch.equal(torch.cat(shown), torch.arange(48.0))
    assert (pool.filled, pool.images[:48, 0, 0, 0].tolist()) == (48, list(range(48)))
    swapped = later = 0
    for start in range(48, 4048, batch):
        given = numbered(start, batch)
        had = {*pool.images[: pool.filled, 0, 0, 0].tolist(), *given[:, 0, 0, 0].tolist()}
        out = pool.exchange(given, random)[:, 0, 0, 0]
        # Nothing is shown twice from the pool, and nothing is lost but what was shown.
        has = set(pool.images[:, 0, 0, 0].tolist())
        if pool.filled == 50 and start > 56:
            assert had - has == set(out.tolist())
            swapped, later = swapped + int((out != given[:, 0, 0, 0]).sum()), later + batch
    assert swapped / later == pytest.approx(0.5, abs=0.03)


def test_without_a_pool_the_newest_are_shown() -> None:
    pool = ImagePool(0, (1, 2, 2), torch.device("cpu"))
    assert torch.equal(pool.exchange(numbered(3, 4), torch.Generator()), numbered(3, 4))
    assert metrics(tiny(pool_size=0), steps=2)["loss_cyc"] > 0


def test_what_the_pool_holds_is_part_of_the_state() -> None:
    model, fresh = tiny(pool_size=6), tiny(pool_size=6)
    metrics(model, steps=2)
    fresh.load(model.state())
    for side in ("defect", "background"):
        assert (model.pools[side].filled, fresh.pools[side].filled) == (6, 6)
        assert torch.equal(model.pools[side].images, fresh.pools[side].images)
        assert float(model.pools[side].images.abs().sum()) > 0


def test_jittered_images_are_crops_of_larger_ones() -> None:
    ramp = torch.linspace(-1, 1, 64).expand(100, 1, 64, 64)
    crops = jittered(ramp, torch.Generator().manual_seed(0))
    assert crops.shape == ramp.shape
    assert crops.abs().max() <= 1
    rises = crops[:, 0, 32, 40] > crops[:, 0, 32, 20]
    assert 0.3 < float(rises.float().mean()) < 0.7  # mirrored left to right
    torch.testing.assert_close(crops[:, :, :1].expand_as(crops), crops)  # and never turned
    steps = (crops[rises][:, 0, 0, 40] - crops[rises][:, 0, 0, 20]) / 20
    torch.testing.assert_close(steps, torch.full_like(steps, 2 / 63 / (286 / 256)), rtol=0.03, atol=0)
    assert len(crops[rises][:, 0, 0, 0].unique()) > 3  # from several places


def test_a_model_has_two_sides_and_a_step_shows_a_batch_of_each() -> None:
    model = tiny(batch=3)
    assert (model.batch_size, model.backgrounds_per_step, model.images_per_step) == (3, 3, 6)


@pytest.mark.parametrize(("start", "rates"), [(0.5, [1.0, 1.0, 1.0, 0.5, 0.0]), (0.25, [1.0, 1.0, 2 / 3, 1 / 3, 0.0]), (1.0, [1.0] * 5)])
def test_the_rate_falls_from_the_start_of_the_decay_on(start: float, rates: list[float]) -> None:
    model = tiny(decay_start=start, horizon_kimg=0.032)
    found = []
    for step in range(5):
        model.schedule(step)
        found.append(model.optimizer_d.param_groups[0]["lr"] / model.config.lr)
    assert found == pytest.approx(rates)


def test_a_pool_smaller_than_a_batch_is_refused() -> None:
    with pytest.raises(SettingsError, match="cannot hold a batch of 8"):
        CycleGanConfig(pool_size=6, batch=8)
