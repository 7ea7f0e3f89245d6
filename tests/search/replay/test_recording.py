"""What `tests/benchmarks/replay_table.py` does beside running trials: goes on where it was killed, and shares seconds out among stages."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "replay_table.py"


@pytest.fixture(scope="module")
def recording() -> ModuleType:
    spec = importlib.util.spec_from_file_location("replay_table", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


def test_a_book_goes_on_behind_a_torn_line_and_reads_all_parts(recording: ModuleType, tmp_path: Path) -> None:
    book = recording.Book(tmp_path, "1-of-2")
    book.write({"begun": "a"})
    book.write({"name": "a", "total_s": 1.0})
    book.write({"begun": "b"})
    recording.Book(tmp_path, "2-of-2").write({"name": "c", "total_s": 2.0})
    with (tmp_path / "trials-1-of-2.jsonl").open("a") as file:
        file.write('{"name": "b", "tot')
    again = recording.Book(tmp_path, "1-of-2")
    assert again.lines.keys() == {"a", "c"} and again.begun == {"a", "b"}
    again.write({"name": "b", "total_s": 3.0})
    assert recording.Book(tmp_path, "1-of-1").lines.keys() == {"a", "b", "c"}


def test_what_the_first_trial_takes_more_is_that_of_its_images(recording: ModuleType) -> None:
    first = {"first": True, "resumed": False, "before_rung_s": 1.5, "behind_rung_s": 2.0}
    later = [{"first": False, "before_rung_s": 0.5, "behind_rung_s": 0.9}, {"first": False, "before_rung_s": 0.5, "behind_rung_s": 1.1}]
    assert recording._image_seconds([first, *later]) == pytest.approx((1.0, 1.0))
    assert recording._image_seconds([{**first, "resumed": True}, *later]) is None
    assert recording._image_seconds(later) is None and recording._image_seconds([first]) is None
