from dataclasses import replace

import pytest
from small_table import small_table

from search.replay.measure import Yardstick
from search.replay.ours import Search, replay, study_plan, table_study
from search.replay.simulation import Course, simulate
from search.replay.table import TableError
from search.studies.objectives import Objective


def story(course: Course) -> list[object]:
    return [(end.job.number, end.job.move, end.job.params, end.time_s, end.compute_s) for end in course.ends]


def test_equal_seeds_give_equal_courses_and_others_do_not() -> None:
    table = small_table()
    courses = [replay(table_study(table, seed=seed, trials=14), table, workers=3) for seed in (5, 5, 6)]
    assert story(courses[0]) == story(courses[1]) != story(courses[2])
    assert len(courses[0].ends) == 14


def test_the_moves_of_a_real_study_are_made_and_share_what_they_can() -> None:
    table = small_table()
    course = replay(table_study(table, trials=30), table, workers=2)
    assert {"baseline", "explore", "reuse"} <= {end.job.move for end in course.ends}
    made = [(stage.stage, stage.key) for end in course.ends for stage in end.result.stages if not stage.reused and stage.stage == "generator"]
    assert len(made) == len(set(made)), "no generator is trained twice, nor by two workers at once"
    assert Yardstick(table).share_at(course) > 0.5


def test_records_are_those_of_a_real_study() -> None:
    table = small_table()
    search = Search(study_plan(table_study(table, trials=6), table))
    simulate(search, table, workers=2)
    asked, records = search.ledger.asked, search.ledger.records
    assert sorted(asked) == sorted(records) == list(range(6))
    assert asked[0].move == "baseline" and records[0].scores["val_accuracy"] is None
    for number in range(1, 6):
        record = records[number]
        assert record.scores["val_accuracy"] == table.at(asked[number].params).scores["val_accuracy"]
        assert [stage["stage"] for stage in record.stages][-3:] == ["generator", "pool", "inspector"]
        assert record.ended_s >= record.started_s and asked[number].recipe["generator"]["kimg"] == asked[number].params["generator.kimg"]
        steps = search.ledger.steps(number)
        assert [step["kimg"] for step in steps] == [mark for mark in table.marks if mark <= asked[number].params["generator.kimg"]]
        assert all(step["stage"] == "rung" and step["rung_score"] > 0 for step in steps)


def test_a_study_that_asks_for_more_than_the_table_has_is_refused() -> None:
    table = small_table()
    study = table_study(table)
    with pytest.raises(TableError, match="marks 3: the table has 2, 6"):
        replay(replace(study, search=replace(study.search, marks=(3.0, 6.0))), table)
    with pytest.raises(TableError, match="objective val_iou"):
        replay(replace(study, objectives=(Objective(score="val_iou", direction="maximize"),)), table)
    narrow = replace(study, space=study.space.narrow({"synthesis.fraction": [0.2]}), search=replace(study.search, trials=5))
    assert all(end.job.params["synthesis.fraction"] == 0.2 for end in replay(narrow, table).ends[1:])
    more = small_table(**{"synthesis.fraction": [0.3 if value == 0.2 else value for value in table.columns["synthesis.fraction"]]})
    with pytest.raises(TableError, match=r"synthesis\.fraction: 0\.2 is not one of"):
        replay(narrow, more)
