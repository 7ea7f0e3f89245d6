"""Parquet: columns, types, and what a torn file leaves."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reports import tables
from reports.run import read_run
from reports.tables import STAGES, STEPS, TRIALS, write_parquet


def test_trials_have_their_columns(finished_run: Path) -> None:
    paths = write_parquet(finished_run)
    assert [path.name for path in paths] == ["trials.parquet", "stages.parquet", "steps.parquet"]
    frame = pd.read_parquet(finished_run / "trials.parquet")
    promised = {
        "trial",
        "state",
        "move",
        "parent",
        "family",
        "inspector",
        "seed",
        "failure",
        "val_accuracy",
        "test_accuracy",
        "val_kid_inspector",
        "trial_s",
    }
    assert promised <= set(frame.columns) and "params.generator.family" in frame and "conditions.extractor" in frame
    assert len(frame) == 40 and set(frame["state"]) == {"complete", "failed"}
    assert frame.loc[frame["move"] == "confirm", "test_accuracy"].notna().all()
    assert frame.loc[frame["move"] != "confirm", "test_accuracy"].isna().all()
    assert frame.loc[13, "failure"] == "diverged" and pd.isna(frame.loc[0, "family"])
    assert (frame["seed"] == 7).all()


def test_types_do_not_depend_on_what_has_happened_yet(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    young = tables.trial_table(read_run(fake_run(tmp_path / "young", trials=1, confirm=False, pictures=False)))
    old = tables.trial_table(read_run(fake_run(tmp_path / "old", trials=30, pictures=False)))
    for name in set(young.column_names) & set(old.column_names):
        assert young.schema.field(name).type == old.schema.field(name).type, name


def test_stages_tell_reuse(finished_run: Path) -> None:
    frame = tables.stage_table(read_run(finished_run)).to_pandas()
    assert list(frame.columns) == list(STAGES)
    made = frame[frame["stage"] == "generator"].groupby("key")["reused"]
    assert made.apply(lambda reused: (~reused).sum()).max() == 1
    assert frame["reused"].any()


def test_half_a_line_of_steps_is_left_out(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "run", trials=4, confirm=False, pictures=False)
    frame = tables.step_table(read_run(folder)).to_pandas()
    assert list(frame.columns)[: len(STEPS)] == list(STEPS)
    running = frame[frame["trial"] == 4]
    assert len(running) == 5 and running["metrics.d_loss"].iloc[1] == 0.5
    with (folder / "trials/00004/steps.jsonl").open("a") as file:
        file.write('\n{"time_s": 9.0, "unit": 0, "stage": "pool", "metrics": {}}\n')
    assert tables.step_table(read_run(folder))["trial"].to_pylist().count(4) == 6


def test_an_empty_run_has_empty_tables(tmp_path: Path) -> None:
    for path, fixed in zip(write_parquet(tmp_path), (TRIALS, STAGES, STEPS), strict=True):
        table = pq.read_table(path)
        assert table.num_rows == 0 and table.column_names == list(fixed)
    assert not list(tmp_path.glob("*.part"))


def test_a_setting_of_several_kinds_becomes_text() -> None:
    table = tables._table([{"trial": 0, "params.a": 5}, {"trial": 1, "params.a": "all"}, {"trial": 2}], {"trial": pa.int64()})
    assert table["params.a"].to_pylist() == ["5", "all", None]
