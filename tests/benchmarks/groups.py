"""Measures how well and how fast copies are found: on NEU-CLS, NEU-DET and NEU_Seg together, and what a large data set costs.

    python tests/benchmarks/groups.py [--pictures 0] [--data ../shared/data]

Printed are the share of true pairs that is found, false pairs, seconds, and the same for correlation of 32 px thumbnails in eight orientations alone.
With --pictures N, N procedural surfaces and no file are grouped too, of 96 px, a tenth of them cropped and relit copies of others.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "trainables" / "datasets")]


def pairs(found: "np.ndarray", truth: "np.ndarray") -> tuple[float, int]:
    """Gives the share of true pairs that share a group, and how many other pairs do."""
    together, true = found[:, None] == found, truth[:, None] == truth
    return (np.triu(together & true, 1).sum() / np.triu(true, 1).sum(), int(np.triu(together & ~true, 1).sum()))


def tell(name: str, looks: "list[object]", truth: "np.ndarray", reading_s: float) -> None:
    """Groups in both ways and prints what came of it."""
    from trainables.datasets.copies.groups import find_groups, whole_copies

    names: list[str] = [str(number) for number in range(len(looks))]
    start, busy = time.perf_counter(), time.process_time()
    found = find_groups(looks, names, [None] * len(looks))
    seconds, busy_s = time.perf_counter() - start, time.process_time() - busy
    recall, false = pairs(found, truth)
    print(f"{name}: {len(looks)} pictures, read in {reading_s:.1f} s")
    print(f"  groups:          {100 * recall:.2f} % of true pairs, {false} false, {seconds:.1f} s ({busy_s:.1f} s of processor)")
    thumbnails = np.stack([look.thumbnail for look in looks])
    start, busy = time.perf_counter(), time.process_time()
    near = np.array(list(whole_copies(thumbnails, thumbnails)))
    plain_s, plain_busy_s = time.perf_counter() - start, time.process_time() - busy
    near = near[near[:, 0] < near[:, 1]]
    right = {(int(i), int(j)) for i, j in near if truth[i] == truth[j]}
    wrong = {(int(i), int(j)) for i, j in near if truth[i] != truth[j]}
    alone = len(right) / np.triu(truth[:, None] == truth, 1).sum()
    print(f"  thumbnails only: {100 * alone:.2f} % of true pairs, {len(wrong)} false, {plain_s:.1f} s ({plain_busy_s:.1f} s of processor)")
    gain = f"{recall / alone:.3f} times" if alone else "all against none of"
    print(f"  ratio: {gain} the pairs for {busy_s / plain_busy_s:.1f} times the processor")


def main() -> None:
    """Reads the command line and measures."""
    from test_groups import KINDS, cropped, neu, relit, turned

    from trainables.datasets.copies.groups import look
    from trainables.datasets.procedural import draw

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=0, help="procedural surfaces that are grouped too")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    given = parser.parse_args()
    if given.data.is_dir():
        start = time.perf_counter()
        looks, truth = neu(given.data, 1)
        tell("NEU-CLS, NEU-DET, NEU_Seg", looks, truth, time.perf_counter() - start)
    else:
        print(f"no public data sets in {given.data}")
    if given.pictures:
        rng = np.random.default_rng(0)
        start = time.perf_counter()
        looks, own = [], []
        for number in range(given.pictures):
            shown = number // 10 * 10 if number % 10 == 9 else number
            pixels = draw(KINDS[shown % len(KINDS)], size_px=96, seed=shown).pixels
            looks.append(look(relit(cropped(turned(pixels, number % 8), rng), rng) if shown != number else pixels))
            own.append(shown)
        tell("procedural surfaces", looks, np.array(own), time.perf_counter() - start)


if __name__ == "__main__":
    main()
