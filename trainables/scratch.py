"""Rolling checkpoints of stages in flight: they save work and prove nothing, so a damaged one is none. Called by the store.

Each bears a number that grows and a hash. Where a file is written in its place, two take turns, so that a writer that dies in the middle of one
leaves the one before. Checkpoints of earlier versions of this code are bare, and still read.
"""

import hashlib

from trainables.files import Files

FOLDER = "scratch"
MAGIC = b"tundish checkpoint\n"
HEAD = len(MAGIC) + 8 + 32
TURN = ".turn"
"""Ending of the second of two that take turns."""


def framed(number: int, data: bytes) -> bytes:
    """Puts number and hash before a checkpoint."""
    counted = number.to_bytes(8, "big")
    return b"".join([MAGIC, counted, _hash(counted, data), data])


def unframed(data: bytes | None) -> tuple[int, bytes] | None:
    """Gives number and content of a checkpoint; None where it is missing or torn."""
    if data is None or MAGIC.startswith(data):
        return None
    if not data.startswith(MAGIC):
        return 0, data
    counted, digest, content = data[len(MAGIC) : len(MAGIC) + 8], data[len(MAGIC) + 8 : HEAD], data[HEAD:]
    return (int.from_bytes(counted, "big"), content) if _hash(counted, content) == digest else None


def _hash(counted: bytes, content: bytes) -> bytes:
    digest = hashlib.sha256(counted)
    digest.update(content)
    return digest.digest()


class Scratch:
    """The checkpoints of one store."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._latest: dict[str, tuple[int, str]] = {}
        """Name of a checkpoint -> number and path of its latest."""

    def read(self, name: str) -> bytes | None:
        """Reads the latest whole checkpoint of a name; None where there is none."""
        found = [(*checkpoint, path) for path in self._paths(name) if (checkpoint := unframed(self._files.read(path))) is not None]
        if not found:
            self._latest[name] = (0, "")
            return None
        number, content, path = max(found, key=lambda item: item[0])
        self._latest[name] = (number, path)
        return content

    def write(self, name: str, data: bytes) -> None:
        """Replaces a checkpoint."""
        if name not in self._latest:
            self.read(name)
        number, before = self._latest[name]
        path = next((path for path in self._paths(name) if path != before), before)
        self._files.write(path, framed(number + 1, data))
        self._latest[name] = (number + 1, path)

    def drop(self, name: str) -> None:
        """Removes a checkpoint, if that is possible: nobody reads it once its stage is published."""
        self._latest.pop(name, None)
        for path in self._paths(name):
            self._files.remove_if_possible(path)

    def _paths(self, name: str) -> list[str]:
        path = f"{FOLDER}/{name}"
        return [path] if self._files.local_root is not None else [path, path + TURN]
