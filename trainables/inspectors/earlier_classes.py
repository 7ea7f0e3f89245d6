"""The last layer of an earlier inspector in one that tells other classes apart: outputs go over by the names of their classes, new ones begin anew.

Called by `stage`, when an inspector begins with the weights of an earlier run, and by `search.studies.weight_files`, which says it beforehand.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from trainables.errors import SettingsError
from trainables.inspectors.base import InspectorNetwork


class Change(NamedTuple):
    """What becomes of the outputs of an earlier inspector."""

    kept: tuple[str, ...]
    """Classes whose outputs go on."""
    new: tuple[str, ...]
    """Classes that it did not know: their outputs begin anew."""
    dropped: tuple[str, ...]
    """Classes that are not told apart any more."""


def change_of(then: Sequence[str], now: Sequence[str]) -> Change:
    """Compares the classes that an inspector told apart with those that it is to tell apart."""
    kept, new = (tuple(cls for cls in now if (cls in then) is known) for known in (True, False))
    return Change(kept, new, tuple(cls for cls in then if cls not in now))


def carry_over(weights: Mapping[str, Tensor], then: Sequence[str] | None, network: InspectorNetwork, now: Sequence[str]) -> dict[str, Tensor]:
    """Gives the weights of an earlier inspector as a new one takes them: rows of the last layers by class, whatever their number and order.

    Args:
        weights: of the earlier one.
        then: names of its outputs, in their order; None where nobody knows, so that only equal shapes fit.
        network: the new one, with fresh weights, which classes without earlier ones keep.
        now: names of its outputs; empty where an output stands for no class.

    Raises:
        SettingsError: the two have no class in common.
    """
    if then is None or not now or tuple(then) == tuple(now):
        return dict(weights)
    if not change_of(then, now).kept:
        raise SettingsError(f"tells {', '.join(then)} apart, of which none is among the classes here: {', '.join(now)}")
    own, carried = network.state_dict(), dict(weights)
    for name, value in weights.items():
        fresh = own.get(name)
        if not name.startswith(network.last_layers) or fresh is None or value.ndim == 0 or value.shape != (len(then), *fresh.shape[1:]):
            continue
        carried[name] = fresh.detach().cpu().clone()
        for row, cls in enumerate(now):
            if cls in then:
                carried[name][row] = value[then.index(cls)]
    return carried
