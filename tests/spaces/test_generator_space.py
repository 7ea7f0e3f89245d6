"""The families' spaces: their defaults are the papers' values, and lie within what each family accepts."""

import dataclasses
import random

import pytest

from spaces.conditioning import SETTINGS, config_settings
from spaces.domains import Fixed
from spaces.generators import GENERATOR_SPACES
from spaces.space import Space
from trainables.errors import SettingsError
from trainables.generators import GENERATORS
from trainables.recipe import ConditioningPart
from trainables.registry import resolve
from trainables.settings import from_plain

# What TF-VAEGAN's script for AWA2 says, and the two-stage paper does not.
AWA2 = {
    "hidden": 4096,
    "latent_size": 29,
    "gamma_d": 10,
    "gamma_g": 10,
    "lambda_gp": 10,
    "critic_iter": 5,
    "recons_weight": 0.1,
    "a1": 0.01,
    "a2": 0.01,
    "lr": 1e-5,
    "dec_lr": 1e-4,
    "feed_lr": 1e-4,
    "batch": 64,
    "freeze_dec": True,
    "encoded_noise": True,
    "classifier_lr": 1e-3,
    "ema_halflife_kimg": 0,
}
# Values printed in the papers or in the reference code that the papers build on; where a paper is silent, the value chosen for it.
PAPERS = {
    "dcgan": {"g_lr": 2e-4, "d_lr_ratio": 1, "beta1": 0.5, "batch": 64, "latent_dim": 100, "width": 64, "label_smoothing": 0, "ema_halflife_kimg": 0},
    "gan": {"optimizer": "rmsprop", "lr": 5e-5, "batch": 64, "latent_dim": 100, "width": 256, "adversarial_loss": "bce", "ema_halflife_kimg": 0},
    "lsgan": {
        "g_lr": 2e-4,
        "d_lr_ratio": 1,
        "beta1": 0.5,
        "batch": 64,
        "latent_dim": 100,
        "width": 64,
        "targets": "0,1,1",
        "label_smoothing": 0,
        "class_mode": "per_class",
        "ema_halflife_kimg": 0,
    },
    "sdg_gan": {
        "lr": 2e-4,
        "betas": "0.5,0.9",
        "gp_lambda": 10,
        "n_critic": 3,
        "batch": 64,
        "latent_dim": 256,
        "width": 32,
        "extra_convs": 3,
        "downsample": "avgpool",
        "g_activation": "leaky_relu",
        "adversarial_loss": "wgan_gp",
        "augmentation": "flips,light",
        "class_mode": "per_class",
        "ema_halflife_kimg": 0,
    },
    "wgan_gp": {"lr": 1e-4, "betas": "0,0.9", "gp_lambda": 10, "n_critic": 5, "batch": 64, "ema_halflife_kimg": 0},
    "lm_gan": {
        "latent_dim": 50,
        "mapping_depth": 8,
        "mapping_lr_mult": 0.01,
        "normalize_z": True,
        "optimizer": "rmsprop",
        "lr": 5e-5,
        "gp_lambda": 10,
        "n_critic": 5,
        "ema_halflife_kimg": 0,
    },
    "cyclegan": {
        "lr": 2e-4,
        "betas": "0.5,0.999",
        "lambda_cyc": 10,
        "lambda_idt": 0.5,
        "adversarial_loss": "lsgan",
        "pool_size": 50,
        "batch": 1,
        "base_width": 64,
        "n_res_blocks": "auto",
        "lr_decay": "linear",
        "decay_start": 0.5,
        "class_mode": "per_class",
        "diffaug": "none",
        "ema_halflife_kimg": 0,
    },
    "stargan": {
        "lr": 1e-4,
        "betas": "0.5,0.999",
        "lambda_cls": 1,
        "lambda_rec": 10,
        "adversarial_loss": "wgan_gp",
        "gp_lambda": 10,
        "n_critic": 5,
        "batch": 16,
        "base_width": 64,
        "n_res_blocks": 6,
        "lr_decay": "linear",
        "horizon_kimg": 3200,
        "class_mode": "conditional",
        "diffaug": "none",
        "ema_halflife_kimg": 0,
    },
    "pe_gan": {
        "lr": 1e-4,
        "betas": "0.9,0.99",
        "lambda_cls_d": 2,
        "lambda_cls_g": 5,
        "lambda_rec": 10,
        "gp_lambda": 10,
        "n_critic": 5,
        "batch": 16,
        "base_width": 32,
        "n_res_blocks": 6,
        "both_directions": "both",
        "adversarial_loss": "wgan_gp",
        "diffaug": "none",
        "ema_halflife_kimg": 0,
    },
    "stylegan2": {
        "lr": 2e-3,
        "mapping_lr_mult": 0.01,
        "batch": 8,
        "latent_dim": 512,
        "mapping_depth": 2,
        "channel_base": 32768,
        "max_channels": 512,
        "mbstd_group": 4,
        "adversarial_loss": "r1_logistic",
        "r1_gamma": 10,
        "d_reg_interval": 16,
        "pl_weight": 2,
        "g_reg_interval": 4,
        "style_mixing_prob": 0.9,
        "aug_mode": "diffaug",
        "diffaug": "color,translation,cutout",
        "ada_target": 0.6,
        "ada_kimg": 500,
        "xflip": True,
        "ema_halflife_kimg": 10,
    },
    "defect_residual": {"betas": "0,0.99", "adversarial_loss": "r1_logistic", "freeze_background": True, "ema_halflife_kimg": 10},
    "cutpaste": {"patch_area": 0.15, "patch_shape": "both", "jitter": 0.1},
    "perlin": {"scale": 6, "threshold": 0.5, "opacity": 1},
    "fastgan": {
        "lr": 2e-4,
        "betas": "0.5,0.9",
        "batch": 8,
        "latent_dim": 256,
        "recon_weight": 1,
        "attn_res": "none",
        "adversarial_loss": "hinge",
        "diffaug": "translation,cutout",
    },
    "flow_unet": {
        "objective": "flow",
        "lr": 1e-4,
        "width": 64,
        "aug_prob": 0.15,
        "cfg_dropout": 0.1,
        "cfg_scale": 1,
        "sample_steps": 18,
        "ema_halflife_kimg": 220,
    },
    "vaegan_ce": {
        **AWA2,
        "adaptive_gp": False,
        "recons_loss": "mse",
        "feedback": False,
    },
    "tf_vaegan": {**AWA2, "adaptive_gp": True, "recons_loss": "weighted_l1", "unit_attributes": True, "feedback": True},
    "smote": {"k_neighbors": 5},
    "adasyn": {"n_neighbors": 5},
}


