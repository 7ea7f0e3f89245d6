"""The store: what is published stays, what is half-written is never seen."""

import errno
import json
import os
from pathlib import Path

import pytest
from pyarrow import fs

from trainables.errors import StoreError
from trainables.store import FORMAT, Store, stage_key


def test_equal_settings_meet_and_different_ones_do_not() -> None:
    key = stage_key("pool", version=1, settings={"a": 1, "b": 0.5}, inputs=["x"], seed=3)
    assert key == stage_key("pool", version=1, settings={"b": 0.5, "a": 1}, inputs=["x"], seed=3)
    others = [
        stage_key("mark", version=1, settings={"a": 1, "b": 0.5}, inputs=["x"], seed=3),
        stage_key("pool", version=2, settings={"a": 1, "b": 0.5}, inputs=["x"], seed=3),
        stage_key("pool", version=1, settings={"a": 1, "b": 0.25}, inputs=["x"], seed=3),
        stage_key("pool", version=1, settings={"a": 1, "b": 0.5}, inputs=["y"], seed=3),
        stage_key("pool", version=1, settings={"a": 1, "b": 0.5}, inputs=["x"], seed=4),
    ]
    assert len({key, *others}) == 6


def test_a_key_refuses_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="JSON"):
        stage_key("pool", version=1, settings={"a": float("nan")})


def test_what_was_published_is_read_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.lookup("pool", "k") is None
    store.publish("pool", "k", {"images.bin": b"abc", "note.json": b"[1]"}, {"seconds": 2.0})
    entry = Store(tmp_path).lookup("pool", "k")
    assert entry is not None
    assert (entry.read("images.bin"), entry.json("note.json"), entry.info["seconds"]) == (b"abc", [1], 2.0)
    assert entry.local_path("images.bin").read_bytes() == b"abc"
    assert store.keys("pool") == ["k"]
    assert [found.key for found in store.entries()] == ["k"]


def test_the_first_publication_stands(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.publish("pool", "k", {"a": b"1"})
    second = store.publish("pool", "k", {"a": b"2"})
    assert (second.attempt, second.read("a")) == (first.attempt, b"1")


def test_half_written_results_are_invisible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    write = Store._write

    def torn(self: Store, path: str, data: bytes, *, flush: bool = False) -> None:
        if path.endswith("second"):
            raise StoreError("the disk is full")
        write(self, path, data, flush=flush)

    monkeypatch.setattr(Store, "_write", torn)
    with pytest.raises(StoreError):
        store.publish("pool", "k", {"first": b"1", "second": b"2"})
    monkeypatch.undo()
    assert store.lookup("pool", "k") is None
    assert store.keys("pool") == []
    assert not list((tmp_path / "pool").rglob("first")), "what nobody will name makes room"
    store.publish("pool", "k", {"first": b"1", "second": b"2"})
    assert store.keys("pool") == ["k"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    entry = Store(tmp_path).publish("pool", "k", {"a": b"good"})
    entry.local_path("a").write_bytes(b"bad")
    with pytest.raises(StoreError, match=r"pool/k/.*damaged(.|\n)*Delete the folder"):
        entry.read("a")


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "format.json").write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(StoreError, match=r"newer Tundish(.|\n)*storage\.store"):
        Store(tmp_path)


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    for text in ('{"format": "two"}', "[]", "format"):
        (tmp_path / "format.json").write_text(text)
        with pytest.raises(StoreError, match=r"format\.json: says no store format(.|\n)*delete that file"):
            Store(tmp_path)


def test_a_store_whose_first_writer_died_is_a_store(tmp_path: Path) -> None:
    whole = json.dumps({"format": FORMAT})
    for length in range(len(whole)):
        (tmp_path / "format.json").write_text(whole[:length])
        Store(tmp_path)
        assert (tmp_path / "format.json").read_text() == whole


def test_a_publication_cut_off_anywhere_is_none_and_is_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.publish("pool", "k", {"a": b"1"}, {"seconds": 1.0})
    done = tmp_path / "pool" / "k" / "done.json"
    whole = done.read_bytes()
    for cut in [*(whole[:length] for length in range(len(whole))), b"\0\0", b"{}", b"[]"]:
        done.write_bytes(cut)
        assert store.lookup("pool", "k") is None and store.keys("pool") == [] and not list(store.entries())
    again = store.publish("pool", "k", {"a": b"1"}, {"seconds": 1.0})
    assert again.attempt != first.attempt and again.read("a") == b"1"


def test_a_full_disk_is_one_clear_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"pool/k/.*No space left on device(.|\n)*Free some space"):
        store.publish("pool", "k", {"a": b"1"})
    assert not [path for path in (tmp_path / "pool").rglob("*") if path.is_file()]
    monkeypatch.undo()
    assert store.lookup("pool", "k") is None


def test_any_pyarrow_file_system_serves(tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    remote = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    store = Store("bucket", filesystem=remote)
    store.publish("pool", "k", {"a": b"1"})
    entry = Store("bucket", filesystem=remote).lookup("pool", "k")
    assert entry is not None and entry.read("a") == b"1"
    assert entry.local_path("a").read_bytes() == b"1", "fetched to this machine"


def test_scratch_comes_and_goes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.read_scratch("k") is None
    store.write_scratch("k", b"1")
    store.write_scratch("k", b"2")
    assert store.read_scratch("k") == b"2"
    store.drop_scratch("k")
    store.drop_scratch("k")
    assert store.read_scratch("k") is None


def test_a_file_address_is_the_folder_it_names(tmp_path: Path) -> None:
    Store(f"file://{tmp_path}/store").publish("stage", "key", {"a.txt": b"a"})
    assert Store(f"file://{tmp_path}/store").local_root == tmp_path / "store"
    entry = Store(tmp_path / "store").lookup("stage", "key")
    assert entry is not None and entry.local_path("a.txt") == tmp_path / "store" / "stage" / "key" / entry.attempt / "a.txt"
