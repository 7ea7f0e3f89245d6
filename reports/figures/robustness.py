"""How the inspectors bear worse images: a curve for each corruption, baseline beside winner."""

from html import escape
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reports.compared import Mean, compared, mean
from reports.figures.style import Plot, bare
from reports.run import Run, score_words

COLUMNS = 3
MARK = "_robustness."


class Curve(NamedTuple):
    """One trial under one corruption."""

    trial: int
    title: str
    shade: str
    points: list[Mean]
    """At severities 0, the images as they are, to 5."""
    area: float
    """Under the curve over its width: the mean height."""


class Info(NamedTuple):
    """Curves by corruption."""

    split: str
    score: str
    """What falls, in words."""
    images: int | None
    panels: dict[str, list[Curve]]


def info(run: Run) -> Info | None:
    """Collects the curves of the two trials that are compared."""
    found = compared(run)
    if found is None:
        return None
    panels: dict[str, list[Curve]] = {}
    score, images = "", None
    for side in found.sides:
        record = side.trial.record
        for name, units in (record.curves if record else {}).items():
            split, mark, corruption = name.partition(MARK)
            points = [mean([unit[severity] for unit in units]) for severity in range(len(units[0]))]
            known = [point for point in points if point is not None]
            if not mark or split != found.split or len(known) < len(points):
                continue
            heights = [point.value for point in known]
            area = (sum(heights) - (heights[0] + heights[-1]) / 2) / (len(heights) - 1)
            panels.setdefault(corruption, []).append(Curve(side.trial.number, side.title, side.shade, known, area))
            task = str(record.conditions.get("task", "")) if record else ""
            score = score_words({"segment": "iou", "detect": "ap"}.get(task, "accuracy"))
            images = record.conditions.get(f"{split}_images") if record else None
    return Info(found.split, score, images, panels) if panels else None


def figure(info: Info) -> go.Figure:
    """Draws a panel for each corruption, all of one height, with a band for the interval over seeds."""
    names = list(info.panels)
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    titles = [escape(name.replace("_", " ")) for name in names]
    drawn = make_subplots(rows=rows, cols=columns, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.04, vertical_spacing=0.36 / rows)
    drawn.update_layout(bare(height=110 + 230 * rows).layout)
    drawn.update_layout(margin={"t": 64}, legend={"y": 1 + 40 / (230 * rows)})
    for i, (name, curves) in enumerate(info.panels.items()):
        place = {"row": i // columns + 1, "col": i % columns + 1}
        for curve in curves:
            _draw(drawn, name, curve, first=i == 0, place=place)
    values = [value for curves in info.panels.values() for curve in curves for point in curve.points for value in point[:3] if value is not None]
    drawn.update_xaxes(dtick=1, range=[-0.15, 5.15])
    drawn.update_yaxes(range=[max(-0.02, min(values) - 0.05), min(1.02, max(values) + 0.05)])
    for row in range(rows):
        drawn.update_yaxes(title=info.score, row=row + 1, col=1)
    for column in range(columns):
        last = rows if column < len(names) - columns * (rows - 1) else rows - 1
        drawn.update_xaxes(title="severity", row=last, col=column + 1)
    return drawn


def _draw(drawn: go.Figure, name: str, curve: Curve, *, first: bool, place: dict[str, int]) -> None:
    severities = list(range(len(curve.points)))
    bounds = [(point.low, point.high) for point in curve.points if point.low is not None and point.high is not None]
    if len(bounds) == len(severities):
        drawn.add_trace(
            go.Scatter(
                x=[*severities, *severities[::-1]],
                y=[high for _, high in bounds] + [low for low, _ in bounds[::-1]],
                fill="toself",
                fillcolor=curve.shade,
                opacity=0.12,
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=curve.title,
            ),
            **place,
        )
    drawn.add_trace(
        go.Scatter(
            x=severities,
            y=[point.value for point in curve.points],
            customdata=[curve.trial] * len(severities),
            mode="lines+markers",
            name=escape(curve.title),
            legendgroup=curve.title,
            showlegend=first,
            line={"color": curve.shade, "width": 2},
            marker={"size": 6},
            hovertemplate=f"{escape(curve.title)}<br>{escape(name.replace('_', ' '))} %{{x}}: %{{y:.3f}}<br>area {curve.area:.3f}<extra></extra>",
        ),
        **place,
    )


PLOT = Plot(
    title="On worse images",
    caption="The score of the same inspectors on the same images, disturbed ever more: severity 0 are the images as they are. Bands are 95% t "
    "intervals of the mean over seeds. Nobody was trained on images disturbed so, unless its augmentation does the like.",
    info=info,
    figure=figure,
)
