"""A store is cleaned of what nobody names, and of nothing else."""

import json
import os
from pathlib import Path

from trainables.cleaning import YOUNG_S, clean
from trainables.scratch import framed
from trainables.store import Store

LATER_S = 4e9
"""A moment long after every test."""


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def littered(root: Path) -> tuple[Store, set[str]]:
    """A store with two results and what dead writers left; gives the files that must stay."""
    store = Store(root)
    store.publish("inspector", "k", {"a.txt": b"a"})
    store.publish("generator/g", "00002000", {"a.txt": b"a"})
    store.write_scratch("inspector-other.safetensors", b"work")
    stay = files(root)
    left = {
        "inspector/k/20200101T000000-0123abcd/a.txt": b"a",
        "inspector/new/20200101T000000-0123abcd/a.txt": b"abc",
        "inspector/torn/20200101T000000-0123abcd/a.txt": b"a",
        "inspector/torn/done.json": b'{"attempt": "2020',
        f"inspector/k/done.json.{'0' * 32}.part": b"{",
        "scratch/generator-g-00002000": framed(1, b"1"),
        "scratch/inspector-k.safetensors": framed(1, b"1"),
    }
    for name, data in left.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return store, stay


def test_what_nobody_names_goes_and_all_else_stays(tmp_path: Path) -> None:
    store, stay = littered(tmp_path)
    before = files(tmp_path)
    told = clean(store, remove=False, clock=lambda: LATER_S)
    assert files(tmp_path) == before
    found = clean(store, clock=lambda: LATER_S)
    assert found == told and (found.attempts, found.cut_off, found.checkpoints, found.damaged) == (3, 2, 2, [])
    assert found.size_bytes == 5 + 17 + 1 + 2 * len(framed(1, b"1"))
    assert files(tmp_path) == stay
    assert clean(store, clock=lambda: LATER_S).size_bytes == 0


def test_what_may_be_at_work_is_left_alone(tmp_path: Path) -> None:
    store, _ = littered(tmp_path)
    now_s = (tmp_path / "inspector/new/20200101T000000-0123abcd/a.txt").stat().st_mtime
    found = clean(store, clock=lambda: now_s + YOUNG_S - 60)
    assert (found.attempts, found.cut_off) == (0, 0) and found.checkpoints == 2, "nobody reads a checkpoint whose stage is published"
    old = tmp_path / "inspector/new/20200101T000000-0123abcd/a.txt"
    os.utime(old, (now_s - YOUNG_S - 1, now_s - YOUNG_S - 1))
    assert clean(store, clock=lambda: now_s).attempts == 1 and not old.exists()


def test_damaged_results_are_found_by_their_hashes_and_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key in ("whole", "changed", "lost"):
        store.publish("pool", key, {"a.txt": b"good", "b.txt": b"good"})
    entries = {entry.key: entry for entry in store.entries()}
    entries["changed"].local_path("b.txt").write_bytes(b"bad")
    entries["lost"].local_path("a.txt").unlink()
    assert clean(store, clock=lambda: LATER_S).damaged == [], "not looked for"
    assert clean(store, verify=True).damaged == ["pool/changed", "pool/lost"]
    assert store.keys("pool") == ["whole"] and [path.name for path in (tmp_path / "pool" / "changed").rglob("*.txt")] == []
    assert store.publish("pool", "changed", {"a.txt": b"good"}).read("a.txt") == b"good"
    assert json.loads((tmp_path / "format.json").read_text()) == {"format": 1}
