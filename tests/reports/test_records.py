"""Records: what is written is what is read; what cannot be read says so."""

import json
from pathlib import Path

import pytest

from reports.records import FORMAT, Asked, Record, RecordError, read_record, trial_folder, trial_numbers, write_record

ASKED = Asked(trial=3, move="explore", reason="new", params={"generator.family": "dcgan"}, recipe={"seed": 1}, epoch=2, time_s=5.0)


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    record = Record(trial=3, state="complete", scores={"val_accuracy": 0.5, "test_accuracy": None}, started_s=1.0, ended_s=2.0, epoch=2)
    write_record(tmp_path, ASKED)
    write_record(tmp_path, record)
    assert read_record(tmp_path, Asked) == ASKED
    assert read_record(tmp_path, Record) == record
    assert sorted(path.name for path in tmp_path.iterdir()) == ["asked.json", "record.json"]


def test_what_was_not_written_yet_is_none(tmp_path: Path) -> None:
    assert read_record(tmp_path, Record) is None


def test_a_number_that_is_not_finite_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_record(tmp_path, Record(trial=0, state="complete", scores={"val_accuracy": float("nan")}, started_s=0, ended_s=0, epoch=0))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "{", '{"format": 1}', "[]", '{"format": 1, "trial": 3}'])
def test_a_damaged_record_is_refused_with_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(RecordError, match=r"record\.json"):
        read_record(tmp_path, Record)


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    write_record(tmp_path, ASKED)
    path = tmp_path / "asked.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": FORMAT + 1}))
    with pytest.raises(RecordError, match="newer Tundish"):
        read_record(tmp_path, Asked)


def test_trials_are_listed_in_order(tmp_path: Path) -> None:
    assert trial_numbers(tmp_path) == []
    for number in (12, 3):
        write_record(trial_folder(tmp_path, number), ASKED)
    (tmp_path / "trials" / "notes").mkdir()
    assert trial_numbers(tmp_path) == [3, 12]
