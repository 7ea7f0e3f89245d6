"""The default space of each inspector: the papers' values, and the ranges around them."""

import re
from collections.abc import Iterable

from spaces.domains import Categorical, Domain, Fixed, Float, Int, Text
from spaces.space import Tree

OPEN = "<name>"
"""At the end of an inspector's name: any of a library's networks may stand there."""

OPEN_LETTERS = "[A-Za-z0-9_:-]+"
"""What may stand there, as a regular expression: no dots, which part the names of settings."""

_CLASSIFIER: dict[str, Domain] = {
    "lr": Float(low=1e-5, high=3e-3, log=True, default=1e-4, source="SDG-GAN section 4.3; PE-GAN and LM-GAN state none"),
    "epochs": Int(low=3, high=100, log=True, default=50, source="SDG-GAN, comparison and cross-validation"),
    "batch": Categorical(choices=(16, 32, 64, 128), default=32, source="SDG-GAN, whole images"),
    "weight_decay": Float(low=1e-6, high=1e-2, log=True, default=1e-2, source="SDG-GAN's L2 on convolutions"),
    # Not varied unless a study says so: it says how a comparison is made, not what is compared.
    "min_steps": Fixed(
        default=400,
        source="ours: a small real-only set is not starved beside a large one",
        within=Int(low=1, high=10_000, log=True, default=400),
    ),
    # Saiz et al.'s policy makes an epoch fifteen times as long, and hardening is a remedy: a study asks for them by name.
    "augment": Categorical(
        choices=("none", "flips", "classical", "sdg"), also=("brightness", "sdg_hardened", "saiz"), default="none", source="PE-GAN compares without"
    ),
    "balance": Categorical(choices=("none", "oversample", "undersample"), default="none", source="PE-GAN's classes are balanced"),
    "synthetic_weight": Fixed(
        default=1.0, source="the papers weigh all images alike", within=Float(low=0.05, high=2.0, log=True, default=1.0, also=(0.0,))
    ),
    "finetune_epochs": Fixed(default=0, source="the papers train once", within=Int(low=0, high=100, default=0)),
    "target_sensitivity": Fixed(default=None, source="the papers name none", within=Float(low=0.5, high=1.0, default=0.95)),
    "target_specificity": Fixed(default=None, source="the papers name none", within=Float(low=0.5, high=1.0, default=0.95)),
    "start_from": Fixed(
        default=None,
        source="the papers begin anew, or from ImageNet",
        within=Text(says="the path of an inspector's weights.safetensors"),
    ),
}

_STOCK: dict[str, Domain] = {
    **_CLASSIFIER,
    "head": Fixed(
        default="linear",
        source="PE-GAN; SDG-GAN ends its stock networks by 256-128-64",
        within=Categorical(choices=("linear", "fc"), default="linear"),
    ),
    "weights": Fixed(default=None, source="PE-GAN trains from scratch; SDG-GAN fine-tunes", within=Text(says="the path of a file of weights")),
}
"""Settings of networks of other libraries."""

_SEGDECNET: dict[str, Domain] = {
    **_CLASSIFIER,
    "lr": Float(low=5e-3, high=1.0, log=True, default=0.05, source="SegDecNet: DAGM 0.05, KSDD 1, KSDD2 0.01, Severstal 0.1"),
    "epochs": Int(low=3, high=100, log=True, default=70, source="SegDecNet: DAGM 70, KSDD and KSDD2 50, Severstal 40 to 90"),
    "batch": Categorical(choices=(1, 4, 10), default=1, source="SegDecNet: Severstal 10, others 1"),
    "weight_decay": Fixed(default=0.0, source="SegDecNet has none", within=Float(low=1e-6, high=1e-2, log=True, default=1e-4, also=(0.0,))),
    "balance": Categorical(
        choices=("rotate", "none", "oversample", "undersample"), default="rotate", source="SegDecNet: a good image for each defective one, in turns"
    ),
    "width": Fixed(default=1.0, source="SegDecNet: 32, 64 and 1024 channels", within=Float(low=0.05, high=1.0, log=True, default=1.0)),
    "feature_norm": Fixed(
        default="sqrt_std", source="SegDecNet's published code", within=Categorical(choices=("sqrt_std", "std"), default="sqrt_std")
    ),
    "gradient_stop": Categorical(choices=(True, False), default=True, source="SegDecNet; never where no defect has pixel labels"),
    "dynamic_balance": Categorical(choices=(True, False), default=True, source="SegDecNet"),
    "delta_cls": Float(low=0.01, high=1.0, log=True, default=1.0, source="SegDecNet: DAGM and KSDD2 1, KSDD 0.01, Severstal 0.1"),
    "weight_max": Categorical(choices=(1.0, 3.0, 10.0), default=10.0, source="SegDecNet: DAGM 10, KSDD and Severstal 1, KSDD2 3"),
    "weight_power": Categorical(choices=(1.0, 2.0), default=1.0, source="SegDecNet: DAGM 1, others 2"),
    "dilate_px": Categorical(choices=(1, 7, 15), default=7, source="SegDecNet: DAGM and KSDD 7, KSDD2 15, Severstal 1"),
    # Not varied unless a study says so: how much was labelled is what is compared.
    "pixel_labels": Fixed(default=1.0, source="SegDecNet: from all to none", within=Float(low=0.0, high=1.0, default=1.0)),
}
"""Settings of the detector; Božič et al. 2021 and systems.md 1.1."""

