"""What the report says of rungs and of health."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reports import page
from reports.records import Asked, Record, read_record, trial_folder, trial_numbers, write_record
from reports.run import read_run
from reports.stopping import signs, stopping_rows
from reports.tables import trial_table


def with_rungs(folder: Path, *, misleading: str = "") -> Path:
    """Gives the searched trials of a run rung scores that say what becomes of them; of one family, the contrary. Two were stopped."""
    stopped = 0
    for number in trial_numbers(folder):
        place = trial_folder(folder, number)
        asked, record = read_record(place, Asked), read_record(place, Record)
        if asked is None or record is None or record.state != "complete" or asked.move not in ("explore", "reuse"):
            continue
        value = float(record.scores["val_accuracy"] or 0.0)
        mine = asked.params["generator.family"] == misleading
        changed = replace(record, rungs={"20": value if mine else -value}, health={"saturated": "the critic is sure"} if number == 7 else {})
        if not mine and stopped < 2:
            changed, stopped = replace(record, state="pruned", message="stopped at 20 kimg: <b>", rungs={"20": 9.0}, scores={}), stopped + 1
        (place / "record.json").unlink()
        write_record(place, changed)
    return folder


def test_the_report_says_whom_rung_scores_are_trusted_of(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = with_rungs(fake_run(tmp_path / "run", trials=90), misleading="dcgan")
    run = read_run(folder)
    rows = {row.family: row for row in stopping_rows(run)}
    assert rows["dcgan"].weak and rows["dcgan"].says.startswith("weak") and (rows["dcgan"].correlation or 0) < -0.9
    others = [row for family, row in rows.items() if family in ("lm_gan", "pe_gan", "wgan_gp")]
    assert others and all(row.says == "trusted" and not row.weak for row in others if row.generators >= 6)
    assert rows["all, each ranked by itself"].stopped == 2 == sum(row.stopped for row in others)
    html = page.render(run)
    assert "Stopping at rungs" in html and "What looks wrong" in html and "the critic is sure" in html
    assert "stopped at 20 kimg: <b>" not in html, "messages are escaped"
    (sign,) = signs(run)
    assert (sign.trial.number, sign.name) == (7, "saturated critic")
    table = trial_table(run).to_pydict()
    assert table["health.saturated"][7] == "the critic is sure" and sum(value is not None for value in table["rungs.20"]) > 20


def test_a_run_without_rungs_says_nothing_of_them(finished_run: Path) -> None:
    run = read_run(finished_run)
    assert stopping_rows(run) == [] and signs(run) == []
    html = page.render(run)
    assert "Stopping at rungs" not in html and 'id="health"' not in html
    assert json.dumps("rungs.20") not in json.dumps(trial_table(run).column_names)
