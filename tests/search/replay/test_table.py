import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_table import GOALS, MARKS, small_columns, small_table

from search.replay.made_up import random_table, with_misleading_rungs, with_share
from search.replay.table import About, Table, TableError, generator_key, read_table, write_table
from search.studies.objectives import Objective


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = Table(small_columns(), About(objectives=GOALS[::-1], baseline_s=5.0, provenance={"machine": "none"}, notes=("by hand",)))
    write_table(table, tmp_path / "table.parquet")
    again = read_table(tmp_path / "table.parquet")
    assert again.points == table.points and again.marks == MARKS and again.about == table.about
    assert again.objectives == GOALS[::-1], "the first objective stays the first"
    params = {"generator.family": "left", "generator.left.lr": 0.2}
    assert [mark.generator_s for mark in again.ladder(params).values()] == [20.0, 60.0]


def test_the_space_is_what_the_table_has_and_nothing_else() -> None:
    table = small_table()
    assert {frozenset(params.items()) for params in table.space.grid()} == set(table.points)
    assert len(table.points) == 3 * 2 * 4 and table.generators == 3
    assert table.full_trial_s() == pytest.approx(65.0)


def test_repetitions_are_averaged() -> None:
    columns = small_columns()
    count = len(columns["generator_s"])
    twice: dict[str, list[Any]] = {name: values + values for name, values in columns.items()}
    twice["seed"] = [0] * count + [1] * count
    twice["generator_s"] = columns["generator_s"] + [3.0 * value for value in columns["generator_s"]]
    table = Table(twice, About(objectives=GOALS))
    assert table.points == small_table().points
    assert [mark.generator_s for mark in table.ladder({"generator.family": "right"}).values()] == [40.0, 120.0]


@pytest.mark.parametrize("name", ["generator.kimg", "rung_score", "generator_s", "downstream_s", "val_accuracy", "inspector.kind"])
def test_a_table_without_a_needed_column_is_refused(name: str) -> None:
    columns = small_columns()
    columns[f"{name}_"] = columns.pop(name)
    with pytest.raises(TableError, match=rf"no column.* {name}; did you mean"):
        Table(columns, About(objectives=GOALS))


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
@pytest.mark.parametrize("name", ["rung_score", "generator_s", "val_kid_inspector"])
def test_numbers_that_are_not_finite_are_refused_with_their_row(name: str, value: Any) -> None:
    columns = small_columns()
    columns[name][5] = value
    with pytest.raises(TableError, match=f"{name}: expected finite numbers; row 5 has"):
        Table(columns, About(objectives=GOALS))


def test_several_problems_are_told_at_once() -> None:
    columns = small_columns()
    columns["rung_score"][1] = math.nan
    columns["downstream_s"][2] = -1.0
    with pytest.raises(TableError) as error:
        Table(columns, About(objectives=GOALS))
    assert "rung_score" in str(error.value) and "downstream_s: seconds are 0 or more; row 2 has -1.0" in str(error.value)


def test_holes_are_refused_with_an_example() -> None:
    columns = {name: values[:-1] for name, values in small_columns().items()}
    with pytest.raises(TableError, match=r"1 of the 24 combinations of its settings have no row: generator.family=right, generator.kimg=6.0"):
        Table(columns, About(objectives=GOALS))


def test_a_setting_that_is_missing_in_some_rows_of_its_family_is_refused() -> None:
    columns = small_columns()
    columns["inspector.fcn.augment"][0] = None
    with pytest.raises(TableError, match="1 combinations lack a setting that others of their family have"):
        Table(columns, About(objectives=GOALS))


def test_rows_that_are_there_twice_or_lack_a_repetition_are_refused() -> None:
    columns = small_columns()
    with pytest.raises(TableError, match="seed 0 is there twice"):
        Table({name: [*values, values[0]] for name, values in columns.items()}, About(objectives=GOALS))
    seeds = [*[0] * len(columns["generator_s"]), 1]
    with pytest.raises(TableError, match=r"has seeds \[0, 1\]|has seeds \[0\]"):
        Table({name: [*values, values[0]] for name, values in columns.items()} | {"seed": seeds}, About(objectives=GOALS))


def test_a_generator_that_contradicts_itself_is_refused() -> None:
    columns = small_columns()
    columns["rung_score"][1] += 0.5
    with pytest.raises(TableError, match="row 1: generator_s, rung_score or rung_s differ between rows of one generator"):
        Table(columns, About(objectives=GOALS))
    columns = small_columns()
    falling = [60.0 if kimg == 2.0 else 20.0 for kimg in columns["generator.kimg"]]
    with pytest.raises(TableError, match="generator_s is 20 at 6 kimg but 60 at 2; expected seconds from the first step on"):
        Table({**columns, "generator_s": falling}, About(objectives=GOALS))


def test_a_file_that_is_no_replay_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    with pytest.raises(TableError, match="cannot be read as Parquet"):
        read_table(path)
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(TableError, match=r"its metadata has no tundish\.replay"):
        read_table(path)
    pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"tundish.replay": '{"objectives": {"a": "up"}}'}), path)
    with pytest.raises(TableError, match="'up' is neither maximize nor minimize"):
        read_table(path)


def test_shapes_change_only_what_they_say() -> None:
    table = small_table()
    heavy = with_share(table, 0.2)
    assert [point.scores for point in heavy.points.values()] == [point.scores for point in table.points.values()]
    assert 60.0 / heavy.full_trial_s() == pytest.approx(0.2)
    misled = with_misleading_rungs(table, seed=1)
    for kimg in MARKS:
        scores = [sorted({one.ladder(point.params)[kimg].rung_score for point in one.points.values()}) for one in (table, misled)]
        assert scores[0] == scores[1]
    assert {generator_key(point.params): misled.ladder(point.params) for point in misled.points.values()} != {
        generator_key(point.params): table.ladder(point.params) for point in table.points.values()
    }
    assert len(heavy.about.notes) == len(misled.about.notes) == 1


def test_a_made_up_table_says_so_and_is_equal_for_equal_seeds() -> None:
    table = random_table(3)
    assert table.generators >= 40 and len(table.marks) == 3 and "made up" in table.about.notes[0]
    assert table.points == random_table(3).points
    assert {goal.score for goal in table.objectives} == {"val_macro_f1", "val_kid_inspector"}
    assert Objective(score="val_kid_inspector", direction="minimize") in table.objectives


def test_the_table_of_real_trials_is_large_enough_to_tell_strategies_apart() -> None:
    table = read_table(Path(__file__).parents[2] / "benchmarks" / "replay.parquet")
    assert table.generators >= 40 and len(table.marks) == 3 and len({params["generator.family"] for params in _all(table)}) >= 5
    behind = {frozenset((name, value) for name, value in params.items() if not name.startswith("generator.")) for params in _all(table)}
    assert len(behind) >= 8 and len(table.points) == table.generators * len(table.marks) * len(behind)
    assert not table.about.notes and table.about.provenance["commits"], "measured, and by which code"
    assert table.about.provenance["seeds"] >= 2, "one seed of a small inspector says little"


def _all(table: Table) -> list[Mapping[str, Any]]:
    return [point.params for point in table.points.values()]
