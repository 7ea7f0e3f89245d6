"""How much a split leaks: held-out images that show what was trained on. Counted for every split, told by checks and reports."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def count_leaks(groups: Indices, hashes: Sequence[str], trained: Indices, held_out: Mapping[str, Indices]) -> dict[str, int]:
    """Counts held-out images that share a picture with one that is trained on.

    Args:
        groups: (N,) picture that each image shows.
        hashes: N hashes of pixels; equal for exact copies.
        trained: indices of the images that generators or inspectors are trained on.
        held_out: part (val, test) -> indices of its images.

    Returns:
        `<part>`: images whose picture is trained on; `<part>_exact`: those of which an equal file is. Zero everywhere where nothing leaks.
    """
    leaked = {}
    seen = {hashes[i] for i in trained.tolist()}
    for part, rows in held_out.items():
        leaked[part] = int(np.isin(groups[rows], groups[trained]).sum())
        leaked[f"{part}_exact"] = sum(hashes[i] in seen for i in rows.tolist())
    return leaked


def say_leaks(leaked: Mapping[str, int], sizes: Mapping[str, int]) -> str:
    """Puts a count into one sentence for checks and reports; empty where nothing leaks.

    Args:
        leaked: what `count_leaks` gave.
        sizes: part -> number of its images.
    """
    names = {"test": "test", "val": "validation"}
    said = []
    for part in (part for part in names if leaked.get(part, 0)):
        count, size, exact = leaked[part], sizes[part], leaked.get(f"{part}_exact", 0)
        share = f"{count} of {size} {names[part]} images ({100 * count / size:.1f} %)"
        said.append(f"{share}{', ' + str(exact) + ' of them pixel for pixel' if exact else ''}")
    return f"pictures that are trained on are seen again in {' and in '.join(said)}" if said else ""
