"""Measures how fast a pack opens, and what it takes of the memory of a machine with several workers.

    python tests/benchmarks/packs.py [--pictures 1500] [--size 128] [--workers 4]

The alternative decodes the files and holds them as an array, once in each worker. All workers stand still with every picture read while memory is
counted: for the pack the pages of its mapping, each page shared out among those who hold it (`Pss` of /proc/<pid>/smaps, so on Linux only), for the
alternative what each worker grew by.
"""

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
from PIL import Image

from trainables.datasets.packs import FILE, open_pack, pack_dataset
from trainables.datasets.settings import DataSettings
from trainables.store import Store

MIB = 2**20
Work = Callable[[Path, DataSettings, str], object]


def written(folder: Path, count: int, size_px: int) -> None:
    """Writes pictures of three classes: noise, so that none is a copy of another."""
    rng = np.random.default_rng(0)
    for i in range(count):
        file = folder / f"class_{i % 3}" / f"{i:05d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (size_px, size_px), dtype=np.uint8)).save(file, compress_level=1)


def mapped(root: Path, settings: DataSettings, fingerprint: str) -> object:
    """Opens the pack and reads every picture of it; the pages of masks, which these pictures lack, stay on the disk."""
    pack = open_pack(settings, fingerprint, Store(root))
    assert pack.images.sum() > 0
    return pack


def decoded(root: Path, settings: DataSettings, fingerprint: str) -> object:
    """Decodes all files into an array."""
    assert settings.path is not None
    files = sorted(Path(settings.path).rglob("*.png"))
    pixels = np.empty((len(files), settings.size_px, settings.size_px), dtype=np.uint8)
    for i, file in enumerate(files):
        pixels[i] = np.asarray(Image.open(file))
    return pixels


def memory_bytes(what: str) -> int:
    """Gives this process's share of the pages of mapped packs, or its anonymous memory."""
    found, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if " " in name or "-" in name:
            counts = line.endswith(FILE)
        elif (what == "pack" and counts and name == "Pss") or (what == "anonymous" and name == "Anonymous"):
            found += 1024 * int(rest.split()[0])
    return found


def hold(work: Work, what: str, barrier: Barrier, told: "multiprocessing.Queue[int]", arguments: tuple[Path, DataSettings, str]) -> None:
    """Does the work, waits until all have, and tells the memory it holds; then lets go together with the others."""
    before = memory_bytes(what)
    kept = work(*arguments)
    barrier.wait()
    told.put(memory_bytes(what) - before)
    barrier.wait()
    del kept


def held(work: Work, what: str, workers: int, arguments: tuple[Path, DataSettings, str]) -> int:
    """Gives the bytes that so many workers hold together."""
    context = multiprocessing.get_context("spawn")
    barrier, told = context.Barrier(workers), context.Queue()
    running = [context.Process(target=hold, args=(work, what, barrier, told, arguments)) for _ in range(workers)]
    for process in running:
        process.start()
    total = sum(told.get() for _ in running)
    for process in running:
        process.join()
    return total


def seconds(work: Callable[[], object], times: int) -> float:
    """Gives the median time of some calls."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def main() -> None:
    """Reads the command line and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1500)
    parser.add_argument("--size", type=int, default=128, help="side of the pictures in pixels")
    parser.add_argument("--workers", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, root = Path(scratch) / "pictures", Path(scratch) / "store"
        written(folder, given.pictures, given.size)
        settings = DataSettings(dataset="image_folder", path=str(folder), size_px=given.size)
        start = time.perf_counter()
        fingerprint, _ = pack_dataset(settings, Store(root))
        packed_s = time.perf_counter() - start
        arguments = (root, settings, fingerprint)
        size = next(root.rglob(FILE)).stat().st_size
        open_s, decode_s = seconds(lambda: open_pack(settings, fingerprint, Store(root)), 20), seconds(lambda: decoded(*arguments), 3)
        print(f"{given.pictures} pictures of {given.size} px: packed once in {packed_s:.1f} s, {size / MIB:.1f} MiB")
        print(f"opened in  {1e3 * open_s:8.2f} ms; decoding the files takes {1e3 * decode_s:.0f} ms, {decode_s / open_s:.0f} times as long")
        ours, plain = held(mapped, "pack", given.workers, arguments), held(decoded, "anonymous", given.workers, arguments)
        print(f"{given.workers} workers hold {ours / MIB:.1f} MiB of it together, {ours / size:.2f} times the file")
        print(f"{given.workers} workers with arrays of their own hold {plain / MIB:.1f} MiB, {plain / ours:.1f} times as much")


if __name__ == "__main__":
    main()
