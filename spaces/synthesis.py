"""How many synthetic images stand beside the real ones, how they are drawn, and which are let through."""

from spaces.domains import Categorical, Choice, Fixed, Float, Int
from spaces.space import Tree

SYNTHESIS: Tree = {
    "amount": Choice(
        options={
            "fraction": {"fraction": Float(low=0.0, high=0.9, default=0.5, source="PE-GAN 0.81, Saiz best 0.38, SDG-GAN 0.76-0.95")},
            "per_class": {"per_class": Int(low=1, high=5000, log=True, default=100, source="ours")},
            "multiple": {"multiple": Float(low=0.05, high=20.0, log=True, default=1.0, source="ours")},
            "top_up_to": {"top_up_to": Int(low=2, high=10000, log=True, default=200, source="ours")},
            "balance": {},
        },
        default="fraction",
        source="g/(g+r) of the training split, per class",
    ),
    # Not varied unless a study says so: it is the protocol that a comparison is made under.
    "replaces": Fixed(
        default="nothing",
        source="PE-GAN, Saiz et al. and SDG-GAN add to real images; LM-GAN replaces the defects",
        within=Categorical(choices=("nothing", "defects", "all"), default="nothing"),
    ),
    "truncation": Float(low=0.5, high=1.0, default=1.0, source="StyleGAN2"),
    "filter": Choice(
        options={
            "none": {},
            "confidence": {"min_confidence": Float(low=0.0, high=0.95, default=0.5, source="ours")},
        },
        default="none",
        source="the papers use every image",
    ),
}
"""Settings of the synthesis stage. An amount's number is named like its kind: `synthesis.fraction`, `synthesis.per_class`, ..."""

MASKS: Tree = {
    "mask_threshold": Float(low=0.1, high=0.9, default=0.5, source="Saiz et al. state none"),
    "mask_closing_px": Int(low=0, high=8, default=3, source="Saiz et al.: mathematical morphology, no number"),
    "mask_fill_holes": Categorical(choices=(True, False), default=True, source="Saiz et al. remove holes"),
    "mask_min_area_px": Int(low=0, high=256, default=16, source="ours"),
    "mask_min_sureness": Float(low=0.0, high=0.95, default=0.0, source="Saiz et al. use every image"),
}
"""How masks are made for images of generators that make none; only where pixels are to be named."""
