"""Names data by what it holds: tensors, for keys of what is made of them and of nothing else; lists of hashes.

Called by `steps`, `unit` and `search.studies.growth`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def names_key(names: Any) -> str:
    """Names plain data, such as lists of content hashes: 32 hexadecimal digits of SHA-256 over canonical JSON."""
    return hashlib.sha256(json.dumps(names, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def content_key(tensors: "Mapping[str, Tensor | None]") -> str:
    """Names tensors by their names, types, shapes and values, in their order: 32 hexadecimal digits of SHA-256.

    Args:
        tensors: by what they are for; None is left out.
    """
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        if tensor is not None:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
