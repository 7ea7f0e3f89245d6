"""The default space of each generator family: the papers' values, and the ranges around them."""

from dataclasses import replace

from spaces.conditioning import class_mode as _class_mode
from spaces.conditioning import conditioning as _conditioning
from spaces.domains import Categorical, Choice, Domain, Fixed, Float, Int
from spaces.space import Tree

# Shared by families that serve several classes with one model or with one each, and by all that average their weights.
_EMA = Float(low=0.0, high=20.0, default=0.0, source="the papers evaluate the weights as they are; StyleGAN2 averages over 10")
_LATENT = Int(low=16, high=256, log=True, default=100, source="DCGAN, and LM-GAN section 4.2")
_WIDTH = Categorical(choices=(16, 32, 64, 96), default=64, source="DCGAN: ngf = ndf = 64")
_BATCH = Categorical(choices=(16, 32, 64, 128), default=64, source="DCGAN and WGAN-GP, reference code")
_GP_LAMBDA = Float(low=0.1, high=50.0, log=True, default=10.0, source="WGAN-GP; PE-GAN section 3.3; unstated by LM-GAN")
_N_CRITIC = Int(low=1, high=6, default=5, source="WGAN-GP; unstated by LM-GAN and PE-GAN")
_GP_INTERVAL = Fixed(default=1, source="WGAN-GP: a penalty at every critic step", within=Int(low=1, high=8, default=1))
_DIFFAUG = Categorical(
    choices=(
        "none",
        "color",
        "translation",
        "cutout",
        "color,translation",
        "color,cutout",
        "translation,cutout",
        "color,translation,cutout",
    ),
    default="none",
    source="the papers augment nothing here; DiffAugment",
)


# Shared by families that make features.
_HEAD: Tree = {
    "classifier_lr": Float(low=1e-4, high=1e-2, log=True, default=1e-3, source="TF-VAEGAN, reference code"),
    "classifier_epochs": Fixed(default=25, source="TF-VAEGAN, reference code", within=Int(low=1, high=200, log=True, default=25)),
}


def _adversarial_loss(default: str, *others: str, source: str) -> Domain:
    """Offers the paper's loss, and those that are compared with it."""
    return Categorical(choices=(default, *others, "rpgan"), default=default, source=source)


def _r1_gamma(default: float, source: str) -> Domain:
    return Float(low=0.05, high=50.0, log=True, default=default, source=source)


def _horizon(default: float) -> Float:
    return Float(low=0.1, high=10_000.0, log=True, default=default)


def _lambda_rec(source: str) -> Domain:
    return Float(low=1.0, high=50.0, log=True, default=10.0, source=source, also=(0.0,))


_MIRROR = Fixed(default=True, source="unstated", within=Categorical(choices=(True, False), default=True))
_BETAS = Categorical(choices=("0.5,0.999", "0.5,0.9", "0.9,0.99", "0,0.9"), default="0.5,0.999", source="CycleGAN and StarGAN, reference code")
_R3GAN = "R3GAN: 0.05 on CIFAR-10 to 150 on FFHQ at 256 px"


