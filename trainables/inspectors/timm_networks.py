"""Inspectors from timm: any of its models, named `timm:<name>`. Called through the registry, which holds one line for all of them.

timm is imported when the first such inspector is asked for, and nothing is downloaded: weights come from a file, or are new.
"""

import difflib
from functools import cache
from typing import Any, ClassVar

import timm
import torch
from torch import Tensor, nn

from trainables.errors import SettingsError
from trainables.inspectors.seeded import SeededNetwork
from trainables.inspectors.stock import Normalised, StockClassifier, StockConfig

NEAREST = 3
"""Names offered for one that there is not."""


class TimmClassifier(StockClassifier):
    """One of timm's models, without its last layer; `timm_kind` makes a class of it for each name.

    Its sides must be what the model takes: convolutional ones shrink an image to a thirty-second, so that 64 px leave 2; transformers are built for
    the size at hand, where their patches and windows divide it.
    """

    name: ClassVar[str]
    """In timm."""

    def __init__(self, config: StockConfig, *, size_px: int, channels: int, num_classes: int) -> None:
        super().__init__()
        net = self.build(size_px, channels if config.weights is None else 3)
        self.end(config, _width(self.name, size_px), num_classes)
        if config.weights is not None:
            expected = net.pretrained_cfg
            self.prepare = Normalised(tuple(expected["mean"]), tuple(expected["std"]))
        self.trunk = SeededNetwork(net)

    @classmethod
    def build(cls, size_px: int, channels: int) -> Any:
        """Builds the model with new weights; it gives pooled features.

        Raises:
            Exception: whatever the model raises where it cannot be built for this size.
        """
        sized: dict[str, Any] = {"img_size": size_px} if _described(cls.name).fixed_input_size else {}
        return timm.create_model(cls.name, pretrained=False, in_chans=channels, num_classes=0, **sized)

    @classmethod
    def takes(cls, size_px: int, channels: int) -> bool:
        """Says whether the model can be built for a size, and gives one row of features for an image of it. Nothing is computed."""
        return _width(cls.name, size_px) > 0

    def body(self) -> nn.Module:
        """Gives the model."""
        return self.trunk.get_submodule("network")


@cache
def timm_kind(name: str) -> type[TimmClassifier]:
    """Makes the inspector of one of timm's models; the same class at each call.

    Args:
        name: as timm lists it, without the tag of pretrained weights.

    Raises:
        SettingsError: timm has no such model; the nearest names are offered.
    """
    plain, _, tag = name.partition(".")
    known = timm.list_models()
    if plain not in known:
        near = difflib.get_close_matches(plain, known, n=NEAREST)
        offered = f"did you mean {', '.join(f'timm:{other}' for other in near)}?" if near else "timm.list_models() lists all of them"
        raise SettingsError(f"timm {timm.__version__} has no model {plain!r}; {offered}")
    if tag:
        raise SettingsError(f"timm:{name}: {tag!r} names weights, which are not downloaded; take timm:{plain} and its setting `weights`")
    rest = _described(plain).classifier or ()
    starts = tuple(f"{layer}." for layer in ((rest,) if isinstance(rest, str) else rest))
    made: type[TimmClassifier] = type(f"Timm_{plain}", (TimmClassifier,), {"name": plain, "file_rest": starts, "__module__": __name__})
    return made


def _described(name: str) -> Any:
    """Gives what timm says of a model's weights and images."""
    return timm.get_pretrained_cfg(name)


@cache
def _width(name: str, size_px: int) -> int:
    """Says how many features a model gives of an image of a size; 0 where it takes no such images. Shapes alone are followed."""
    try:
        with torch.device("meta"):
            given = timm_kind(name).build(size_px, 3).eval()(torch.empty(2, 3, size_px, size_px))
    except Exception:
        # Each architecture says in its own way, by whatever exception, that its patches, windows or strides do not divide the size.
        return 0
    return given.shape[1] if isinstance(given, Tensor) and given.ndim == 2 else 0
