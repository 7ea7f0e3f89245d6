"""What all plots share: a colour-blind palette, marker symbols, the bare layout, and the `Plot` that the registry names.

Colours of text and grid are left out: the page sets them from its style sheet, so that light and dark both read well.
"""

from collections.abc import Callable, Iterable
from html import escape
from typing import Any, NamedTuple

import plotly.graph_objects as go

from reports.run import Run, Trial

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#9A6FD0", "#A8A000")
"""Okabe and Ito's colours, told apart with any common colour blindness; two others for their yellow and black, which would vanish in one theme."""
REAL = "#8A929C"
"""Grey of everything that used real images alone."""
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "hexagon", "pentagon")


class Plot(NamedTuple):
    """One plot of the report."""

    title: str
    caption: str
    """How to read it."""
    info: Callable[[Run], Any]
    """Gives the plain data, or none where the run has nothing to show."""
    figure: Callable[[Any], go.Figure]


class Point(NamedTuple):
    """A trial in a scatter plot."""

    trial: int
    x: float
    y: float
    family: str
    """`real only` for baselines."""
    inspector: str
    hover: str


class Looks(NamedTuple):
    """How families and inspectors of a run are drawn: the same in every plot, whichever of them it shows."""

    shades: dict[str, str]
    """Colour of each family."""
    marks: dict[str, str]
    """Symbol of each inspector."""


def looks(run: Run) -> Looks:
    """Gives every family and inspector of a run its look."""
    return Looks(colours(family_name(trial) for trial in run.trials), symbols(trial.inspector or "" for trial in run.trials))


def family_name(trial: Trial) -> str:
    """Names the group a trial is coloured by."""
    return trial.family or "real only"


def colours(families: Iterable[str]) -> dict[str, str]:
    """Gives each family its colour, in the order of the names."""
    found = set(families)
    names = sorted(found - {"real only"})
    return {name: _colour(i) for i, name in enumerate(names)} | ({"real only": REAL} if "real only" in found else {})


def _colour(number: int) -> str:
    """Gives the palette in order, then again lighter, then darker: no two alike among three times as many."""
    shade = PALETTE[number % len(PALETTE)]
    towards = (None, 255, 0)[number // len(PALETTE) % 3]
    if towards is None:
        return shade
    parts = [int(shade[at : at + 2], 16) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(part + 0.45 * (towards - part)):02X}" for part in parts)


def symbols(inspectors: Iterable[str]) -> dict[str, str]:
    """Gives each inspector its marker."""
    return {name: SYMBOLS[i % len(SYMBOLS)] for i, name in enumerate(sorted(set(inspectors)))}


def hover(trial: Trial, lines: Iterable[str] = ()) -> str:
    """Writes the hover text of a trial."""
    return "<br>".join([f"<b>{escape(trial.title())}</b>", *(escape(line) for line in lines), f"<i>{escape(trial.asked.move)}</i>"])


def scatter(figure: go.Figure, points: list[Point], drawn_as: Looks, **place: Any) -> None:
    """Draws trials, colour for the family and shape for the inspector; each point carries its trial's number for the page to act on.

    Args:
        figure: where to draw.
        points: the trials.
        drawn_as: colours and symbols of the run.
        place: row and column of a subplot.
    """
    for family in sorted({point.family for point in points}):
        mine = [point for point in points if point.family == family]
        figure.add_trace(
            go.Scatter(
                x=[point.x for point in mine],
                y=[point.y for point in mine],
                customdata=[point.trial for point in mine],
                text=[point.hover for point in mine],
                hovertemplate="%{text}<extra></extra>",
                mode="markers",
                name=escape(family),
                legendgroup=family,
                showlegend=False,
                marker={
                    "color": drawn_as.shades[family],
                    "symbol": [drawn_as.marks[point.inspector] for point in mine],
                    "size": 11,
                    "opacity": 0.9,
                    "line": {"width": 1, "color": "rgba(255,255,255,0.7)"},
                },
            ),
            **place,
        )


def legend(figure: go.Figure, points: list[Point], drawn_as: Looks) -> None:
    """Adds an entry for each family and each inspector that the points have, instead of one for each pair."""
    for family in (name for name in drawn_as.shades if any(point.family == name for point in points)):
        figure.add_trace(_key(family, {"color": drawn_as.shades[family], "symbol": "circle", "size": 11}))
    for inspector in (name for name in drawn_as.marks if any(point.inspector == name for point in points)):
        figure.add_trace(_key(inspector, {"color": REAL, "symbol": f"{drawn_as.marks[inspector]}-open", "size": 10, "line": {"width": 2}}))


def _key(name: str, marker: dict[str, Any]) -> go.Scatter:
    """Gives a legend entry without points; entries of a family switch its points on and off."""
    return go.Scatter(x=[None], y=[None], mode="markers", marker=marker, name=escape(name), legendgroup=name, showlegend=True, hoverinfo="skip")


def reach(measured: Iterable[float], ends: Iterable[float | None]) -> list[float]:
    """Gives the range of an axis that shows measured values and the ends of their intervals, with some room.

    The interval over two seeds may reach far beyond what a share can be: where all that was measured lies in 0..1, so does the axis.
    """
    found = list(measured)
    every = [*found, *(end for end in ends if end is not None)]
    low, high = min(every), max(every)
    if all(0 <= value <= 1 for value in found):
        low, high = max(low, 0.0), min(high, 1.0)
    room = 0.05 * (high - low) or 0.01
    return [low - room, high + room]


def bare(height: int = 420, **layout: Any) -> go.Figure:
    """Gives an empty figure with the house's layout."""
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 64, "r": 16, "t": 24, "b": 56},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="closest",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        # A title keeps clear of its labels, however many digits these have.
        yaxis={"automargin": True, "title": {"standoff": 8}},
        **layout,
    )
    return figure
