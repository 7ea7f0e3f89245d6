"""Nested training state as one safetensors file: tensors as tensors, everything else as JSON in the header. Nothing is pickled."""

import json
from typing import Any

import torch
from safetensors.torch import load, save


def state_to_bytes(state: Any) -> bytes:
    """Serialises nested dicts, lists and tuples of tensors and plain values (a module's or an optimizer's `state_dict`, counters).

    Dict keys may be strings or integers; a tuple comes back as a list.

    Raises:
        TypeError: a value is neither a tensor nor plain JSON data.
    """
    tensors: dict[str, torch.Tensor] = {}

    def outline(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            name = str(len(tensors))
            tensors[name] = value.detach().to("cpu").clone(memory_format=torch.contiguous_format)
            return {"tensor": name}
        if isinstance(value, dict):
            return {"dict": [[key, outline(item)] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            return {"list": [outline(item) for item in value]}
        return {"plain": value}

    skeleton = json.dumps(outline(state))
    return save(tensors, metadata={"outline": skeleton})


def state_from_bytes(data: bytes) -> Any:
    """Gives back what `state_to_bytes` was given, tensors on the CPU."""
    length = int.from_bytes(data[:8], "little")
    skeleton = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["outline"])
    tensors = load(data)

    def fill(node: dict[str, Any]) -> Any:
        ((kind, value),) = node.items()
        if kind == "tensor":
            return tensors[value]
        if kind == "dict":
            return {key: fill(item) for key, item in value}
        if kind == "list":
            return [fill(item) for item in value]
        return value

    return fill(skeleton)
