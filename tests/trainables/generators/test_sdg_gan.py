"""SDG-GAN: tables 2 and 3 layer by layer, what a smaller image leaves out, and its four changes one at a time."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.generators.bases.subject import Batch, Subject, TrainingData
from trainables.generators.sdg_gan import SdgGan, SdgGanConfig
from trainables.generators.training.loop import train


def sizes(model: SdgGan) -> tuple[int, int]:
    generator, critic = (sum(weight.numel() for weight in network.parameters()) for network in (model.generator, model.critic))
    return generator, critic


def shapes(layers: nn.Module, maps: Tensor, kinds: tuple[type[nn.Module], ...]) -> list[tuple[str, int, tuple[int, int, int]]]:
    """Lists name, side of the kernel and output (H, W, C) of the layers of some kinds, as the paper's tables do."""
    seen = []
    with torch.no_grad():
        for layer in layers.children():
            maps = layer(maps)
            if isinstance(layer, kinds):
                side: Any = layer.kernel_size
                seen.append((type(layer).__name__, side if isinstance(side, int) else side[0], (maps.shape[2], maps.shape[3], maps.shape[1])))
    return seen


def test_both_networks_are_tables_2_and_3() -> None:
    # At 256 px grey, latent 256, one class, batch norm after the dense layer alone.
    model = SdgGan(SdgGanConfig(), Subject(shape=(1, 256, 256)))
    assert sizes(model) == (10_029_057, 6_993_409)
    up, same = "ConvTranspose2d", "Conv2d"
    assert shapes(model.generator.layers, torch.zeros(1, 512, 4, 4), (nn.ConvTranspose2d, nn.Conv2d)) == [
        (up, 4, (8, 8, 512)),
        (up, 4, (16, 16, 256)),
        (up, 4, (32, 32, 128)),
        (up, 6, (64, 64, 128)),
        (up, 6, (128, 128, 64)),
        (same, 4, (128, 128, 64)),
        (same, 4, (128, 128, 64)),
        (up, 6, (256, 256, 32)),
        (same, 5, (256, 256, 1)),
    ]
    found = shapes(model.critic.layers, torch.zeros(1, 1, 256, 256), (nn.Conv2d, nn.AvgPool2d))
    assert [(side, shape[2]) for name, side, shape in found if name == same] == [(7, 32), (5, 64), (5, 128), (5, 256), (3, 512), (3, 1024)]
    assert [shape for name, _, shape in found if name == "AvgPool2d"] == [
        (side, side, channels) for side, channels in zip((128, 64, 32, 16, 8, 4), (32, 64, 128, 256, 512, 1024), strict=True)
    ]
    assert [type(part) for part in model.generator.modules() if "BatchNorm" in type(part).__name__] == [nn.BatchNorm1d]


@pytest.mark.parametrize("size_px", [16, 32, 64, 128])
def test_a_smaller_image_keeps_the_image_s_side_of_the_tables(size_px: int) -> None:
    small, full = (SdgGan(SdgGanConfig(width=4, latent_dim=8), Subject(shape=(1, side, side))) for side in (size_px, 256))
    for one, other, last in ((small.generator, full.generator, True), (small.critic, full.critic, False)):
        kept, whole = ([weight.shape for weight in network.layers.parameters()] for network in (one, other))
        assert kept == (whole[-len(kept) :] if last else whole[: len(kept)])
        assert len(kept) < len(whole)
    with torch.no_grad():
        drawn = small.generator(torch.randn(2, 8), torch.zeros(2, dtype=torch.int64))
        assert drawn.shape == (2, 1, size_px, size_px)
        assert small.critic(drawn, torch.zeros(2, dtype=torch.int64)).shape == (2,)


CHANGES = {
    "extra_convs": ({"extra_convs": 0}, {"extra_convs"}),
    "downsample": ({"downsample": "stride"}, {"avgpool"}),
    "g_activation": ({"g_activation": "relu"}, {"leaky"}),
    "adversarial_loss": ({"adversarial_loss": "bce"}, {"wgan_gp", "no_norm"}),
}
"""A setting that takes one of the four changes to DCGAN back, and the marks of the paper's model that go with it."""