def _vaegan(*, adaptive_gp: bool, recons_loss: str, unit_attributes: bool, feedback: bool, source: str, told: Choice) -> Tree:
    """Offers the settings of both VAEGANs on features: what the two-stage paper leaves out stands in TF-VAEGAN's script for AWA2.

    Args:
        adaptive_gp: whether the penalty's weight adapts.
        recons_loss: how attributes are compared.
        unit_attributes: whether they are scaled to length 1 first.
        feedback: whether there is feedback.
        source: where these four come from.
        told: how the class is told.
    """
    awa2 = "TF-VAEGAN, script for AWA2"
    switch = Categorical(choices=(True, False), default=True)
    reconstructions = ("mse", "weighted_l1", "l1")
    weight = Float(low=1e-3, high=1.0, log=True, default=0.01, source=awa2)
    return {
        "hidden": Categorical(choices=(512, 1024, 2048, 4096), default=4096, source=awa2),
        "latent_size": Fixed(default=29, source="two-stage paper: as long as its class embedding", within=Int(low=2, high=128, log=True, default=29)),
        "gamma_d": Float(low=1.0, high=1000.0, log=True, default=10.0, source=awa2),
        "gamma_g": Float(low=1.0, high=1000.0, log=True, default=10.0, source=awa2),
        "lambda_gp": Float(low=1.0, high=20.0, log=True, default=10.0, source=awa2),
        "adaptive_gp": Fixed(default=adaptive_gp, source=source, within=switch),
        "critic_iter": Int(low=1, high=5, default=5, source=awa2),
        "recons_weight": Float(low=1e-3, high=1.0, log=True, default=0.1, source=f"{awa2}; 0.01 on the other sets"),
        "recons_loss": Categorical(choices=reconstructions, default=recons_loss, source=source),
        "unit_attributes": Fixed(default=unit_attributes, source=source, within=switch),
        "freeze_dec": Categorical(choices=(True, False), default=True, source=awa2),
        "feedback": Categorical(choices=(True, False), default=feedback, source=source),
        "a1": weight,
        "a2": weight,
        "encoded_noise": Categorical(choices=(True, False), default=True, source=awa2),
        "lr": Float(low=1e-6, high=1e-3, log=True, default=1e-5, source=awa2),
        "dec_lr": Float(low=1e-5, high=1e-3, log=True, default=1e-4, source=awa2),
        "feed_lr": Float(low=1e-6, high=1e-3, log=True, default=1e-4, source=awa2),
        "batch": Categorical(choices=(16, 32, 64, 128), default=64, source=awa2),
        "class_mode": _class_mode("conditional", "one model that is told the class", modes=("conditional",), told=told),
        "ema_halflife_kimg": _EMA,
        **_HEAD,
    }


