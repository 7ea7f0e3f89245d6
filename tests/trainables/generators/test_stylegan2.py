"""What is particular to StyleGAN2: modulation, penalties and their lazy updates, mixing, the average w."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.generators.bases.subject import Batch, Subject, TrainingData
from trainables.generators.networks.style import (
    ACTIVATION_GAIN,
    Discriminator,
    ResidualBlock,
    StyleConv,
    StyleGenerator,
    ToImage,
    append_deviation,
    map_sides,
)
from trainables.generators.stylegan2 import StyleGan2, StyleGan2Config, mix_styles, path_lengths
from trainables.generators.training.loop import train

GREY = Subject(shape=(1, 32, 32))


def small(subject: Subject = GREY, precision: str = "fp32", **settings: object) -> StyleGan2:
    tiny: dict[str, object] = {"latent_dim": 16, "channel_base": 256, "max_channels": 16, "d_reg_interval": 2, "g_reg_interval": 2}
    return StyleGan2(StyleGan2Config(**{**tiny, **settings}), subject, precision=precision)  # type: ignore[arg-type]


def images(num_classes: int = 1) -> TrainingData:
    pixels = torch.randint(0, 255, (24, 1, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return TrainingData(items=pixels, labels=torch.arange(24) % num_classes, num_classes=num_classes)


def batch(num_classes: int = 1) -> Batch:
    data = images(num_classes)
    return Batch(real=data.items[:8], labels=data.labels[:8])


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labels(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.int64)


def test_it_has_the_reference_s_parameters() -> None:
    # Config F at 1024 px with eight mapping layers, as the reference code prints it.
    channels, subject = StyleGan2Config().channels(1024), Subject(shape=(3, 1024, 1024))
    with torch.device("meta"):
        generator = StyleGenerator(subject=subject, latent_dim=512, mapping_depth=8, channels=channels)
        critic = Discriminator(subject=subject, mapping_depth=8, channels=channels, group=4)
    assert [sum(weight.numel() for weight in network.parameters()) for network in (generator, critic)] == [30_370_060, 29_012_513]


@pytest.mark.parametrize("size_px", [16, 256])
def test_the_ends_of_its_sizes_can_be_drawn_and_scored(size_px: int) -> None:
    model = small(Subject(shape=(3, size_px, size_px)))
    assert model.sample(0, 2, 0).items.shape == (2, 3, size_px, size_px)
    assert model.generator.num_styles == 2 * int(math.log2(size_px)) - 2
    assert model.critic(torch.zeros(8, 3, size_px, size_px), labels(8)).shape == (8,)


@pytest.mark.parametrize("up", [False, True])
def test_scaling_maps_equals_scaling_the_weights_of_each_image(up: bool) -> None:
    torch.manual_seed(0)
    layer = StyleConv(6, 5, 7, up=up, input_gain=1.0)
    maps, w = torch.randn(3, 6, 8, 8), torch.randn(3, 7)
    out = layer(maps, w, random())
    kernel = layer.weight if not up else layer.weight.transpose(0, 1)
    for image, style, seen in zip(maps, layer.affine(w), out, strict=True):
        modulated = kernel * style[None, :, None, None]
        demodulated = modulated / modulated.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
        if up:
            wide = functional.conv_transpose2d(image[None], demodulated.transpose(0, 1), stride=2)
            line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
            expected = functional.conv2d(wide, torch.outer(line, line).expand(5, 1, 4, 4), padding=1, groups=5)
        else:
            expected = functional.conv2d(image[None], demodulated, padding=1)
        torch.testing.assert_close(seen[None], functional.leaky_relu(expected, 0.2), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("input_gain", [1.0, ACTIVATION_GAIN])
def test_demodulated_outputs_have_unit_variance_whatever_the_style(input_gain: float) -> None:
    torch.manual_seed(0)
    layer = StyleConv(64, 64, 8, up=False, input_gain=input_gain)
    maps, w = torch.randn(8, 64, 16, 16) / input_gain, 5 * torch.randn(8, 8)
    out = layer(maps, w, random())
    before = torch.where(out > 0, out, out / 0.2)[:, :, 1:-1, 1:-1]  # at the edge there are fewer inputs
    assert float(before.detach().var()) == pytest.approx(1.0, abs=0.05)


def test_noise_enters_by_its_strength_and_the_random_numbers_alone_decide_it() -> None:
    layer = StyleConv(4, 4, 8, up=False, input_gain=1.0)
    maps, w = torch.randn(2, 4, 8, 8), torch.randn(2, 8)
    assert torch.equal(layer(maps, w, random(1)), layer(maps, w, random(2)))
    with torch.no_grad():
        layer.noise_strength.fill_(0.5)
    assert torch.equal(layer(maps, w, random(1)), layer(maps, w, random(1)))
    assert not torch.equal(layer(maps, w, random(1)), layer(maps, w, random(2)))


def test_an_image_layer_is_a_modulated_1_by_1_convolution() -> None:
    torch.manual_seed(0)
    layer = ToImage(6, 3, 7)
    maps, w = torch.randn(2, 6, 4, 4), torch.randn(2, 7)
    for image, style, seen in zip(maps, layer.affine(w), layer(maps, w), strict=True):
        kernel = (layer.weight * style[:, None]).t()[:, :, None, None] / 6**0.5
        torch.testing.assert_close(seen[None], functional.conv2d(image[None] * ACTIVATION_GAIN, kernel), atol=1e-5, rtol=1e-4)


def test_a_residual_block_leaves_no_gain_out() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(6, 9)
    with torch.no_grad():
        for weight in (block.first.bias, block.second.bias):
            assert weight is not None
            weight.normal_()
    maps = torch.randn(2, 6, 16, 16)
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = torch.outer(line, line).expand(6, 1, 4, 4)

    def activated(x: Tensor) -> Tensor:
        return functional.leaky_relu(x, 0.2) * 2**0.5

    inner = activated(functional.conv2d(maps, block.first.weight / 54**0.5, block.first.bias, padding=1))
    inner = functional.conv2d(inner, kernel, padding=2, groups=6)
    inner = activated(functional.conv2d(inner, block.second.weight / 54**0.5, block.second.bias, stride=2))
    beside = functional.conv2d(functional.conv2d(maps, kernel, stride=2, padding=1, groups=6), block.skip.weight / 6**0.5)
    torch.testing.assert_close(block(maps), (inner + beside) / 2**0.5, atol=1e-4, rtol=1e-4)


def test_the_deviation_is_that_of_each_group_averaged_over_maps() -> None:
    maps = torch.zeros(4, 2, 3, 3)
    maps[1, 0], maps[2], maps[3] = 4.0, 7.0, 7.0  # deviations: 2 over one map of two, and none
    out = append_deviation(maps, 2)
    assert out.shape == (4, 3, 3, 3)
    assert torch.equal(out[:, :2], maps)
    torch.testing.assert_close(out[:, 2, 1, 1], torch.tensor([1.0, 1.0, 0.0, 0.0]), atol=2e-4, rtol=0)


def test_real_and_synthetic_images_do_not_mix_in_one_pass() -> None:
    critic = small().critic
    both, half = torch.randn(16, 1, 32, 32), labels(8)
    torch.testing.assert_close(critic(both, labels(16))[:8], critic(both[:8], half), atol=1e-4, rtol=1e-4)
    scores = critic(both[:8], half)
    torch.testing.assert_close(critic(both[:8].roll(4, 0), half), scores.roll(4), atol=1e-4, rtol=1e-4)
    changed = critic(torch.cat([both[:3], torch.zeros(1, 1, 32, 32), both[4:8]]), half)
    assert (changed[:3] != scores[:3]).all()


def test_the_path_lengths_of_a_linear_generator_are_those_of_its_matrix() -> None:
    matrix = torch.randn(5, 1 * 4 * 4, generator=random(1))
    styles = torch.randn(3, 2, 5, generator=random(2)).requires_grad_(True)
    made = (styles.sum(dim=1) @ matrix).unflatten(1, (1, 4, 4))
    lengths = path_lengths(made, styles, random(3))
    y = torch.randn(3, 16, generator=random(3)) / 4
    # Each layer's slope is the matrix times y, and the squares are averaged over the layers.
    torch.testing.assert_close(lengths, (y @ matrix.t()).norm(dim=1))


def test_the_path_penalty_compares_with_the_mean_of_what_was_seen() -> None:
    model = small()
    first, second = (model.path_step(labels(1), random(seed)) for seed in (1, 2))
    assert float(first["path_penalty"]) == pytest.approx(0.0, abs=1e-10)
    lengths = [float(told["path_length"]) for told in (first, second)]
    mean = (0.99 * lengths[0] + lengths[1]) / 1.99
    assert float(model.path_mean) == pytest.approx(mean)
    assert float(second["path_penalty"]) == pytest.approx((lengths[1] - mean) ** 2, rel=1e-3)


class Quadratic(nn.Module):
    """D(x) = a |x|^2 / 2, whose gradient is a x."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(3.0))

    def forward(self, shown: Tensor, told: Tensor) -> Tensor:
        return 0.5 * self.a * shown.flatten(1).square().sum(dim=1)


