"""A store on a file system that fails: what may pass is waited for, what lasts is one message, and what is torn is never seen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from faulty import WAITS_S, Faults, faulty_filesystem

from trainables import retries
from trainables.cleaning import clean
from trainables.errors import StoreError
from trainables.scratch import framed, unframed
from trainables.store import Store

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "WAITS_S", WAITS_S)


def faulty(folder: Path, *, notes: Path | None = None, **faults: object) -> Store:
    Store(folder)
    return Store(str(folder), filesystem=faulty_filesystem(Faults(**faults), notes))  # type: ignore[arg-type]


@pytest.mark.parametrize("arrives", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_what_passes_is_waited_for(tmp_path: Path, seed: int, arrives: bool) -> None:
    store = faulty(tmp_path / "store", notes=tmp_path, seed=seed, failing=0.3, moments=len(WAITS_S), arrives=arrives)
    for number in range(4):
        store.publish("pool", f"k{number}", {"a": b"1", "b": b"2"})
        store.write_scratch("s", bytes([number]))
        assert store.read_scratch("s") == bytes([number])
    store.drop_scratch("s")
    assert store.keys("pool") == ["k0", "k1", "k2", "k3"] and store.size_bytes() > 0
    assert all(entry.read("a") == b"1" and entry.is_whole() for entry in store.entries())
    assert not (tmp_path / "twice.txt").exists(), "a write that is done again publishes the same attempt"
    assert clean(Store(tmp_path / "store"), young_s=0.0).size_bytes == 0


def test_what_does_not_pass_names_the_path_and_the_way_on(tmp_path: Path) -> None:
    store = faulty(tmp_path / "store", after=3, broken=True)
    with pytest.raises(StoreError) as error:
        store.publish("pool", "k", {"a": b"1"})
    said = str(error.value)
    assert "pool/k" in said and "Input/output error, again and again" in said and "Nothing finished is lost" in said and "it continues" in said
    for act in (lambda: store.keys("pool"), lambda: list(store.entries()), lambda: store.read_scratch("s"), lambda: store.write_scratch("s", b"")):
        with pytest.raises(StoreError, match="again and again"):
            act()
    store.drop_scratch("s")
    assert Store(tmp_path / "store").publish("pool", "k", {"a": b"1"}).read("a") == b"1"


def test_a_read_only_store_is_read_and_refuses_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(tmp_path / "store").publish("pool", "k", {"a": b"1"})
    store = faulty(tmp_path / "store", read_only=True)
    monkeypatch.setattr(retries.time, "sleep", lambda _: pytest.fail("waiting does not make a store writable"))
    entry = store.lookup("pool", "k")
    assert entry is not None and entry.read("a") == b"1"
    with pytest.raises(StoreError, match=r"pool/n/.*cannot be written \(Read-only file system\)(.|\n)*storage\.store"):
        store.publish("pool", "n", {"a": b"1"})


@pytest.mark.parametrize("room", range(0, 400, 23))
def test_a_full_store_shows_all_or_nothing(tmp_path: Path, room: int) -> None:
    store = faulty(tmp_path / "store", room_bytes=room)
    content = {"a": b"1" * 60, "b": b"2" * 60}
    try:
        store.publish("pool", "k", content)
    except StoreError as error:
        assert "No space left on device" in str(error) and "Free some space" in str(error)
        assert not list((tmp_path / "store" / "pool").rglob("a")), "what nobody names makes room"
    entry = Store(tmp_path / "store").lookup("pool", "k")
    assert entry is None or entry.is_whole()
    again = Store(tmp_path / "store").publish("pool", "k", content)
    assert again.is_whole() and (entry is None or entry.attempt == again.attempt)


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from faulty import Faults, faulty_filesystem
from trainables.store import Store
folder = Path(sys.argv[2])
store = Store(str(folder), filesystem=faulty_filesystem(Faults(seed=7, after=1, torn_write=int(sys.argv[3])), folder.parent))
store.write_scratch("s", b"early" * 9)
store.write_scratch("s", b"later" * 9)
store.publish("pool", "k", {"a": b"1" * 60})
"""


@pytest.mark.parametrize(("write", "checkpoint"), [(1, None), (2, b"early" * 9), (3, b"later" * 9), (4, b"later" * 9)])
def test_what_a_dying_writer_tore_is_never_seen(tmp_path: Path, write: int, checkpoint: bytes | None) -> None:
    """Writes are, in turn: two checkpoints, the result's file, its done.json."""
    Store(tmp_path / "store")
    died = subprocess.run([sys.executable, "-c", WRITER, str(HERE), str(tmp_path / "store"), str(write)], check=False, cwd=HERE.parents[2])
    assert died.returncode == -9 and len((tmp_path / "deaths.txt").read_text().splitlines()) == 1
    store = faulty(tmp_path / "store", notes=tmp_path)
    assert store.read_scratch("s") == checkpoint, "the checkpoint before a torn one counts"
    assert store.lookup("pool", "k") is None and store.keys("pool") == []
    assert store.publish("pool", "k", {"a": b"1" * 60}).is_whole() and not (tmp_path / "twice.txt").exists()
    assert clean(store, young_s=0.0).attempts == (1 if write > 2 else 0)


def test_a_failed_publication_that_arrived_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last write fails for good, though it was done: its files must not be taken away from under it."""
    store = faulty(tmp_path / "store")
    write = Store._write

    def lost(self: Store, path: str, data: bytes, *, flush: bool = False) -> None:
        write(self, path, data, flush=flush)
        if path.endswith("done.json"):
            raise StoreError("no answer")

    monkeypatch.setattr(Store, "_write", lost)
    assert store.publish("pool", "k", {"a": b"1"}).is_whole()
    entry = store.lookup("pool", "k")
    assert entry is not None and entry.is_whole()


def test_a_checkpoint_cut_off_anywhere_is_none() -> None:
    whole = framed(3, b"content")
    assert unframed(whole) == (3, b"content") and unframed(b"\x10\0\0\0 of an earlier version") == (0, b"\x10\0\0\0 of an earlier version")
    assert all(unframed(whole[:length]) is None for length in range(len(whole)))
    assert unframed(whole[:-1] + b"x") is None and unframed(None) is None


def test_a_remote_folder_that_is_not_there_yet_is_made(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "new" / "store"), filesystem=faulty_filesystem(Faults()))
    assert store.publish("pool", "k", {"a": b"1"}).read("a") == b"1"


def test_an_unknown_kind_of_store_is_named() -> None:
    with pytest.raises(StoreError, match=r"nothing://here: cannot be opened(.|\n)*storage\.store"):
        Store("nothing://here")


def test_a_temporary_folder_without_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = faulty(tmp_path / "store").publish("pool", "k", {"a": os.urandom(16)})

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match=r"tundish-fetched.*No space left(.|\n)*TMPDIR(.|\n)*it continues"):
        entry.local_path("a")
