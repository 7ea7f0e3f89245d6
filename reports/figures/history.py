"""Objective history: how each objective came along, trial by trial."""

from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reports.figures.style import REAL, Looks, Plot, Point, bare, family_name, hover, legend, looks, scatter
from reports.run import Run, better, is_distance, label, show


class Track(NamedTuple):
    """One objective over the trials."""

    score: str
    points: list[Point]
    best: list[tuple[int, float]]
    """Best so far after each trial."""
    baseline: float | None
    """The best real-only trial."""
    floor: float | None
    """For a distance: two halves of the real images."""


class Info(NamedTuple):
    """A track for each objective that any trial has."""

    tracks: list[Track]
    drawn_as: Looks


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
            if run.broken(trial):
                continue
            before = best[-1][1] if best else value
            best.append((trial.number, value if better(value, direction) > better(before, direction) else before))
        if points:
            baseline = run.best_baseline(score)
            tracks.append(Track(score, points, best, baseline.score(score) if baseline else None, run.floor(score) if is_distance(score) else None))
    return Info(tracks, looks(run)) if tracks else None


def figure(info: Info) -> go.Figure:
    """Draws the tracks below each other on one axis of trials."""
    rows = len(info.tracks)
    titles = [label(track.score) for track in info.tracks]
    drawn = make_subplots(
        rows=rows, cols=1, shared_xaxes=True, vertical_spacing=0.2 / rows, subplot_titles=titles, figure=bare(height=120 + 250 * rows)
    )
    every = [point for track in info.tracks for point in track.points]
    for row, track in enumerate(info.tracks, start=1):
        drawn.add_trace(
            go.Scatter(
                x=[number for number, _ in track.best],
                y=[value for _, value in track.best],
                mode="lines",
                line={"shape": "hv", "width": 2, "color": "rgba(128,136,148,0.7)"},
                name="best so far",
                showlegend=row == 1,
                hoverinfo="skip",
            ),
            row=row,
            col=1,
        )
        scatter(drawn, track.points, info.drawn_as, row=row, col=1)
        if track.baseline is not None:
            drawn.add_hline(track.baseline, line={"dash": "dash", "width": 1, "color": REAL}, annotation_text="best real only", row=row, col=1)
        if track.floor is not None:
            drawn.add_hline(track.floor, line={"dash": "dot", "width": 1, "color": REAL}, annotation_text="real vs real", row=row, col=1)
    legend(drawn, every, info.drawn_as)
    drawn.update_annotations(selector={"yref": "paper"}, x=0, xanchor="left")
    drawn.update_layout(margin_t=64, legend_y=1 + 24 / (250 * rows))
    drawn.update_xaxes(title="trial", row=rows, col=1)
    return drawn


PLOT = Plot(
    title="History of the objectives",
    caption="Each finished trial in the order it was asked, the best so far as a line, the best real-only trial dashed.",
    info=info,
    figure=figure,
)
