"""Parameter counts that the papers and the reference code imply, and what is particular to one family."""

import pytest
import torch
from torch import nn

from trainables.errors import SettingsError
from trainables.generators.dcgan import Dcgan, DcganConfig
from trainables.generators.layers import DownStack
from trainables.generators.lm_gan import LmGan, LmGanConfig
from trainables.generators.loop import train
from trainables.generators.model import GeneratorModel
from trainables.generators.pe_gan import PeGan, PeGanConfig, mirror
from trainables.generators.stage import check, resolve
from trainables.generators.subject import Subject, TrainingData
from trainables.recipe import GeneratorPart


def counts(model: GeneratorModel) -> tuple[int, int]:
    generator, critic = (sum(weight.numel() for weight in network.parameters()) for network in (model.generator, model.critic))
    return generator, critic


def test_dcgan_has_the_reference_s_parameters() -> None:
    # pytorch/examples dcgan at 64 px: nz 100, ngf = ndf = 64, three channels.
    assert counts(Dcgan(DcganConfig(), Subject(shape=(3, 64, 64)))) == (3_576_704, 2_765_568)


def test_pe_gan_has_the_paper_s_parameters() -> None:
    # Tables 1 and 2 at 128 px with nine defect classes and the background.
    assert counts(PeGan(PeGanConfig(), Subject(shape=(3, 128, 128), num_classes=9))) == (2_310_275, 4_441_920)


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


def test_mirrored_images_are_one_of_four() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    turned = mirror(image.expand(200, -1, -1, -1), torch.Generator().manual_seed(0))
    four = [image, image.flip(3), image.flip(2), image.flip(2, 3)]
    shares = [sum(bool(torch.equal(one, option[0])) for one in turned) / 200 for option in four]
    assert sum(shares) == 1.0
    assert min(shares) > 0.15


def scenes_and_defects() -> TrainingData:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 255, (20, 1, 32, 32), generator=random, dtype=torch.uint8)
    return TrainingData(items=pixels, labels=torch.arange(20) % 3, backgrounds=pixels[:5], num_classes=3, background_label=2)


def test_pe_gan_takes_a_defect_free_class_for_the_background() -> None:
    config = PeGanConfig(base_width=8, n_res_blocks=1, batch=4, n_critic=1)
    model = PeGan(config, Subject(shape=(1, 32, 32), num_classes=3, background_label=2))
    assert (model.domains, model.background_domain) == (3, 2)
    apart = PeGan(config, Subject(shape=(1, 32, 32), num_classes=3))
    assert (apart.domains, apart.background_domain) == (4, 3)
    seen: list[int] = []
    step = model.train_step
    model.train_step = lambda batch, at: (seen.extend(batch.labels.tolist()), step(batch, at))[1]  # type: ignore[method-assign]
    list(train(model, scenes_and_defects(), start_step=0, stop_step=5, seed=0))
    assert set(seen) == {0, 1}


def test_pe_gan_uses_every_background_before_any_twice() -> None:
    config = PeGanConfig(base_width=8, n_res_blocks=1, mirror_backgrounds=False)
    model = PeGan(config, Subject(shape=(1, 32, 32), num_classes=2))
    drawn = model.sample(0, 5, 3, backgrounds=scenes_and_defects().backgrounds)
    assert len({image.numpy().tobytes() for image in drawn.items}) == 5


def test_production_alone_leaves_the_elimination_out() -> None:
    losses = {}
    for directions in ("both", "production_only"):
        config = PeGanConfig(base_width=8, n_res_blocks=1, batch=4, n_critic=1, both_directions=directions)  # type: ignore[arg-type]
        model = PeGan(config, Subject(shape=(1, 32, 32), num_classes=3, background_label=2))
        shapes: list[int] = []
        model.generator.register_forward_hook(lambda module, inputs, output, shapes=shapes: shapes.append(len(output)))  # type: ignore[misc]
        (last,) = train(model, scenes_and_defects(), start_step=0, stop_step=1, seed=0)
        losses[directions] = (shapes, last.metrics)
    assert losses["both"][0] == [4, 4, 4]
    assert losses["production_only"][0] == [2, 2, 2]


def test_a_linear_decay_reaches_nothing_at_its_horizon_and_no_mark_lies_beyond() -> None:
    settings = {"lr_decay": "linear", "horizon_kimg": 0.016, "batch": 4, "base_width": 8, "n_res_blocks": 1}
    family, config = resolve(GeneratorPart(family="pe_gan", settings=settings, kimg=0.016))
    model = family(config, Subject(shape=(1, 32, 32), num_classes=3, background_label=2))
    rates = []
    for step in range(4):
        list(train(model, scenes_and_defects(), start_step=step, stop_step=step + 1, seed=0))
        rates.append(model.optimizer_g.param_groups[0]["lr"] / config.lr)
    assert rates == pytest.approx([1.0, 1.0, 1.0, 0.5])
    with pytest.raises(SettingsError, match="beyond the learning rate's horizon"):
        resolve(GeneratorPart(family="pe_gan", settings=settings, kimg=0.02))
    resolve(GeneratorPart(family="pe_gan", settings={**settings, "lr_decay": "none"}, kimg=0.02))


def test_a_generator_that_the_data_cannot_serve_is_refused_beforehand() -> None:
    check(GeneratorPart(family="pe_gan", kimg=1.0), size_px=64, backgrounds=True)
    with pytest.raises(SettingsError, match="the study has none"):
        check(GeneratorPart(family="pe_gan", kimg=1.0), size_px=64, backgrounds=False)
    with pytest.raises(SettingsError, match="16 px"):
        check(GeneratorPart(family="lm_gan", kimg=1.0), size_px=16, backgrounds=False)
    with pytest.raises(SettingsError, match="did you mean 'dcgan'"):
        check(GeneratorPart(family="dcgann", kimg=1.0), size_px=64, backgrounds=False)
    with pytest.raises(SettingsError, match="not above 0"):
        check(GeneratorPart(family="dcgan", kimg=0.0), size_px=64, backgrounds=False)
