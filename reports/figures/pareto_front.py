"""The trade-off: every trial in the plane of two objectives, with the front that none beats."""

from statistics import quantiles
from typing import NamedTuple

import plotly.graph_objects as go

from reports.figures.style import REAL, Looks, Plot, Point, bare, family_name, hover, legend, looks, scatter
from reports.fronts import front
from reports.run import Run, Trial, better, is_distance, label, show

FAR = 4.0
"""So many times as far behind the third quarter of the trials as that is behind the best, a trial lies outside of what is shown at first."""


class Info(NamedTuple):
    """The first two objectives of each trial; the page swaps in others where there are more."""

    x: str
    y: str
    x_direction: str
    y_direction: str
    points: list[Point]
    front: list[int]
    """Trials on the front over all objectives, by number."""
    broken: list[int]
    """Trials that break a limit of the study, which are on no front however good they are."""
    line: list[tuple[float, float]]
    """The front as a line from left to right; empty with more than two objectives, where it is no line."""
    x_floor: float | None
    y_floor: float | None
    y_baseline: float | None
    """The best real-only trial upwards; it has no place across where that measures synthetic images."""
    drawn_as: Looks


def front_trials(run: Run) -> list[Trial]:
    """Lists the trials that no other beats in all objectives, among those that keep the study's limits."""
    trials = run.keeping(run.scored())
    values = [[-better(trial.score(name) or 0.0, direction) for name, direction in run.objectives.items()] for trial in trials]
    return [trials[i] for i in front(values)]


def info(run: Run) -> Info | None:
    """Takes the second objective across and the first upwards; with one objective, the trial's time across."""
    names = list(run.objectives)
    y, x = names[0], names[1] if len(names) > 1 else "trial_s"
    trials = [trial for trial in run.scored() if trial.score(x) is not None]
    if not trials:
        return None
    points = []
    for trial in trials:
        told = [f"{label(name)}: {show(trial.score(name), name)}" for name in dict.fromkeys([*names, x])]
        told += [f"breaks a limit: {text}" for text in run.broken(trial)]
        points.append(
            Point(trial.number, trial.score(x) or 0.0, trial.score(y) or 0.0, family_name(trial), trial.inspector or "", hover(trial, told))
        )
    on = {trial.number for trial in front_trials(run)}
    line = sorted((point.x, point.y) for point in points if point.trial in on) if len(names) == 2 else []
    return Info(
        x=x,
        y=y,
        x_direction=run.objectives.get(x, "minimize"),
        y_direction=run.objectives[y],
        points=points,
        front=sorted(on),
        broken=[trial.number for trial in trials if run.broken(trial)],
        line=line,
        x_floor=run.floor(x) if is_distance(x) else None,
        y_floor=run.floor(y) if is_distance(y) else None,
        y_baseline=baseline.score(y) if (baseline := run.best_baseline(y)) else None,
        drawn_as=looks(run),
    )


def figure(info: Info) -> go.Figure:
    """Draws the plane; points on the front have a ring."""
    drawn = bare(height=480)
    if info.line:
        # The front of two objectives is a staircase: between two of its points nothing better was found than the worse of them.
        shape = "hv" if info.x_direction == "minimize" else "vh"
        drawn.add_trace(
            go.Scatter(
                x=[x for x, _ in info.line],
                y=[y for _, y in info.line],
                mode="lines",
                line={"shape": shape, "width": 1.5, "color": "rgba(128,136,148,0.6)", "dash": "dot"},
                name="front",
                hoverinfo="skip",
            )
        )
    on = [point for point in info.points if point.trial in info.front]
    drawn.add_trace(
        go.Scatter(
            x=[point.x for point in on],
            y=[point.y for point in on],
            customdata=[point.trial for point in on],
            mode="markers",
            hoverinfo="skip",
            name="on the front",
            marker={"size": 18, "symbol": "circle-open", "color": "#D55E00", "line": {"width": 2}},
        )
    )
    scatter(drawn, info.points, info.drawn_as)
    if apart := [point for point in info.points if point.trial in info.broken]:
        drawn.add_trace(
            go.Scatter(
                x=[point.x for point in apart],
                y=[point.y for point in apart],
                customdata=[point.trial for point in apart],
                mode="markers",
                hoverinfo="skip",
                name="breaks a limit",
                marker={"size": 13, "symbol": "x-thin", "color": "#D55E00", "line": {"width": 2, "color": "#D55E00"}},
            )
        )
    legend(drawn, info.points, info.drawn_as)
    across = _view([point.x for point in info.points], [info.x_floor], info.x_direction)
    upwards = _view([point.y for point in info.points], [info.y_floor, info.y_baseline], info.y_direction)
    drawn.update_xaxes(title=_axis(info.x, info.x_direction, across.beyond), range=[across.low, across.high])
    drawn.update_yaxes(title=_axis(info.y, info.y_direction, upwards.beyond), range=[upwards.low, upwards.high])
    if info.x_floor is not None:
        drawn.add_vline(info.x_floor, line={"dash": "dash", "width": 1, "color": REAL}, annotation_text="real vs real")
    if info.y_floor is not None:
        drawn.add_hline(info.y_floor, line={"dash": "dash", "width": 1, "color": REAL}, annotation_text="real vs real")
    if info.y_baseline is not None:
        drawn.add_hline(info.y_baseline, line={"dash": "dash", "width": 1, "color": REAL}, annotation_text="best real only")
    return drawn


class View(NamedTuple):
    """What of an axis is shown at first."""

    low: float
    high: float
    beyond: int
    """Trials that lie outside, on the worse side: one generator gone wrong must not press all others into a line."""


def _view(values: list[float], lines: list[float | None], direction: str) -> View:
    """Leaves room around the points and the reference lines, which an axis would not count by itself."""
    worse = 1.0 if direction == "minimize" else -1.0
    losses = sorted(worse * value for value in values)
    third = quantiles(losses, n=4, method="inclusive")[2] if len(losses) > 1 else losses[-1]
    shown = [loss for loss in losses if loss <= third + FAR * (third - losses[0])] if third > losses[0] else losses
    every = [worse * loss for loss in shown] + [line for line in lines if line is not None]
    margin = 0.06 * (max(every) - min(every)) or 0.05
    return View(min(every) - margin, max(every) + margin, len(losses) - len(shown))


def _axis(score: str, direction: str, beyond: int) -> str:
    said = f"{label(score)} ({'more' if direction == 'maximize' else 'less'} is better)"
    return f"{said}; {beyond} far worse: double-click shows all" if beyond else said


PLOT = Plot(
    title="The trade-off",
    caption="Every finished trial. Rings mark the Pareto front: no trial is better in all objectives. "
    "Crossed out are trials that break a limit of the study. Hover to see what a generator draws; "
    "click for the whole trial.",
    info=info,
    figure=figure,
)
