"""Child seeds by name: every random number of a trial descends from the study's seed through a chain of names."""

import hashlib


def child_seed(seed: int, *names: str | int) -> int:
    """Derives a seed in [0, 2**63) from a parent seed and a path of names; equal paths give equal seeds on every machine."""
    text = "/".join([str(int(seed)), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
