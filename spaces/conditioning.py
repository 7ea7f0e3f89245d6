"""How a family serves several classes, and how a model of all of them is told which one it is to make. Used by every family's space."""

from collections.abc import Iterator, Sequence

from spaces.domains import Categorical, Choice, Domain, Float
from spaces.space import Tree

KINDS = ("one_hot", "attributes", "learned", "blend")
FROM_ATTRIBUTES = ("attributes", "learned", "blend")
"""Kinds that need the attribute vectors of `data.attributes`."""

_VAE: Tree = {
    "ce_rec_weight": Float(low=0.1, high=2.0, log=True, default=0.5, source="vaegan2023, equation 2"),
    "ce_kl_weight": Float(low=0.01, high=10.0, log=True, default=1.0, source="vaegan2023, equation 3"),
}
_BLEND: Tree = {"ce_blend": Float(low=0.0, high=1.0, default=0.5, source="ours: half learned, half real")}
SETTINGS = ("conditioning", *_BLEND, *_VAE)
"""Names of the settings that say how a class is told; all others of a family are its Config's."""


UNSEEN: Tree = {
    "unseen_ce": Categorical(
        choices=("ridge_mapped", "real", "dissimilarity_threshold"), default="ridge_mapped", source="vaegan2023 states none; systems.md 2.4's preset"
    )
}
"""What stands for a class without images; only in task zero_shot."""


def conditioning(default: str = "one_hot", source: str = "the papers' conditional models") -> Choice:
    """Offers the ways of telling a class, each with its own settings.

    Args:
        default: the family's own way: `GeneratorModel.conditioning`.
        source: where that comes from.
    """
    return Choice(
        options={"one_hot": {}, "attributes": {}, "learned": _VAE, "blend": {**_BLEND, **_VAE}},
        default=default,
        source=source,
    )


def class_mode(
    default: str,
    source: str,
    *,
    modes: Sequence[str] = ("per_class", "conditional", "pooled"),
    told: Choice | None = None,
) -> Choice:
    """Offers a model for each class, one that is told the class, or one that is not, whose images the reference inspector sorts.

    Only `conditional` brings settings of the conditioning, so that the other modes waste no dimension on them.

    Args:
        default: the paper's mode.
        source: where that comes from.
        modes: those that the family has.
        told: `conditioning(...)` of the family; one-hot by default.
    """
    told = told or conditioning()
    return Choice(options={mode: {"conditioning": told} if mode == "conditional" else {} for mode in modes}, default=default, source=source)


def config_settings(tree: Tree) -> Iterator[tuple[str, Domain]]:
    """Walks over the settings of a family that are its Config's, those under choices included."""
    for name, domain in tree.items():
        if name in SETTINGS:
            continue
        yield name, domain
        if isinstance(domain, Choice):
            for inner in domain.options.values():
                yield from config_settings(inner)