@pytest.mark.parametrize("loss", ["r1_logistic", "rpgan"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_penalty_of_a_quadratic_critic_is_known_and_moves_it(loss: str, precision: str) -> None:
    model = small(adversarial_loss=loss, r1_gamma=10.0, precision=precision)
    model.critic = Quadratic()
    real, fake = torch.randn(8, 1, 32, 32), torch.randn(8, 1, 32, 32)
    powers = [float(part.flatten(1).square().sum(dim=1).mean()) for part in ((real,) if loss == "r1_logistic" else (real, fake))]
    with model.autocast():
        penalty = model.penalty(real, fake, labels(8), random())
    assert float(penalty.detach()) == pytest.approx(10 / 2 * 9 * sum(powers), rel=1e-4)
    (slope,) = torch.autograd.grad(penalty, [model.critic.a])
    assert float(slope) == pytest.approx(10 * 3 * sum(powers), rel=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_penalties_reach_the_weights_of_the_networks_themselves(precision: str) -> None:
    model = small(Subject(shape=(1, 32, 32), num_classes=3), precision=precision)
    real = torch.randn(8, 1, 32, 32)
    model.penalty(real, real, torch.arange(8) % 3, random()).backward()
    for name, weight in model.critic.named_parameters():
        if not (name.endswith("bias") or name.startswith("mapping")):
            assert weight.grad is not None and weight.grad.abs().sum() > 0, name
    before = {name: weight.detach().clone() for name, weight in model.generator.named_parameters()}
    model.path_step(labels(4), random())
    still = {name for name, weight in model.generator.named_parameters() if torch.equal(weight, before[name])}
    # Noise has no strength yet, and what is merely added to an image bends no path.
    assert still <= {name for name in before if name.startswith("images.") and name.endswith(".bias") and "affine" not in name}


def test_penalties_come_as_updates_of_their_own_and_adam_is_corrected_for_them() -> None:
    model = small(d_reg_interval=16, g_reg_interval=4, lr=2e-3)
    for optimizer, share in ((model.optimizer_g, 4 / 5), (model.optimizer_d, 16 / 17)):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(2e-3 * share)
        assert optimizer.param_groups[0]["betas"] == pytest.approx((0.0, 0.99**share))
    assert model.optimizer_g.param_groups[1]["lr"] == pytest.approx(2e-3 * 0.8 * 0.01)
    assert sum(len(group["params"]) for group in model.optimizer_g.param_groups) == len(list(model.generator.parameters()))
    list(train(model, images(), start_step=0, stop_step=16, seed=0))
    updates = [optimizer.state[next(iter(optimizer.param_groups[0]["params"]))]["step"] for optimizer in (model.optimizer_g, model.optimizer_d)]
    assert [int(count) for count in updates] == [20, 17]


def test_without_a_penalty_adam_stays_as_it_is_and_nothing_is_lazy() -> None:
    model = small(r1_gamma=0.0, pl_weight=0.0)
    assert [optimizer.param_groups[0]["lr"] for optimizer in (model.optimizer_g, model.optimizer_d)] == [2e-3, 2e-3]
    assert model.steps_per_period == 1
    assert set(model.train_step(batch(), 0)) == {"loss_d", "loss_g"}


@pytest.mark.parametrize(
    ("settings", "period"),
    [({}, 16), ({"d_reg_interval": 6}, 12), ({"aug_mode": "ada", "d_reg_interval": 3, "g_reg_interval": 1}, 12), ({"pl_weight": 0.0}, 16)],
)
def test_a_period_holds_every_lazy_interval(settings: dict[str, object], period: int) -> None:
    assert small(**{"d_reg_interval": 16, "g_reg_interval": 4, **settings}).steps_per_period == period  # type: ignore[arg-type]


def test_mixing_takes_the_second_w_from_the_crossover_on() -> None:
    first, second = torch.zeros(3, 4, 2), torch.ones(3, 2)
    mixed = mix_styles(first, second, torch.tensor([1, 3, 4]))
    assert mixed[:, :, 0].tolist() == [[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_as_many_images_are_mixed_as_the_setting_says_and_none_whole() -> None:
    for share in (0.0, 0.5, 1.0):
        w, styles = small(style_mixing_prob=share).styles(labels(400), random(4))
        assert torch.equal(styles[:, 0], w)
        mixed = (styles[:, -1] != w).any(dim=1).float().mean()
        assert float(mixed) == pytest.approx(share, abs=0.1 if share == 0.5 else 0.0)


def test_the_average_w_is_its_mean_from_the_first_step_on_and_forgets_slowly() -> None:
    generator = small(Subject(shape=(1, 32, 32), num_classes=3)).generator
    w, told = torch.randn(8, 16), torch.tensor([0, 0, 0, 1, 1, 1, 1, 1])
    generator.follow(w, told, 0.995)
    torch.testing.assert_close(generator.middle(torch.tensor([0, 1])), torch.stack([w[:3].mean(dim=0), w[3:].mean(dim=0)]), atol=1e-4, rtol=1e-3)
    assert generator.middle(torch.tensor([2])).abs().sum() == 0
    alone = small().generator
    values = torch.randn(40, 8, 16)
    for value in values:
        alone.follow(value, labels(8), 0.9)
    weights = 0.9 ** torch.arange(39.0, -1.0, -1.0)
    expected = (values.mean(dim=1) * weights[:, None]).sum(dim=0) / weights.sum()
    torch.testing.assert_close(alone.middle(labels(1))[0], expected, atol=1e-4, rtol=1e-3)


def test_truncation_pulls_images_together_and_towards_the_average_w() -> None:
    model = small(style_mixing_prob=0.0)
    list(train(model, images(), start_step=0, stop_step=4, seed=0))
    spreads = [float(model.sample(0, 32, 0, truncation=share).items.float().std(dim=0).mean()) for share in (1.0, 0.5, 0.1)]
    assert spreads[0] > 1.2 * spreads[1] > 1.5 * spreads[2]
    with torch.no_grad():
        middle = model.ema.middle(labels(1))[:, None].expand(-1, model.ema.num_styles, -1)
        assert model.ema.w_weight.item() > 0
        near = model.draw(torch.randn(1, 16), labels(1), 1e-6)
        torch.testing.assert_close(near, model.ema.synthesise(middle, random()), atol=1e-3, rtol=0)


def test_the_average_of_the_weights_ramps_up() -> None:
    model = small(batch=40, mbstd_group=4, ema_halflife_kimg=10.0)
    for step, half_life in ((0, 2.0), (9, 20.0)):  # a twentieth of what was shown
        old = [weight.clone() for weight in model.ema.parameters()]
        with torch.no_grad():
            for weight in model.generator.parameters():
                weight.add_(1.0)
        model.average(step, 40)
        for before, average, weight in zip(old, model.ema.parameters(), model.generator.parameters(), strict=True):
            torch.testing.assert_close(average, torch.lerp(before, weight, 1 - 0.5 ** (40 / half_life)))


def test_half_of_the_real_images_are_mirrored() -> None:
    shown = images().items[:1].expand(400, -1, -1, -1)
    prepared = small(xflip=True).prepare(shown, random())
    plain = small(xflip=False).prepare(shown, random())
    share = (prepared == plain.flip(3)).flatten(1).all(dim=1).float().mean()
    assert float(share) == pytest.approx(0.5, abs=0.1)
    assert ((prepared == plain) | (prepared == plain.flip(3))).all()


@pytest.mark.parametrize(("mode", "changes"), [("none", False), ("ada", False), ("diffaug", True), ("both", True)])
def test_what_changes_images_is_what_the_setting_names(mode: str, changes: bool) -> None:
    model = small(aug_mode=mode)
    shown = torch.rand(8, 1, 32, 32)
    assert torch.equal(model.augment(shown, random()), shown) is not changes  # ADA begins at p = 0
    model.adaptive.p.fill_(1.0)
    assert torch.equal(model.augment(shown, random()), shown) is (mode == "none")


@pytest.mark.parametrize("loss", ["r1_logistic", "rpgan"])
def test_ada_rises_under_a_sure_critic(loss: str) -> None:
    model = small(aug_mode="ada", ada_kimg=1.0, ada_target=-0.99, adversarial_loss=loss)
    for step in range(4):
        told = model.train_step(batch(), step)
    assert float(told["ada_p"]) == 0.0
    assert float(model.adaptive.p) == pytest.approx(4 * 8 / 1000)


def test_a_relativistic_training_with_ada_continues_bit_for_bit() -> None:
    straight, first, second = (small(aug_mode="ada", ada_kimg=0.2, adversarial_loss="rpgan") for _ in range(3))
    data = images()
    list(train(straight, data, start_step=0, stop_step=5, seed=0))
    list(train(first, data, start_step=0, stop_step=3, seed=0))
    second.load(first.state())
    list(train(second, data, start_step=3, stop_step=5, seed=0))
    assert float(straight.path_mean) == float(second.path_mean) > 0
    assert float(straight.adaptive.p) == float(second.adaptive.p)
    assert torch.equal(straight.generator.w_sum, second.generator.w_sum)
    for one, other in zip(straight.generator.parameters(), second.generator.parameters(), strict=True):
        assert torch.equal(one, other)


def test_maps_keep_their_channels_inside_whatever_the_image() -> None:
    model = small()
    strides: list[bool] = []
    for part in [*model.generator.layers, *model.critic.blocks]:
        part.register_forward_hook(lambda module, inputs, out: strides.append(out.is_contiguous(memory_format=torch.channels_last)))
    model.train_step(batch(), 0)
    assert len(strides) > 10 and all(strides)


def test_the_channels_follow_the_base_up_to_the_most() -> None:
    assert StyleGan2Config().channels(256) == {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128}
    assert StyleGan2Config(channel_base=1024, max_channels=96).channels(32) == {4: 96, 8: 96, 16: 64, 32: 32}
    assert map_sides(16) == [4, 8, 16]
