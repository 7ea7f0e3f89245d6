"""Pictures for the report: contact sheets of the best trials, thumbnails to hover over, the sheet of backgrounds. Called by the page.

A sheet is embedded once, as the trial wrote it; the page shows its tiles by position, so nothing is decoded or encoded again.
"""

import base64
import functools
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from reports.figures.pareto_front import front_trials
from reports.records import trial_folder
from reports.run import Run, Trial, better
from reports.verdict import headline_score, verdict

SHEETS = 8
"""Trials whose sheets are shown whole."""
THUMB_TILE_PX = 44
THUMB_COLUMNS = 5
THUMB_BYTES = 6 << 20
"""All thumbnails together; the front and the best come first, the rest go without."""


ORIGINS = {
    "folder": "a folder of defect-free images",
    "crops:boxes": "crops outside the boxes of training pictures",
    "crops:masks": "crops outside the masks of training pictures",
    "crops:texture": "the crops of training pictures with the least texture, which may still hold a defect",
}
"""Where backgrounds can come from, in words."""


PARTICULAR = {
    "elimination": "Training defects, the same with the defects taken away, and real backgrounds",
    "strips_z": "Along an arc from one latent z to another, a row for each class in turn",
    "strips_w": "Along a line from one mapped latent w to another, between the same pictures",
}
"""What the sheets that only some families have show, by the name of their file."""


class Tile(NamedTuple):
    """Where one picture lies in a sheet, in tiles."""

    column: int
    line: int


class Column(NamedTuple):
    """A synthetic image, and what belongs to it where the sheet has it."""

    image: Tile
    mask: Tile | None
    """Where its defect is."""
    nearest: Tile | None
    """Its nearest real neighbour."""


class ClassRows(NamedTuple):
    """The pictures of one class."""

    cls: str
    real: list[Tile]
    synthetic: list[Column]


class Sheet(NamedTuple):
    """One trial's contact sheet."""

    trial: int
    title: str
    score: float | None
    """The headline score on validation."""
    origin: str
    """Why it is shown: confirmed, on the front, best of its family."""
    uri: str
    columns: int
    lines: int
    gap: float
    """Space before each tile, in tiles."""
    rows: list[ClassRows]
    particular: list[tuple[str, str]]
    """Title and data URI of each sheet that only the family has."""


class Backgrounds(NamedTuple):
    """The sheet of defect-free images."""

    uri: str
    origin: str
    images: int


def sheets(run: Run) -> list[Sheet]:
    """Lays out the sheets of the best trials: those confirmed, then the best of each family, then the front."""
    chosen: dict[int, str] = {}
    by_number = {trial.number: trial for trial in run.trials}
    if (best := verdict(run).best) is not None and best.of is not None:
        chosen[best.of] = "chosen by the verdict"
    for trial in run.complete(searched=False):
        if trial.family and trial.asked.parent is not None:
            chosen.setdefault(trial.asked.parent, "confirmed on test")
    for trial in best_of_families(run):
        chosen.setdefault(trial.number, f"best {trial.family}")
    for trial in front_trials(run):
        chosen.setdefault(trial.number, "on the front")
    found: dict[tuple[Any, ...], Sheet] = {}
    for number, origin in chosen.items():
        if len(found) < SHEETS and number in by_number and (sheet := _sheet(run, by_number[number], origin)) is not None:
            found.setdefault(_pictures(by_number[number]), sheet)
    return list(found.values())


def best_of_families(run: Run) -> list[Trial]:
    """Lists the best trial of each family by the headline score, best family first."""
    score = headline_score(run.objectives)
    direction = run.objectives.get(score, "maximize")
    leaders: dict[str, tuple[float, Trial]] = {}
    for trial in run.complete():
        if trial.family and (value := trial.score(score)) is not None:
            rated = better(value, direction)
            if trial.family not in leaders or rated > leaders[trial.family][0]:
                leaders[trial.family] = (rated, trial)
    return [trial for _, trial in sorted(leaders.values(), key=lambda pair: -pair[0])]


