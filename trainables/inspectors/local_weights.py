"""Weights from files that a study names: what they hold, whether it fits a network, and into the network with it.

Nothing is downloaded. Files are safetensors, or state dicts as torch saves them, of which only tensors are let out. Called by `base.py`,
`stock.py`, `segmenters.py` and `stage.py`.
"""

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from trainables.errors import SettingsError

SHOWN = 3
"""Tensors that a message about a misfit shows."""

WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema")
"""Names under which training scripts put the weights into a larger dictionary."""

CLASSES = "classes"
"""Names, in the header of an inspector's safetensors, the classes that its outputs stand for, in their order."""

Shape = tuple[int, ...]


def read_shapes(path: str) -> dict[str, Shape]:
    """Lists the tensors of a file with their shapes; of safetensors only the header is read.

    Raises:
        SettingsError: no such file, or none of weights.
    """
    place = _existing(path)
    if place.suffix == ".safetensors":
        try:
            with safe_open(place, framework="pt") as file:
                return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
        except (SafetensorError, OSError) as error:
            raise SettingsError(f"{path}: not a safetensors file ({error})") from error
    return {name: tuple(value.shape) for name, value in _unpack(place).items()}


def read_weights(path: str) -> dict[str, Tensor]:
    """Reads the tensors of a file, on the CPU.

    Raises:
        SettingsError: no such file, or none of weights.
    """
    place = _existing(path)
    if place.suffix != ".safetensors":
        return _unpack(place)
    try:
        return load_file(place)
    except (SafetensorError, OSError) as error:
        raise SettingsError(f"{path}: not a safetensors file ({error})") from error


def read_classes(path: str) -> tuple[str, ...] | None:
    """Reads which classes the outputs of an inspector stand for; None where its file does not say.

    Raises:
        SettingsError: no such file, or none of weights.
    """
    place = _existing(path)
    if place.suffix != ".safetensors":
        return None
    try:
        with safe_open(place, framework="pt") as file:
            told = (file.metadata() or {}).get(CLASSES)
            names = json.loads(told) if told is not None else None
    except (SafetensorError, OSError, ValueError) as error:
        raise SettingsError(f"{path}: not a safetensors file ({error})") from error
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def misfit(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> str | None:
    """Says in one line how the tensors of a file differ from a network's: the first of them, expected and found; None where they fit.

    A batch norm's count of batches may be absent: older files do not have it, and nothing here reads it.
    """
    wrong = []
    for name, shape in expected.items():
        if name not in found and not name.endswith("num_batches_tracked"):
            wrong.append(f"{name}: expected {_say(shape)}, found none")
        elif name in found and found[name] != shape:
            wrong.append(f"{name}: expected {_say(shape)}, found {_say(found[name])}")
    wrong += [f"{name}: expected none, found {_say(shape)}" for name, shape in found.items() if name not in expected]
    if not wrong:
        return None
    more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return f"{len(wrong)} of {len({*expected, *found})} tensors do not fit: {'; '.join(wrong[:SHOWN])}{more}"


def start_problem(path: str, build: Callable[[], nn.Module], *, last: tuple[str, ...] = (), counted: bool = True) -> str | None:
    """Says why an inspector cannot begin with the weights of an earlier run; None where it can.

    Args:
        path: the safetensors of that run.
        build: makes the inspector; called where nothing is allocated.
        last: what the names of tensors start with that have a row for each class. Where the file names its classes, it may have others.
        counted: False where the classes are not known yet, so that these tensors are not looked at.
    """
    with torch.device("meta"):
        expected = shapes_of(build())
    try:
        found, classes = read_shapes(path), read_classes(path)
    except SettingsError as error:
        return str(error)
    ends = () if counted else last
    named = dict(found)
    for name, shape in found.items():
        if classes is not None and name.startswith(last) and name in expected and shape[:1] == (len(classes),):
            named[name] = (*expected[name][:1], *shape[1:])
    text = misfit(without(expected, ends), without(named, ends))
    if text is None:
        return None
    only_last = classes is None and misfit(without(expected, last), without(found, last)) is None
    return f"{path}: {text}" + ("; it does not name its classes, as what `tundish winner RUN --out FOLDER` writes does" if only_last else "")


def shapes_of(network: nn.Module) -> dict[str, Shape]:
    """Lists a network's own tensors with their shapes."""
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def without(tensors: Mapping[str, Any], starts: Sequence[str]) -> dict[str, Any]:
    """Leaves out the tensors whose names start so."""
    return {name: value for name, value in tensors.items() if not name.startswith(tuple(starts))}


def put(network: nn.Module, weights: Mapping[str, Tensor], path: str) -> None:
    """Puts the tensors of a file into a network.

    Raises:
        SettingsError: they do not fit.
    """
    if text := misfit(shapes_of(network), {name: tuple(value.shape) for name, value in weights.items()}):
        raise SettingsError(f"{path}: {text}")
    network.load_state_dict(dict(weights), strict=False)


def _existing(path: str) -> Path:
    place = Path(path).expanduser()
    if not place.is_file():
        raise SettingsError(f"{path}: no such file; expected weights, .safetensors or a state dict as torch saves it (.pth, .pt, .bin)")
    return place


def _unpack(place: Path) -> dict[str, Tensor]:
    """Reads a state dict of torch's own format; `weights_only` lets nothing but tensors and plain containers out of it."""
    try:
        state = torch.load(place, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(place))
    except Exception as error:
        # What is no such file fails in whatever way its first bytes lead to; the reader's own refusals are of a kind that only pickle names.
        told = str(error).partition("\n")[0]
        reason = f" ({told})" if " " in told else ""
        raise SettingsError(f"{place}: not a state dict as torch saves it; expected tensors by name{reason}") from error
    for name in WRAPPERS:
        if isinstance(state, Mapping) and isinstance(state.get(name), Mapping):
            state = state[name]
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise SettingsError(f"{place}: expected tensors by name, found {type(state).__name__} of other things")
    return dict(state)


def _say(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "a number"
