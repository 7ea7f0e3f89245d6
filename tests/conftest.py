"""What every test shares: a quiet, small environment, and a skip with a reason where something outside is missing."""

import os
from pathlib import Path

import pytest

# Two cores are shared by everything that runs in the tests; set before torch or numpy is imported. Ray must not report usage over the network.
for _name, _value in {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}.items():
    os.environ.setdefault(_name, _value)

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what this machine cannot run, each with its reason."""
    for item in items:
        if item.get_closest_marker("data") and not (SHARED / "data").is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no public data sets in {SHARED / 'data'}"))
        if item.get_closest_marker("gpu") and not _has_cuda():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the public data sets; for tests that are marked `data`."""
    return SHARED / "data"