def thumbnails(run: Run, first: Iterable[int] = ()) -> dict[int, str]:
    """Makes a small sheet of synthetic images for each trial that has samples, as data URIs by trial number, within `THUMB_BYTES`."""
    order = list(dict.fromkeys([*first, *(trial.number for trial in reversed(run.trials))]))
    trials = {trial.number: trial for trial in run.trials}
    spent = 0
    made: dict[int, str] = {}
    for number in order:
        record = trials[number].record if number in trials else None
        if record is None or not record.samples:
            continue
        path, layout = trial_folder(run.folder, number) / "samples.webp", record.samples
        try:
            uri = _thumbnail(
                path, path.stat().st_mtime_ns, tuple(layout["rows"]), len(layout["classes"]), int(layout["columns"]), int(layout.get("gap_px", 0))
            )
        except (OSError, KeyError, ValueError):
            continue  # The table of trials says that the sheet is missing; the rest of the report does not depend on it.
        spent += len(uri)
        if spent > THUMB_BYTES:
            break
        made[number] = uri
    return made


def backgrounds(run: Run) -> Backgrounds | None:
    """Reads the sheet of defect-free images, where the run has one."""
    path = run.folder / "backgrounds.webp"
    told = run.environment.get("backgrounds")
    if not told or not path.is_file():
        return None
    origin = str(told.get("origin", "not recorded"))
    return Backgrounds(_uri(path.read_bytes()), ORIGINS.get(origin, origin), int(told.get("count", 0)))


def _sheet(run: Run, trial: Trial, origin: str) -> Sheet | None:
    path = trial_folder(run.folder, trial.number) / "samples.webp"
    layout = trial.record.samples if trial.record else None
    if not layout or not path.is_file():
        return None
    kinds, columns = list(layout["rows"]), int(layout["columns"])
    rows = []
    for i, cls in enumerate(layout["classes"]):
        lines = {kind: [Tile(column, i * len(kinds) + j) for column in range(columns)] for j, kind in enumerate(kinds)}
        nothing = [None] * columns
        made = zip(lines.get("synthetic", []), lines.get("mask", nothing), lines.get("nearest", nothing), strict=False)
        rows.append(ClassRows(cls, lines.get("real", []), [Column(*tiles) for tiles in made]))
    score = trial.score(headline_score(run.objectives))
    gap = int(layout.get("gap_px", 0)) / int(layout["tile_px"])
    return Sheet(trial.number, trial.title(), score, origin, _uri(path.read_bytes()), columns, len(kinds) * len(rows), gap, rows, _particular(path))


def _particular(samples: Path) -> list[tuple[str, str]]:
    """Reads what lies beside the contact sheet of a trial."""
    others = sorted(path for path in samples.parent.glob("*.webp") if path != samples)
    return [(PARTICULAR.get(path.stem, path.stem.replace("_", " ")), _uri(path.read_bytes())) for path in others]


def _pictures(trial: Trial) -> tuple[Any, ...]:
    """Says what decides a trial's synthetic images, so that trials that share them are shown once."""
    keys = tuple(stage["key"] for stage in trial.record.stages if stage["stage"] == "generator") if trial.record else ()
    synthesis = trial.asked.recipe.get("synthesis") or {}
    return (keys or trial.number, *(synthesis.get(name) for name in ("truncation", "filter", "min_confidence")))


@functools.lru_cache(maxsize=4096)
def _thumbnail(path: Path, changed: int, kinds: tuple[str, ...], classes: int, columns: int, gap: int) -> str:
    """Shrinks the synthetic tiles of a sheet: a line for each class. `changed` is the file's time, so that a refresh makes only new ones."""
    with Image.open(path) as opened:
        sheet = opened.convert("RGB")
    step_x, step_y = (sheet.width - gap) / columns, (sheet.height - gap) / (classes * len(kinds))
    shown = min(columns, THUMB_COLUMNS)
    small = Image.new("RGB", (shown * THUMB_TILE_PX, classes * THUMB_TILE_PX))
    for i in range(classes):
        top = gap + (i * len(kinds) + kinds.index("synthetic")) * step_y
        for k in range(shown):
            left = gap + k * step_x
            # Cut out first: resizing within a box would mix in what lies beside it.
            tile = sheet.crop((round(left), round(top), round(left + step_x) - gap, round(top + step_y) - gap))
            small.paste(tile.resize((THUMB_TILE_PX, THUMB_TILE_PX), Image.Resampling.BILINEAR), (k * THUMB_TILE_PX, i * THUMB_TILE_PX))
    memory = io.BytesIO()
    small.save(memory, "WEBP", quality=70)
    return _uri(memory.getvalue())


def _uri(data: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(data).decode()
