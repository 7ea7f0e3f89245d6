"""Names tensors by what they hold, for keys of what is made of these tensors and of nothing else. Called by `steps` and `unit`."""

import hashlib
from collections.abc import Mapping

from torch import Tensor


def content_key(tensors: Mapping[str, Tensor | None]) -> str:
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
