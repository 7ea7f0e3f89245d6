"""The default space of each inspector: the papers' values, and the ranges around them."""

from spaces.domains import Categorical, Domain, Fixed, Float, Int, Text
from spaces.space import Tree

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
    "augment": Categorical(choices=("none", "flips", "classical"), default="none", source="PE-GAN compares without"),
    "balance": Categorical(choices=("none", "oversample", "undersample"), default="none", source="PE-GAN's classes are balanced"),
    "synthetic_weight": Fixed(
        default=1.0, source="the papers weigh all images alike", within=Float(low=0.05, high=2.0, log=True, default=1.0, also=(0.0,))
    ),
    "finetune_epochs": Fixed(default=0, source="the papers train once", within=Int(low=0, high=100, default=0)),
    "start_from": Fixed(default=None, source="the papers begin anew, or from ImageNet", within=Text(says="the path of an inspector.safetensors")),
}

INSPECTOR_SPACES: dict[str, Tree] = {
    "resnet18": _CLASSIFIER,
    "mobilenet_v2": _CLASSIFIER,
    "fcn": {**_CLASSIFIER, "width": Categorical(choices=(16, 32, 64, 128), default=128, source="Wang et al. 2017: 128, 256, 128 channels")},
}
"""Settings by the inspector's name."""
