"""Rows of the table that says how far synthetic images can stand for real ones: the confirmed trials that were diagnosed. Called by `page`."""

from typing import NamedTuple

from reports.run import Run, Trial, label

OPENING = "val_tstr_"


class Row(NamedTuple):
    """One confirmed trial."""

    trial: Trial
    score: str
    """What is measured, for people."""
    tstr: float | None
    """Trained on synthetic images, tested on real ones."""
    trts: float | None
    """Trained on real images, tested on synthetic ones."""
    own: float | None
    """The trial's own inspector, on the same split."""
    images: str
    """Synthetic images that were trained or tested on."""
    replaces: str
    """What the trial's own synthetic images stood in the place of."""
    conditions: str


def diagnosed(run: Run) -> list[Row]:
    """Lists the confirmed trials with either number, the best on real images first."""
    rows = []
    for trial in run.complete(searched=False):
        assert trial.record is not None
        name = next((name for name in trial.record.scores if name.startswith(OPENING)), None)
        if name is None:
            continue
        score = f"val_{name.removeprefix(OPENING)}"
        told = trial.record.conditions
        rows.append(
            Row(
                trial,
                label(score),
                trial.score(name),
                trial.score(name.replace(OPENING, "val_trts_")),
                trial.score(score),
                str(told.get("diagnostics_images", "–")),
                str(told.get("replaces", "nothing")),
                run.conditions("val"),
            )
        )
    return sorted((row for row in rows if row.tstr is not None or row.trts is not None), key=lambda row: -(row.tstr or 0.0))