def test_every_family_has_a_space() -> None:
    assert set(GENERATOR_SPACES) == set(GENERATORS) == set(PAPERS)


@pytest.mark.parametrize("family", GENERATORS)
def test_defaults_are_the_config_s_and_the_paper_s(family: str) -> None:
    config = resolve(GENERATORS[family]).Config()
    settings = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    assert {name: domain.default for name, domain in config_settings(GENERATOR_SPACES[family])} == settings
    assert {name: settings[name] for name in PAPERS[family]} == PAPERS[family]


@pytest.mark.parametrize("family", GENERATORS)
def test_a_class_is_told_as_the_family_says(family: str) -> None:
    kind = resolve(GENERATORS[family])
    space = Space(GENERATOR_SPACES[family])
    modes = space.names()["class_mode"]
    assert set(modes.grid(0)) <= set(kind.class_modes)
    assert ("conditioning" in space.names()) == (kind.takes_vectors and "conditional" in kind.class_modes)
    if "conditioning" in space.names():
        usual = space.defaults({"class_mode": "conditional"})
        assert usual["conditioning"] == kind.conditioning
        blended = space.defaults({"class_mode": "conditional", "conditioning": "blend"})
        told = {name: blended[name] for name in SETTINGS}
        assert ConditioningPart(kind="blend", **{name: told[name] for name in SETTINGS[1:]}) == ConditioningPart(kind="blend")
    for mode in {"per_class", "pooled"} & set(modes.grid(0)):
        assert not set(space.defaults({"class_mode": mode})) & set(SETTINGS)


@pytest.mark.parametrize("family", GENERATORS)
def test_every_default_names_its_source(family: str) -> None:
    assert [name for name, domain in Space(GENERATOR_SPACES[family]).names().items() if not domain.source] == []


@pytest.mark.parametrize("family", GENERATORS)
def test_the_family_accepts_whatever_the_space_suggests(family: str) -> None:
    rng = random.Random(0)
    config = resolve(GENERATORS[family]).Config
    for _ in range(30):
        point = Space(GENERATOR_SPACES[family]).sample(rng)
        from_plain(config, {name: value for name, value in point.items() if name not in SETTINGS})
        told = {name: value for name, value in point.items() if name in SETTINGS}
        from_plain(ConditioningPart, {"kind": told.pop("conditioning", "one_hot"), **told})
    for name, domain in config_settings(GENERATOR_SPACES[family]):
        ends = domain.within if isinstance(domain, Fixed) and domain.within is not None else domain
        for value in ends.grid(5):
            from_plain(config, {name: value})


