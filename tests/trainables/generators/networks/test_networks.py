"""Parameter counts that the papers and the reference code imply, and what is particular to one family."""

import pytest
import torch
from torch import nn

from trainables.generators.bases.model import GeneratorModel
from trainables.generators.bases.subject import Subject
from trainables.generators.dcgan import Dcgan, DcganConfig
from trainables.generators.lm_gan import LmGan, LmGanConfig
from trainables.generators.networks.layers import DownStack


def counts(model: GeneratorModel) -> tuple[int, int]:
    generator, critic = (sum(weight.numel() for weight in network.parameters()) for network in (model.generator, model.critic))
    return generator, critic


def test_dcgan_has_the_reference_s_parameters() -> None:
    # pytorch/examples dcgan at 64 px: nz 100, ngf = ndf = 64, three channels.
    assert counts(Dcgan(DcganConfig(), Subject(shape=(3, 64, 64)))) == (3_576_704, 2_765_568)


def test_lm_gan_at_256_px_starts_from_8_by_8_and_512_channels() -> None:
    model = LmGan(LmGanConfig(), Subject(shape=(1, 256, 256)))
    assert model.generator.entry.weight.shape == (512 * 8 * 8, 512)
    assert [type(layer) for layer in model.generator.mapping].count(nn.Linear) == 8
    with torch.no_grad():
        assert model.generator(torch.randn(2, 50), torch.zeros(2, dtype=torch.int64)).shape == (2, 1, 256, 256)


def test_mapping_depth_0_feeds_the_latent_itself() -> None:
    config = LmGanConfig(mapping_depth=0, latent_dim=6, base_channels=8, normalize_z=False)
    model = LmGan(config, Subject(shape=(1, 32, 32)))
    z = torch.randn(4, 6)
    assert torch.equal(model.generator.map(z), z)
    assert len(model.optimizer_g.param_groups) == 1


def test_normalised_latents_have_unit_mean_square() -> None:
    config = LmGanConfig(mapping_depth=0, latent_dim=6, base_channels=8)
    z = LmGan(config, Subject(shape=(1, 32, 32))).generator.map(torch.randn(4, 6) * 9)
    torch.testing.assert_close(z.square().mean(dim=1), torch.ones(4))


def test_the_mapping_learns_at_its_own_rate() -> None:
    config = LmGanConfig(mapping_depth=2, mapping_width=16, w_dim="latent", base_channels=8, lr=1e-3, mapping_lr_mult=0.1)
    model = LmGan(config, Subject(shape=(1, 32, 32), num_classes=2))
    assert [group["lr"] for group in model.optimizer_g.param_groups] == pytest.approx([1e-3, 1e-4])
    assert sum(len(group["params"]) for group in model.optimizer_g.param_groups) == len(list(model.generator.parameters()))


def test_truncation_pulls_images_together() -> None:
    models: list[GeneratorModel] = [
        Dcgan(DcganConfig(width=8), Subject(shape=(1, 32, 32))),
        LmGan(LmGanConfig(mapping_depth=2, mapping_width=32, w_dim="latent", base_channels=8), Subject(shape=(1, 32, 32))),
    ]
    for model in models:
        wide, narrow = (model.sample(0, 32, 0, truncation=truncation).items.float().std(dim=0).mean() for truncation in (1.0, 0.2))
        assert narrow < 0.6 * wide


def test_the_middle_of_w_is_its_mean() -> None:
    model = LmGan(LmGanConfig(mapping_depth=2, mapping_width=32, w_dim="latent", base_channels=8), Subject(shape=(1, 32, 32)))
    model.sampler_state()
    with torch.no_grad():
        w = model.ema.map(torch.randn(20_000, 50, generator=torch.Generator().manual_seed(3)))
    torch.testing.assert_close(model.ema.middle, w.mean(dim=0), atol=0.05, rtol=0)


def test_a_critic_without_norm_scores_each_image_by_itself() -> None:
    critic = DownStack(width=8, subject=Subject(shape=(1, 32, 32), num_classes=2), norm=False)
    images, labels = torch.randn(6, 1, 32, 32), torch.tensor([0, 1, 0, 1, 0, 1])
    torch.testing.assert_close(critic(images, labels)[:2], critic(images[:2], labels[:2]))


def test_norms_are_measured_anew_for_the_averaged_weights() -> None:
    model = Dcgan(DcganConfig(width=8, batch=8, ema_halflife_kimg=1.0), Subject(shape=(1, 32, 32)))
    state = model.sampler_state()
    norm = model.ema.layers[1]
    assert isinstance(norm, nn.BatchNorm2d)
    z = model.latent(4096, torch.Generator().manual_seed(8))
    with torch.no_grad():
        maps = model.ema.layers[0](z[:, :, None, None])
    torch.testing.assert_close(state["layers.1.running_mean"], maps.mean(dim=(0, 2, 3)), atol=0.03, rtol=0)
    torch.testing.assert_close(state["layers.1.running_var"], maps.var(dim=(0, 2, 3)), atol=0, rtol=0.15)
