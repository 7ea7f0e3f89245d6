"""How well each pair of classes is told when it is unseen, where a study takes every pair in turn: classes against classes."""

import statistics
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from reports.figures.style import Plot, bare
from reports.run import Run, Trial, better, label, pretended_sets
from reports.verdict import headline_score, verdict

BASE = "harmonic_mean"


class Info(NamedTuple):
    """The pairs of one trial."""

    score: str
    trial: str
    """Its title."""
    classes: list[str]
    values: list[list[float | None]]
    """Symmetric, in the order of the classes: the mean over the units that had the pair; none on the diagonal, and for pairs that no unit had."""
    counts: list[list[int]]
    """Units that had the pair; on validation, their draws."""


def info(run: Run) -> Info | None:
    """Takes the best confirmed trial with its truly unseen pairs on test; before there is one, the best searched one with its pretended pairs."""
    if len(run.zero_shot_folds) < 2 or (found := _chosen(run)) is None or found[0].record is None:
        return None
    trial, split = found
    assert trial.record is not None
    classes, score = trial.record.classes, f"{split}_{BASE}"
    held: dict[frozenset[str], list[float]] = {}
    for unit, known in zip(trial.record.units, trial.record.unit_conditions, strict=False):
        sets = pretended_sets(known) if split == "val" else [known.get("unseen", [])]
        # Where a unit had several draws, its own scores are their means; each pair has those of its draw.
        draws = known.get("draw_scores", [unit]) if split == "val" else [unit]
        for pair, scores in zip(map(frozenset, sets), draws, strict=False):
            if len(pair) == 2 and (value := scores.get(score)) is not None:
                held.setdefault(pair, []).append(float(value))
    if not held:
        return None
    of = [[held.get(frozenset((one, other)), []) for other in classes] for one in classes]
    values = [[statistics.fmean(cell) if cell else None for cell in row] for row in of]
    return Info(score, trial.title(), list(classes), values, [[len(cell) for cell in row] for row in of])


def _chosen(run: Run) -> tuple[Trial, str] | None:
    trials = {trial.number: trial for trial in run.trials}
    if (best := verdict(run).best) is not None:
        return trials[best.trial], "test"
    score = headline_score(run.objectives)
    rated = [(value, trial) for trial in run.complete() if trial.family and (value := trial.score(score)) is not None]
    if not rated:
        return None
    return max(rated, key=lambda pair: better(pair[0], run.objectives.get(score, "maximize")))[1], "val"


def figure(info: Info) -> go.Figure:
    """Draws a square for each pair, darker where it is told better, with its number."""
    drawn = bare(height=150 + 36 * len(info.classes))
    names = [escape(cls) for cls in info.classes]
    drawn.add_trace(
        go.Heatmap(
            x=names,
            y=names,
            z=info.values,
            customdata=info.counts,
            zmin=0.0,
            zmax=1.0,
            colorscale="Blues",
            texttemplate="%{z:.2f}",
            xgap=2,
            ygap=2,
            colorbar={"title": {"text": label(info.score), "side": "right"}, "thickness": 12},
            hovertemplate="%{y} and %{x}: %{z:.3f}, units: %{customdata}<extra></extra>",
            hoverongaps=False,
        )
    )
    drawn.update_layout(title={"text": escape(info.trial), "font": {"size": 13}, "x": 0}, margin={"l": 16, "r": 16, "t": 40, "b": 24})
    drawn.update_xaxes(showgrid=False, automargin=True)
    drawn.update_yaxes(showgrid=False, automargin=True, autorange="reversed")
    return drawn


PLOT = Plot(
    title="Pairs of unseen classes",
    caption="Harmonic mean of seen and unseen accuracy for each pair of classes when it is held out: of the confirmed best trial on test, where a "
    "pair was truly unseen; before that, of the best trial on validation, where it was pretended to be. Empty squares are pairs that no unit had.",
    info=info,
    figure=figure,
)