_SEGMENTER: dict[str, Domain] = {
    **_CLASSIFIER,
    "lr": Float(low=1e-5, high=3e-3, log=True, default=1e-4, source="Saiz et al. state none; systems.md 2.3"),
    "epochs": Int(low=1, high=100, log=True, default=10, source="ours: Saiz et al. state none; their augmentation makes fifteen of each"),
    "batch": Categorical(choices=(4, 8, 16, 32), default=8, source="Saiz et al. state none; systems.md 2.3"),
    "augment": Categorical(
        choices=("none", "flips", "classical", "saiz"), also=("sdg", "brightness", "sdg_hardened"), default="saiz", source="Saiz et al., 2.3.1"
    ),
    "encoder": Categorical(
        choices=("resnet18", "resnet34", "resnet50", "efficientnet-b0"),
        also=Text(says="another encoder of segmentation-models-pytorch, tu-<name> for timm's"),
        default="resnet34",
        source="Saiz et al. have Xception, which the library cannot dilate",
    ),
    "weights": Fixed(default=None, source="Saiz et al. name none", within=Text(says="the path of a file of weights")),
    # Which loss it is decides which of the settings below it are read: a study that compares losses asks for them.
    "loss": Fixed(
        default="dice_bce",
        source="Saiz et al. state none; systems.md 2.3",
        within=Categorical(choices=("dice_bce", "dice", "bce", "tversky", "focal"), default="dice_bce"),
    ),
    "dice_weight": Float(low=0.0, high=1.0, default=0.5, source="systems.md 2.3: half and half"),
    "tversky_missed": Fixed(default=0.7, source="Salehi et al. 2017", within=Float(low=0.05, high=0.95, default=0.7)),
    "focal_gamma": Fixed(default=2.0, source="Lin et al. 2017", within=Float(low=0.0, high=5.0, default=2.0)),
    "focal_alpha": Fixed(default=0.25, source="Lin et al. 2017", within=Float(low=0.05, high=0.95, default=0.25)),
    "threshold": Fixed(default=0.5, source="Saiz et al. state none", within=Float(low=0.05, high=0.95, default=0.5)),
    "select": Fixed(default="best", source="systems.md 2.3: stop on validation IoU", within=Categorical(choices=("best", "last"), default="best")),
    "patience": Fixed(default=0, source="ours: the learning rate falls to the end", within=Int(low=0, high=100, default=0)),
}
"""Settings of networks that name pixels; Saiz et al. 2021 and systems.md 2.3."""


def _strided(*strides: int) -> Tree:
    """Adds how many times smaller than the image an encoder's last maps are."""
    return {**_SEGMENTER, "output_stride": Categorical(choices=strides, default=16, source="the architecture's paper")}


INSPECTOR_SPACES: dict[str, Tree] = {
    "resnet18": _STOCK,
    "resnet50": _STOCK,
    "mobilenet_v2": _STOCK,
    "efficientnet_v2_s": _STOCK,
    "inception_v3": _STOCK,
    "fcn": {**_CLASSIFIER, "width": Categorical(choices=(16, 32, 64, 128), default=128, source="Wang et al. 2017: 128, 256, 128 channels")},
    "inception_cnn": _CLASSIFIER,
    "baseline_cnn": _CLASSIFIER,
    "cnn_sca": _CLASSIFIER,
    "segdecnet": _SEGDECNET,
    "deeplabv3plus": _strided(8, 16),
    "pan": _strided(16, 32),
    "timm:<name>": _STOCK,
    "smp:<name>": _SEGMENTER,
}
"""Settings by the inspector's name; those of one with `<name>` in it are the settings of whatever stands there."""


TASKS: dict[str, str] = {"segdecnet": "detect", "deeplabv3plus": "segment", "pan": "segment", "smp:": "segment"}
"""What inspectors that do not classify are for; open names by what they begin with."""


def task_of(name: str) -> str:
    """Says what an inspector is for."""
    start, colon, _ = name.partition(":")
    return TASKS.get(f"{start}{colon}", "classify")


def open_names(text: str) -> list[str]:
    """Finds the names in a text that open names stand for, such as `timm:resnet10t` in `inspector.timm:resnet10t.lr`."""
    starts = "|".join(re.escape(name.removesuffix(OPEN)) for name in INSPECTOR_SPACES if name.endswith(OPEN))
    return re.findall(rf"(?:^|(?<=\.))(?:{starts}){OPEN_LETTERS}", text)


def inspector_spaces(named: Iterable[str] = ()) -> dict[str, Tree]:
    """Gives the space of each inspector, with those of an open name that a study names in the place of the open name.

    Args:
        named: names that a study uses, such as `timm:resnet10t`; others are passed over.
    """
    plain = {name: tree for name, tree in INSPECTOR_SPACES.items() if not name.endswith(OPEN)}
    opened = {name.removesuffix(OPEN): tree for name, tree in INSPECTOR_SPACES.items() if name.endswith(OPEN)}
    return plain | {name: tree for name in named for start, tree in opened.items() if name.startswith(start)}