@pytest.mark.parametrize(
    ("family", "settings", "says"),
    [
        ("dcgan", {"g_lr": 0.0}, "g_lr: 0.0 is not above 0"),
        ("dcgan", {"batch": 1}, "batch norm needs"),
        ("dcgan", {"beta1": 1.0}, "beta1"),
        ("dcgan", {"label_smoothing": 0.7}, "label_smoothing"),
        ("wgan_gp", {"n_critic": 0}, "n_critic: 0 is less than 1"),
        ("gan", {"batch": 1}, "batch norm needs"),
        ("gan", {"width": 0}, "width: 0 is less than 1"),
        ("gan", {"adversarial_loss": "wgan_gp"}, "adversarial_loss"),
        ("lsgan", {"targets": "0,1,0"}, "targets"),
        ("lsgan", {"label_smoothing": -0.1}, "label_smoothing"),
        ("lsgan", {"adversarial_loss": "bce"}, "adversarial_loss"),
        ("sdg_gan", {"extra_convs": 4}, "extra_convs: 4 is more than the paper's 3"),
        ("sdg_gan", {"batch": 1}, "batch norm needs"),
        ("sdg_gan", {"downsample": "maxpool"}, "downsample"),
        ("sdg_gan", {"r1_gamma": -1.0}, "r1_gamma: -1.0 is negative"),
        ("wgan_gp", {"betas": "0.9,0.99"}, "betas"),
        ("lm_gan", {"mapping_depth": -1}, "mapping_depth: -1 is negative"),
        ("cyclegan", {"decay_start": 1.5}, "decay_start: 1.5 is beyond the horizon"),
        ("cyclegan", {"n_res_blocks": -1}, "n_res_blocks: -1 is negative"),
        ("cyclegan", {"pool_size": 6, "batch": 8}, "cannot hold a batch of 8"),
        ("cyclegan", {"class_mode": "conditional"}, "class_mode"),
        ("stargan", {"batch": 15}, "even number"),
        ("stargan", {"adversarial_loss": "lsgan"}, "adversarial_loss"),
        ("pe_gan", {"batch": 15}, "even number"),
        ("pe_gan", {"lambda_recc": 1.0}, "lambda_rec"),
        ("stylegan2", {"batch": 6}, "batch: 6 is not a multiple of mbstd_group 4"),
        ("stylegan2", {"style_mixing_prob": 1.5}, "style_mixing_prob: 1.5 is not between 0 and 1"),
        ("stylegan2", {"ada_target": 1.0}, "ada_target"),
        ("stylegan2", {"aug_mode": "bgc"}, "aug_mode"),
        ("defect_residual", {"batch": 7}, "batch: 7 is not an even number"),
        ("defect_residual", {"width": 12}, "width: 12 is not a multiple of 8"),
        ("defect_residual", {"mask_area": 1.5}, "mask_area: 1.5 is above 1"),
        ("cutpaste", {"patch_area": 0.0}, "patch_area: 0.0 is not above 0"),
        ("cutpaste", {"rotation_deg": 270.0}, "rotation_deg: 270.0 is above 180"),
        ("perlin", {"scale": 7}, "scale: 7 is above 6"),
        ("perlin", {"opacity": 1.5}, "opacity: 1.5 is above 1"),
        ("fastgan", {"batch": 1}, "batch norm needs"),
        ("fastgan", {"width": 6}, "multiple of 4"),
        ("fastgan", {"attn_res": 8}, "attn_res"),
        ("flow_unet", {"cfg_dropout": 0.0, "cfg_scale": 2.0}, "needs a null class"),
        ("flow_unet", {"objective": "ddpm"}, "objective"),
        ("vaegan_ce", {"critic_iter": 0}, "critic_iter: 0 is less than 1"),
        ("tf_vaegan", {"recons_loss": "l2"}, "l1"),
        ("tf_vaegan", {"classifier_lr": 0.0}, "classifier_lr: 0.0 is not above 0"),
        ("smote", {"k_neighbors": 0}, "k_neighbors: 0 is less than 1"),
        ("adasyn", {"n_neighbors": 0, "classifier_epochs": 0}, "classifier_epochs: 0 is less than 1; n_neighbors: 0 is less than 1"),
    ],
)
def test_settings_out_of_range_are_refused(family: str, settings: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        from_plain(resolve(GENERATORS[family]).Config, settings)
