"""Makes the fake study of `driver/` known to the tests of the search."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "driver"))


@pytest.fixture(scope="session")
def ray_folder() -> Iterator[Path]:
    """A short folder for Ray's sockets, whose paths must stay below 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tr-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