def marks(model: SdgGan) -> set[str]:
    generator, critic = list(model.generator.modules()), list(model.critic.modules())
    found = {"extra_convs"} if any(isinstance(part, nn.Conv2d) for part in generator) else set()
    found |= {"avgpool"} if any(isinstance(part, nn.AvgPool2d) for part in critic) else set()
    found |= {"leaky"} if any(isinstance(part, nn.LeakyReLU) for part in generator) else set()
    found |= {"no_norm"} if not any(isinstance(part, nn.BatchNorm2d) for part in critic) else set()
    return found | {model.loss}


@pytest.mark.parametrize("change", ["none", *CHANGES])
def test_each_change_to_dcgan_is_taken_back_by_itself(change: str) -> None:
    settings, gone = CHANGES.get(change, ({}, set()))
    config = SdgGanConfig(width=4, latent_dim=8, batch=4, n_critic=1, **settings)  # type: ignore[arg-type]
    model = SdgGan(config, Subject(shape=(1, 32, 32)))
    whole = {"extra_convs", "avgpool", "leaky", "wgan_gp", "no_norm"}
    assert marks(model) & whole == whole - gone
    pixels = torch.randint(0, 255, (8, 1, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    (last,) = train(model, TrainingData(items=pixels, labels=torch.zeros(8, dtype=torch.int64), num_classes=1), start_step=0, stop_step=2, seed=0)
    assert ("penalty" in last.metrics) == ("wgan_gp" not in gone)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_first_extra_convolution_is_the_output_s(count: int) -> None:
    model = SdgGan(SdgGanConfig(width=4, latent_dim=8, extra_convs=count), Subject(shape=(3, 32, 32)))
    sides = [part.kernel_size[0] for part in model.generator.modules() if isinstance(part, nn.Conv2d)]
    assert sides == [4] * (count - 1) + [5] * (count > 0)
    with torch.no_grad():
        assert model.generator(torch.randn(2, 8), torch.zeros(2, dtype=torch.int64)).shape == (2, 3, 32, 32)


def test_weights_begin_so_that_no_layer_fades() -> None:
    model = SdgGan(SdgGanConfig(width=8), Subject(shape=(1, 128, 128)))
    seen: list[float] = []
    for part in model.generator.layers:
        if isinstance(part, nn.LeakyReLU):
            part.register_forward_hook(lambda module, inputs, output: seen.append(float(output.square().mean())))
    with torch.no_grad():
        model.generator(torch.randn(16, 256, generator=torch.Generator().manual_seed(0)), torch.zeros(16, dtype=torch.int64))
    assert len(seen) == 7
    assert 0.1 < min(seen) and max(seen) < 2.0


def shown(augmentation: str) -> tuple[Tensor, Tensor]:
    """Gives 100 equal images as they are and as the critic is shown them."""
    image = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8) + 96
    model = SdgGan(SdgGanConfig(width=2, latent_dim=4, augmentation=augmentation), Subject(shape=(1, 16, 16)))  # type: ignore[arg-type]
    return image / 127.5 - 1, model.prepare(image.expand(100, -1, -1, -1), model.random(0))


def test_real_images_are_augmented_anew_each_time_they_are_shown() -> None:
    image, same = shown("none")
    assert torch.equal(same, same[:1].expand_as(same))
    torch.testing.assert_close(same[:1], image)
    _, turned = shown("flips")
    four = [image, image.flip(3), image.flip(2), image.flip(2, 3)]
    counts = [sum(bool(torch.allclose(one, option[0], atol=1e-5)) for one in turned) for option in four]
    assert sum(counts) == 100
    assert min(counts) > 10
    _, lit = shown("flips,light")
    means, spreads = lit.mean(dim=(1, 2, 3)) - image.mean(), lit.std(dim=(1, 2, 3)) / image.std()
    assert 0.15 < float(means.abs().max()) <= 0.2 + 1e-6
    assert 0.79 < float(spreads.min()) < 0.85 and 1.15 < float(spreads.max()) < 1.21


def test_synthetic_images_are_not_augmented() -> None:
    model = SdgGan(SdgGanConfig(width=2, latent_dim=4, batch=4, n_critic=1), Subject(shape=(1, 16, 16)))
    seen: list[Tensor] = []
    model.generator.register_forward_hook(lambda module, inputs, output: seen.append(output.detach().clone()))
    model.critic.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    pixels = torch.randint(0, 255, (4, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    model.train_step(Batch(real=pixels, labels=torch.zeros(4, dtype=torch.int64)), 0)
    fake, both, again = seen
    assert torch.equal(both[4:], fake) and torch.equal(again, fake)
