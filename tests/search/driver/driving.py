"""Runs the fake study as a program, to its end or its death."""

import os
import subprocess
import sys
from pathlib import Path

DRIVER = Path(__file__).parent
ROOT = DRIVER.parents[2]
KILLED = -9


def environment(ray_folder: Path | None = None, **more: str) -> dict[str, str]:
    """Gives what the study's processes need to find each other's code."""
    found = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{DRIVER}", "RAY_USAGE_STATS_ENABLED": "0"}
    return found | ({"FAKE_RAY_DIR": str(ray_folder)} if ray_folder else {}) | more


def program(folder: Path, *options: str) -> list[str]:
    """Gives the command line of the fake study."""
    return [sys.executable, str(DRIVER / "fake_study.py"), str(folder), *options]


def drive(folder: Path, *options: str, ray_folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the fake study in a folder."""
    folder.mkdir(exist_ok=True)
    return subprocess.run(program(folder, *options), env=environment(ray_folder), capture_output=True, text=True, timeout=240, check=False)
