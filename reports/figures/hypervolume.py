"""Hypervolume history: how much of the objectives' space the front covers, trial by trial."""

from typing import NamedTuple

import plotly.graph_objects as go

from reports.figures.style import PALETTE, Plot, bare
from reports.fronts import front, hypervolume
from reports.run import Run, better


class Info(NamedTuple):
    """Trial by trial."""

    trials: list[int]
    volumes: list[float]
    """Between 0 and 1: the share of the box between the worst and the best value of each objective that the front dominates."""


def info(run: Run) -> Info | None:
    """Measures the front after each trial, in the box that the whole run spans."""
    trials = run.keeping(run.scored())
    points = [[-better(trial.score(name) or 0.0, direction) for name, direction in run.objectives.items()] for trial in trials]
    if len(run.objectives) < 2 or len(points) < 2:
        return None
    lows = [min(column) for column in zip(*points, strict=True)]
    spans = [max(column) - low or 1.0 for column, low in zip(zip(*points, strict=True), lows, strict=True)]
    unit = [[(value - low) / span for value, low, span in zip(point, lows, spans, strict=True)] for point in points]
    kept: list[list[float]] = []
    volumes = []
    for point in unit:
        kept.append(point)
        kept = [kept[i] for i in front(kept)]
        volumes.append(hypervolume(kept, [1.0] * len(point)))
    return Info([trial.number for trial in trials], volumes)


def figure(info: Info) -> go.Figure:
    """Draws a staircase that only rises."""
    drawn = bare(height=260)
    drawn.add_trace(
        go.Scatter(
            x=info.trials,
            y=info.volumes,
            mode="lines",
            line={"shape": "hv", "width": 2, "color": PALETTE[0]},
            fill="tozeroy",
            fillcolor="rgba(0,114,178,0.12)",
            customdata=info.trials,
            hovertemplate="after trial %{x}: %{y:.3f}<extra></extra>",
        )
    )
    drawn.update_xaxes(title="trial", dtick=1 if len(info.trials) < 10 else None)
    drawn.update_yaxes(title="hypervolume", range=[0, 1.05])
    return drawn


PLOT = Plot(
    title="Hypervolume",
    caption="The share of the box between the worst and the best value of every objective that the front dominates. "
    "Flat for long: more trials of this kind bring little.",
    info=info,
    figure=figure,
)
