"""Objective history: how each objective came along, trial by trial."""

from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reports.figures.style import REAL, Plot, Point, bare, colours, family_name, hover, scatter, symbols
from reports.run import Run, better, label, show


class Track(NamedTuple):
    """One objective over the trials."""

    score: str
    points: list[Point]
    best: list[tuple[int, float]]
    """Best so far after each trial."""
    baseline: float | None
    """The best real-only trial."""


class Info(NamedTuple):
    """A track for each objective that any trial has."""

    tracks: list[Track]


def info(run: Run) -> Info | None:
    """Follows each objective; confirmations are left out, they have seeds of their own."""
    tracks = []
    for score, direction in run.objectives.items():
        points: list[Point] = []
        best: list[tuple[int, float]] = []
        for trial in run.complete():
            if (value := trial.score(score)) is None:
                continue
            told = [f"{label(score)}: {show(value, score)}", trial.asked.reason]
            points.append(Point(trial.number, trial.number, value, family_name(trial), trial.inspector or "", hover(trial, told)))
            before = best[-1][1] if best else value
            best.append((trial.number, value if better(value, direction) > better(before, direction) else before))
        if points:
            baseline = run.best_baseline(score)
            tracks.append(Track(score, points, best, baseline.score(score) if baseline else None))
    return Info(tracks) if tracks else None


def figure(info: Info) -> go.Figure:
    """Draws the tracks below each other on one axis of trials."""
    rows = len(info.tracks)
    drawn = make_subplots(rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.06, figure=bare(height=90 + 240 * rows))
    every = [point for track in info.tracks for point in track.points]
    shades, marks = colours(point.family for point in every), symbols(point.inspector for point in every)
    for row, track in enumerate(info.tracks, start=1):
        drawn.add_trace(
            go.Scatter(
                x=[number for number, _ in track.best],
                y=[value for _, value in track.best],
                mode="lines",
                line={"shape": "hv", "width": 2, "color": "rgba(128,136,148,0.7)"},
                name="best so far",
                legendgroup="best",
                hoverinfo="skip",
            ),
            row=row,
            col=1,
        )
        scatter(drawn, track.points, shades, marks, row=row, col=1)
        if track.baseline is not None:
            drawn.add_hline(track.baseline, line={"dash": "dash", "width": 1, "color": REAL}, annotation_text="best real only", row=row, col=1)
        drawn.update_yaxes(title=label(track.score), row=row, col=1)
    seen: set[str] = set()
    for trace in drawn.data:
        trace.showlegend = trace.legendgroup not in seen
        seen.add(trace.legendgroup)
    drawn.update_xaxes(title="trial", row=rows, col=1)
    return drawn


PLOT = Plot(
    title="History of the objectives",
    caption="Each finished trial in the order it was asked, the best so far as a line, the best real-only trial dashed.",
    info=info,
    figure=figure,
)