GENERATOR_SPACES: dict[str, Tree] = {
    "gan": {
        "optimizer": Categorical(choices=("rmsprop", "adam"), default="rmsprop", source="LM-GAN section 4.2"),
        "lr": Float(low=1e-5, high=1e-3, log=True, default=5e-5, source="unstated by LM-GAN; WGAN"),
        "batch": _BATCH,
        "latent_dim": _LATENT,
        "width": Categorical(choices=(64, 128, 256), default=256, source="unstated by LM-GAN"),
        "adversarial_loss": _adversarial_loss("bce", "hinge", source="LM-GAN: the vanilla GAN"),
        "r1_gamma": _r1_gamma(1.0, "R3GAN: 0.05 on CIFAR-10 to 150 on FFHQ at 256 px"),
        "diffaug": _DIFFAUG,
        "class_mode": _class_mode("conditional", "LM-GAN's baseline: one model of all defects"),
        "ema_halflife_kimg": _EMA,
    },
    "dcgan": {
        "g_lr": Float(low=5e-5, high=1e-3, log=True, default=2e-4, source="DCGAN, reference code"),
        "d_lr_ratio": Float(low=0.25, high=4.0, log=True, default=1.0, source="DCGAN, reference code"),
        "beta1": Categorical(choices=(0.0, 0.5), default=0.5, source="DCGAN, reference code"),
        "batch": _BATCH,
        "latent_dim": _LATENT,
        "width": _WIDTH,
        "adversarial_loss": _adversarial_loss("bce", "hinge", source="DCGAN"),
        "r1_gamma": _r1_gamma(1.0, "R3GAN: 0.05 on CIFAR-10 to 150 on FFHQ at 256 px"),
        "label_smoothing": Categorical(choices=(0.0, 0.1), default=0.0, source="DCGAN, reference code"),
        "diffaug": _DIFFAUG,
        "class_mode": _class_mode("per_class", "PE-GAN's baselines: its FID is per class"),
        "ema_halflife_kimg": _EMA,
    },
    "lsgan": {
        "g_lr": Float(low=5e-5, high=1e-3, log=True, default=2e-4, source="DCGAN, reference code; LSGAN's own is 1e-3"),
        "d_lr_ratio": Float(low=0.25, high=4.0, log=True, default=1.0, source="DCGAN, reference code"),
        "beta1": Categorical(choices=(0.0, 0.5), default=0.5, source="LSGAN section 3"),
        "batch": _BATCH,
        "latent_dim": _LATENT,
        "width": _WIDTH,
        "targets": Categorical(choices=("0,1,1", "-1,1,0"), default="0,1,1", source="LSGAN equation 9"),
        "label_smoothing": Categorical(choices=(0.0, 0.1), default=0.0, source="LSGAN, reference code"),
        "diffaug": _DIFFAUG,
        "class_mode": _class_mode("per_class", "PE-GAN's baselines: its FID is per class"),
        "ema_halflife_kimg": _EMA,
    },
    "wgan_gp": {
        "lr": Float(low=2e-5, high=5e-4, log=True, default=1e-4, source="WGAN-GP, algorithm 1"),
        "betas": Categorical(choices=("0,0.9", "0.5,0.9", "0.5,0.999"), default="0,0.9", source="WGAN-GP, algorithm 1"),
        "gp_lambda": _GP_LAMBDA,
        "gp_interval": _GP_INTERVAL,
        "n_critic": _N_CRITIC,
        "batch": _BATCH,
        "latent_dim": _LATENT,
        "width": _WIDTH,
        "diffaug": _DIFFAUG,
        "class_mode": _class_mode("conditional", "LM-GAN's baseline: one model of all defects"),
        "ema_halflife_kimg": _EMA,
    },
    "lm_gan": {
        "latent_dim": Int(low=2, high=128, log=True, default=50, source="LM-GAN table 4: 2, 5, 10, 50, 100 compared"),
        "mapping_depth": Int(low=0, high=8, default=8, source="LM-GAN table 4: 0, 2, 4, 8 compared"),
        "mapping_width": Categorical(choices=(64, 128, 256, 512), default=512, source="unstated; read as the length of w"),
        "w_dim": Categorical(choices=("latent", 128, 512), default=512, source="unstated; StyleGAN"),
        "mapping_lr_mult": Float(low=0.01, high=1.0, log=True, default=0.01, source="unstated; StyleGAN"),
        "normalize_z": Categorical(choices=(True, False), default=True, source="unstated; StyleGAN"),
        "optimizer": Categorical(choices=("rmsprop", "adam"), default="rmsprop", source="LM-GAN section 4.2"),
        "lr": Float(low=1e-5, high=1e-3, log=True, default=5e-5, source="unstated; WGAN"),
        "gp_lambda": _GP_LAMBDA,
        "gp_interval": _GP_INTERVAL,
        "n_critic": _N_CRITIC,
        "batch": Categorical(choices=(16, 32, 64), default=64, source="unstated; WGAN-GP"),
        "base_channels": Categorical(choices=(16, 32, 64), default=32, source="unstated"),
        "diffaug": _DIFFAUG,
        "class_mode": _class_mode("conditional", "LM-GAN: one model of all defects"),
        "ema_halflife_kimg": _EMA,
    },
    "cyclegan": {
        "lr": Float(low=5e-5, high=5e-4, log=True, default=2e-4, source="CycleGAN, reference code"),
        "betas": _BETAS,
        "lambda_cyc": Float(low=2.0, high=20.0, log=True, default=10.0, source="CycleGAN section 4"),
        "lambda_idt": Float(low=0.0, high=1.0, default=0.5, source="CycleGAN section 5.2"),
        "adversarial_loss": _adversarial_loss("lsgan", "hinge", source="CycleGAN section 4"),
        "r1_gamma": _r1_gamma(1.0, _R3GAN),
        "pool_size": Categorical(choices=(0, 50), default=50, source="CycleGAN section 4"),
        "batch": Categorical(choices=(1, 4, 8, 16), default=1, source="CycleGAN section 4"),
        "base_width": Categorical(choices=(16, 32, 64), default=64, source="CycleGAN, reference code"),
        "n_res_blocks": Categorical(choices=("auto", 3, 6, 9), default="auto", source="CycleGAN section 4: 6 at 128 px, 9 at 256"),
        "norm": Categorical(choices=("instance", "layer"), default="instance", source="CycleGAN, reference code"),
        "jitter": Fixed(default=True, source="CycleGAN, reference code", within=Categorical(choices=(True, False), default=True)),
        "mirror_backgrounds": _MIRROR,
        "diffaug": _DIFFAUG,
        "lr_decay": Fixed(default="linear", source="CycleGAN section 4", within=Categorical(choices=("none", "linear"), default="linear")),
        "decay_start": Fixed(default=0.5, source="CycleGAN: 100 of 200 epochs", within=Float(low=0.0, high=1.0, default=0.5)),
        "horizon_kimg": Fixed(default=400.0, source="CycleGAN: 200 epochs, of PE-GAN's 1,000 backgrounds", within=_horizon(400.0)),
        "class_mode": Fixed(default="per_class", source="CycleGAN goes between two domains"),
        "ema_halflife_kimg": _EMA,
    },
    "stargan": {
        "lr": Float(low=2e-5, high=5e-4, log=True, default=1e-4, source="StarGAN, reference code"),
        "betas": _BETAS,
        "lambda_cls": Float(low=0.25, high=10.0, log=True, default=1.0, source="StarGAN, equations 5 and 6"),
        "lambda_rec": _lambda_rec("StarGAN, equation 6"),
        "adversarial_loss": _adversarial_loss("wgan_gp", "r1_logistic", "hinge", source="StarGAN, equation 8"),
        "gp_lambda": _GP_LAMBDA,
        "r1_gamma": _r1_gamma(1.0, _R3GAN),
        "gp_interval": _GP_INTERVAL,
        "n_critic": _N_CRITIC,
        "batch": Categorical(choices=(8, 16, 32, 64), default=16, source="StarGAN, reference code"),
        "base_width": Categorical(choices=(16, 32, 64), default=64, source="StarGAN, reference code"),
        "n_res_blocks": Int(low=1, high=9, default=6, source="StarGAN, reference code"),
        "mirror_backgrounds": _MIRROR,
        "diffaug": _DIFFAUG,
        "lr_decay": Fixed(default="linear", source="StarGAN, reference code", within=Categorical(choices=("none", "linear"), default="linear")),
        "horizon_kimg": Fixed(default=3200.0, source="StarGAN, reference code: 200,000 iterations of 16", within=_horizon(3200.0)),
        "class_mode": _class_mode("conditional", "StarGAN: one model of all domains", modes=("conditional",)),
        "ema_halflife_kimg": _EMA,
    },
    "sdg_gan": {
        "lr": Float(low=5e-5, high=1e-3, log=True, default=2e-4, source="SDG-GAN section V-C"),
        "betas": Categorical(choices=("0.5,0.9", "0,0.9"), default="0.5,0.9", source="SDG-GAN section V-C"),
        "gp_lambda": Float(low=0.1, high=50.0, log=True, default=10.0, source="SDG-GAN section V-C"),
        "gp_interval": _GP_INTERVAL,
        "n_critic": Int(low=1, high=6, default=3, source="SDG-GAN section V-C"),
        "batch": Categorical(choices=(16, 32, 64), default=64, source="SDG-GAN section V-C"),
        "latent_dim": Categorical(choices=(64, 128, 256), default=256, source="SDG-GAN table 2"),
        "width": Categorical(choices=(16, 32, 64), default=32, source="SDG-GAN tables 2 and 3"),
        "extra_convs": Int(low=0, high=3, default=3, source="SDG-GAN section IV-C"),
        "downsample": Categorical(choices=("avgpool", "stride"), default="avgpool", source="SDG-GAN table 1"),
        "g_activation": Categorical(choices=("leaky_relu", "relu"), default="leaky_relu", source="SDG-GAN table 1"),
        "adversarial_loss": _adversarial_loss("wgan_gp", "bce", "hinge", source="SDG-GAN table 1"),
        "r1_gamma": _r1_gamma(1.0, "R3GAN: 0.05 on CIFAR-10 to 150 on FFHQ at 256 px"),
        "augmentation": Categorical(choices=("none", "flips", "flips,light"), default="flips,light", source="SDG-GAN sections V-A and V-C"),
        "diffaug": _DIFFAUG,
        "class_mode": _class_mode("per_class", "SDG-GAN section V-C: one model of all classes mixes them up"),
        "ema_halflife_kimg": _EMA,
    },
    "pe_gan": {
        "lr": Float(low=2e-5, high=5e-4, log=True, default=1e-4, source="PE-GAN section 3.3"),
        "betas": Categorical(choices=("0.9,0.99", "0.5,0.999", "0.5,0.9", "0,0.9"), default="0.9,0.99", source="PE-GAN section 3.3"),
        "lambda_cls_d": Float(low=0.25, high=10.0, log=True, default=2.0, source="PE-GAN section 3.2"),
        "lambda_cls_g": Float(low=0.25, high=10.0, log=True, default=5.0, source="PE-GAN section 3.2"),
        "lambda_rec": _lambda_rec("PE-GAN section 3.2"),
        "adversarial_loss": _adversarial_loss("wgan_gp", "r1_logistic", "hinge", source="PE-GAN section 3.2"),
        "gp_lambda": _GP_LAMBDA,
        "r1_gamma": _r1_gamma(1.0, _R3GAN),
        "gp_interval": _GP_INTERVAL,
        "n_critic": _N_CRITIC,
        "batch": Categorical(choices=(8, 16, 32, 64), default=16, source="PE-GAN section 3.3"),
        "base_width": Categorical(choices=(16, 32, 64), default=32, source="PE-GAN tables 1 and 2"),
        "n_res_blocks": Int(low=1, high=9, default=6, source="PE-GAN table 1"),
        "both_directions": Categorical(choices=("both", "production_only"), default="both", source="PE-GAN section 3.2"),
        "mirror_backgrounds": _MIRROR,
        "diffaug": _DIFFAUG,
        # A schedule's end belongs to the budget of a study, which alone can say where it is.
        "lr_decay": Fixed(default="none", source="PE-GAN states none", within=Categorical(choices=("none", "linear"), default="none")),
        "horizon_kimg": Fixed(default=320.0, source="PE-GAN: 20,000 iterations of 16", within=_horizon(320.0)),
        "class_mode": _class_mode("conditional", "PE-GAN: one model of all classes", modes=("conditional",)),
        "ema_halflife_kimg": _EMA,
    },
    "stylegan2": {
        "lr": Float(low=5e-4, high=5e-3, log=True, default=2e-3, source="low_shot; 0.0025 by StyleGAN2's automatic choice"),
        "mapping_lr_mult": Fixed(default=0.01, source="StyleGAN", within=Float(low=0.01, high=1.0, log=True, default=0.01)),
        "batch": Categorical(choices=(8, 16, 32), default=8, source="low_shot; 16 in DiffAugment's TensorFlow code"),
        "latent_dim": Categorical(choices=(64, 128, 256, 512), default=512, source="StyleGAN"),
        "mapping_depth": Categorical(choices=(2, 4, 8), default=2, source="low_shot; 8 in StyleGAN2"),
        "channel_base": Fixed(default=32768, source="low_shot: fmaps 1", within=Int(low=64, high=32768, log=True, default=32768)),
        "max_channels": Fixed(default=512, source="StyleGAN2", within=Int(low=4, high=512, log=True, default=512)),
        "mbstd_group": Categorical(choices=(1, 4, 8), default=4, source="low_shot"),
        "adversarial_loss": _adversarial_loss("r1_logistic", source="StyleGAN2"),
        "r1_gamma": _r1_gamma(10.0, "low_shot; 0.0002 size^2 / batch by StyleGAN2's automatic choice"),
        "d_reg_interval": Fixed(default=16, source="StyleGAN2", within=Int(low=1, high=32, default=16)),
        "pl_weight": Categorical(choices=(0.0, 2.0), default=2.0, source="StyleGAN2"),
        "g_reg_interval": Fixed(default=4, source="StyleGAN2", within=Int(low=1, high=32, default=4)),
        "style_mixing_prob": Categorical(choices=(0.0, 0.5, 0.9), default=0.9, source="StyleGAN"),
        "aug_mode": Categorical(choices=("diffaug", "ada", "both", "none"), default="diffaug", source="Saiz et al.: DiffAugment"),
        "diffaug": replace(_DIFFAUG, default="color,translation,cutout", source="low_shot"),
        "ada_target": Float(low=0.4, high=0.8, default=0.6, source="ADA"),
        "ada_kimg": Fixed(default=500.0, source="ADA", within=Float(low=0.1, high=1000.0, log=True, default=500.0)),
        "xflip": Categorical(choices=(True, False), default=True, source="low_shot of DiffAugment's TensorFlow code"),
        "class_mode": _class_mode("conditional", "Saiz et al.: one model of all images"),
        "ema_halflife_kimg": Float(low=0.0, high=20.0, default=10.0, source="low_shot"),
    },
    "defect_residual": {
        "background": Choice(
            options={
                "real": {},
                "generated": {"freeze_background": Categorical(choices=(True, False), default=True, source="DFMGAN: frozen then")},
            },
            default="real",
            source="ours; DFMGAN generates its backgrounds",
        ),
        "mirror_backgrounds": _MIRROR,
        "latent_dim": Int(low=16, high=128, log=True, default=64, source="ours"),
        "width": Categorical(choices=(16, 32, 64), default=32, source="ours"),
        "batch": Categorical(choices=(16, 32, 64), default=32, source="DFMGAN, reference code"),
        "lr": Float(low=1e-4, high=2e-3, log=True, default=5e-4, source="ours"),
        "betas": Categorical(choices=("0,0.99", "0,0.9", "0.5,0.9", "0.5,0.999"), default="0,0.99", source="StyleGAN2, which DFMGAN builds on"),
        "adversarial_loss": _adversarial_loss("r1_logistic", "wgan_gp", source="StyleGAN2, which DFMGAN builds on"),
        "r1_gamma": Float(low=0.005, high=10.0, log=True, default=0.5, source="ours; StyleGAN2's grows with the picture"),
        "gp_lambda": _GP_LAMBDA,
        "gp_interval": Fixed(default=4, source="ours; StyleGAN2 penalises every 16th step", within=Int(low=1, high=16, default=4)),
        "n_critic": Fixed(default=1, source="StyleGAN2", within=Int(low=1, high=6, default=1)),
        # What follows only says something of images whose masks nobody knows.
        "mask_l1": Float(low=0.001, high=1.0, log=True, default=0.1, source="ours"),
        "mask_area": Float(low=0.02, high=0.5, log=True, default=0.1, source="ours"),
        "mask_smooth": Fixed(default=0.1, source="ours", within=Float(low=0.0, high=1.0, default=0.1)),
        "diffaug": replace(_DIFFAUG, default="color,translation,cutout", source="DiffAugment, for few images"),
        "class_mode": _class_mode("conditional", "ours: one model of all defects; DFMGAN trains one for each"),
        "ema_halflife_kimg": replace(_EMA, default=10.0, source="StyleGAN2"),
    },
    "fastgan": {
        "lr": Float(low=1e-4, high=5e-4, log=True, default=2e-4, source="FastGAN; lightweight-gan"),
        "betas": Fixed(default="0.5,0.9", source="lightweight-gan", within=Categorical(choices=("0.5,0.9", "0.5,0.999", "0,0.9"), default="0.5,0.9")),
        "batch": Categorical(choices=(8, 16, 32), default=8, source="FastGAN: 8"),
        "latent_dim": Fixed(default=256, source="FastGAN", within=Int(low=16, high=512, log=True, default=256)),
        "width": Categorical(choices=(16, 32, 64), default=64, source="FastGAN"),
        "recon_weight": Float(low=0.1, high=2.0, log=True, default=1.0, source="FastGAN equation 4; lightweight-gan"),
        "attn_res": Categorical(choices=("none", 16, 32), default="none", source="FastGAN has none; lightweight-gan offers it"),
        "adversarial_loss": _adversarial_loss("hinge", source="FastGAN equation 4"),
        "r1_gamma": _r1_gamma(1.0, "R3GAN: 0.05 on CIFAR-10 to 150 on FFHQ at 256 px"),
        "diffaug": replace(_DIFFAUG, default="translation,cutout", source="FastGAN: differentiable augmentation; lightweight-gan"),
        "class_mode": _class_mode("per_class", "FastGAN: one kind of image at a time"),
        "ema_halflife_kimg": Float(low=0.0, high=20.0, default=5.5, source="a decay of 0.999 a step of 8 images"),
    },
    "flow_unet": {
        "objective": Categorical(choices=("flow", "edm", "v"), default="flow", source="flow matching; EDM; progressive distillation"),
        "time_sampling": Categorical(choices=("logit_normal", "uniform"), default="logit_normal", source="Stable Diffusion 3: logit-normal"),
        "lr": Float(low=5e-5, high=1e-3, log=True, default=1e-4, source="1e-4 in most published trainings"),
        "batch": Categorical(choices=(16, 32, 64), default=32, source="unstated for sets this small"),
        "width": Categorical(choices=(32, 64, 96, 128), default=64, source="64 to 128 in published small networks"),
        "dropout": Float(low=0.0, high=0.3, default=0.1, source="EDM: 0.05 to 0.25 on small sets"),
        "aug_prob": Float(low=0.0, high=0.3, default=0.15, source="EDM: 0.15 on AFHQ and FFHQ"),
        "cfg_dropout": Float(low=0.0, high=0.3, default=0.1, source="classifier-free guidance: 0.1 to 0.2"),
        "cfg_scale": Float(low=1.0, high=4.0, default=1.0, source="1: no guidance, as EDM is scored"),
        "sample_steps": Int(low=4, high=50, log=True, default=18, source="EDM: 18 at 32 px, 40 at 64 px"),
        "class_mode": _class_mode("conditional", "one model that is told the class, which guidance needs"),
        "ema_halflife_kimg": Float(low=2.2, high=220.0, log=True, default=220.0, source="decays of 0.99 to 0.9999 a step of 32 images"),
    },
    "cutpaste": {
        "patch_area": Float(low=0.01, high=0.3, log=True, default=0.15, source="CutPaste: 0.02 to 0.15 of the picture"),
        "patch_shape": Categorical(choices=("rectangle", "scar", "both"), default="both", source="CutPaste: 3-way is its best variant"),
        "jitter": Float(low=0.0, high=0.4, default=0.1, source="CutPaste: colours jittered by at most 0.1"),
        "resize": Float(low=0.0, high=0.5, default=0.2, source="unstated; CutPaste keeps the size"),
        "rotation_deg": Float(low=0.0, high=90.0, default=15.0, source="CutPaste turns scars by up to 45; less, because defects follow the rolling"),
        "blend": Float(low=0.0, high=0.06, default=0.02, source="unstated; CutPaste pastes hard edges"),
        "class_mode": Fixed(default="conditional", source="one store of patches, asked by class"),
    },
    "perlin": {
        "scale": Int(low=1, high=6, default=6, source="DRAEM, reference code: 2^0 to 2^5 cells"),
        "threshold": Float(low=0.2, high=0.7, default=0.5, source="DRAEM, reference code"),
        "opacity": Float(low=0.2, high=1.0, default=1.0, source="DRAEM: from 0.1 to 1"),
        "jitter": Float(low=0.0, high=0.4, default=0.1, source="unstated; stands in for DRAEM's changes of colour"),
        "class_mode": Fixed(default="conditional", source="one store of textures, asked by class"),
    },
    "vaegan_ce": _vaegan(
        adaptive_gp=False,
        recons_loss="mse",
        unit_attributes=False,
        feedback=False,
        source="two-stage paper, section 3.1.1 and equation 4",
        told=_conditioning("learned", "two-stage paper, tables 3 and 4: its learned class embedding is the better one"),
    ),
    "tf_vaegan": _vaegan(
        adaptive_gp=True,
        recons_loss="weighted_l1",
        unit_attributes=True,
        feedback=True,
        source="TF-VAEGAN, reference code",
        told=_conditioning("attributes", "TF-VAEGAN"),
    ),
    "smote": {
        "k_neighbors": Int(low=1, high=10, default=5, source="SMOTE"),
        "class_mode": Fixed(default="conditional", source="features of all classes are kept"),
        **_HEAD,
    },
    "adasyn": {
        "n_neighbors": Int(low=1, high=10, default=5, source="ADASYN"),
        "class_mode": Fixed(default="conditional", source="features of all classes are kept"),
        **_HEAD,
    },
}
"""Settings by the family's name."""
