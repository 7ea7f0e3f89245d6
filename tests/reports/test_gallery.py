"""Pictures: the right tile in the right place, within the size that a report may have."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reports import gallery
from reports.records import Record, trial_folder, write_record
from reports.run import read_run
from reports.verdict import verdict


def opened(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("L")


def test_the_best_trials_are_shown(finished_run: Path) -> None:
    run = read_run(finished_run)
    found = gallery.sheets(run)
    best = verdict(run).best
    assert best is not None and found[0].trial == best.of
    assert {"dcgan", "lm_gan", "pe_gan", "wgan_gp"} <= {sheet.title.split()[1] for sheet in found}
    assert len({sheet.trial for sheet in found}) == len(found) <= gallery.SHEETS
    sheet = found[0]
    assert (sheet.columns, sheet.lines) == (8, 18) and sheet.gap == pytest.approx(2 / 64)
    assert [row.cls for row in sheet.rows][:2] == ["crazing", "inclusion"]
    # The second class has lines 3 to 5: real, synthetic, nearest.
    assert sheet.rows[1].real[2] == gallery.Tile(2, 3)
    assert sheet.rows[1].synthetic[5] == gallery.Column(image=gallery.Tile(5, 4), mask=None, nearest=gallery.Tile(5, 5))


def test_trials_that_share_their_pictures_are_shown_once(finished_run: Path) -> None:
    run = read_run(finished_run)
    keys = {trial.number: trial.record.stages[0]["key"] for trial in run.complete() if trial.record and trial.family}
    shown = [keys[sheet.trial] for sheet in gallery.sheets(run)]
    assert len(set(shown)) == len(shown) and len(set(keys.values())) < len(keys)


def test_thumbnails_show_the_synthetic_tiles_alone(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "run", trials=5, confirm=False, pictures=False)
    columns, tile, gap, rows = 7, 16, 2, ["real", "synthetic", "nearest"]
    step = tile + gap
    sheet = np.full((gap + step * 6, gap + step * columns), 128, np.uint8)
    for cls in range(2):
        for k in range(columns):
            top = gap + (3 * cls + 1) * step
            sheet[top : top + tile, gap + k * step : gap + k * step + tile] = 255 if cls == 0 else 20
    place = trial_folder(folder, 4)
    Image.fromarray(sheet).save(place / "samples.webp", lossless=True)
    layout = {"classes": ["a", "b"], "columns": columns, "tile_px": tile, "gap_px": gap, "rows": rows}
    write_record(place, Record(trial=4, state="complete", samples=layout, started_s=0, ended_s=1, epoch=1))
    thumb = np.asarray(opened(gallery.thumbnails(read_run(folder))[4]))
    assert thumb.shape == (2 * gallery.THUMB_TILE_PX, gallery.THUMB_COLUMNS * gallery.THUMB_TILE_PX)
    upper, lower = np.split(thumb, 2)
    assert upper.min() > 245 and lower.max() < 30


def test_thumbnails_stay_within_their_size_and_begin_with_the_first(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = read_run(finished_run)
    every = gallery.thumbnails(run)
    with_samples = [trial.number for trial in run.trials if trial.record and trial.record.samples]
    assert sorted(every) == with_samples
    monkeypatch.setattr(gallery, "THUMB_BYTES", len(every[with_samples[3]]) + 10)
    assert list(gallery.thumbnails(run, [with_samples[3]])) == [with_samples[3]]


def test_a_damaged_or_missing_sheet_is_left_out(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "run", trials=7, confirm=False)
    (trial_folder(folder, 4) / "samples.webp").write_bytes(b"RIFF")
    (trial_folder(folder, 5) / "samples.webp").unlink()
    assert list(gallery.thumbnails(read_run(folder))) == [6]
    assert 5 not in [sheet.trial for sheet in gallery.sheets(read_run(folder))]


def test_masks_stand_between_an_image_and_its_neighbour(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "run", trials=7, confirm=False)
    file = trial_folder(folder, 4) / "record.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    record["samples"]["rows"] = ["real", "synthetic", "mask", "nearest"]
    file.write_text(json.dumps(record), encoding="utf-8")
    (sheet,) = [sheet for sheet in gallery.sheets(read_run(folder)) if sheet.trial == 4]
    assert sheet.rows[1].synthetic[2] == gallery.Column(image=gallery.Tile(2, 5), mask=gallery.Tile(2, 6), nearest=gallery.Tile(2, 7))


def test_what_is_particular_to_a_family_is_shown_with_its_sheet(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    folder = fake_run(tmp_path / "run", trials=7, confirm=False)
    trial = trial_folder(folder, 4)
    for name in ("strips_z", "own_thing"):
        (trial / f"{name}.webp").write_bytes((trial / "samples.webp").read_bytes())
    (sheet,) = [sheet for sheet in gallery.sheets(read_run(folder)) if sheet.trial == 4]
    assert [title for title, _ in sheet.particular] == ["own thing", gallery.PARTICULAR["strips_z"]]
    assert opened(sheet.particular[0][1]).size == opened(sheet.uri).size


def test_backgrounds_say_where_they_come_from(finished_run: Path, tmp_path: Path) -> None:
    found = gallery.backgrounds(read_run(finished_run))
    assert found is not None and found.images == 12 and "least texture" in found.origin
    assert gallery.backgrounds(read_run(tmp_path)) is None
