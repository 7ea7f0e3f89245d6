"""Where a mean hides a difference: the score by size of the defects and by the user's columns, baseline beside winner."""

from html import escape
from typing import NamedTuple
from urllib.parse import unquote

import plotly.graph_objects as go

from reports.compared import Mean, compared
from reports.figures.style import Plot, bare, reach
from reports.run import Run, label
from reports.verdict import headline_score

SIZES = ("small", "medium", "large")
ALL = "all images"
APART = 0.16
"""How far beside its line a trial is drawn, in lines."""


class Bar(NamedTuple):
    """One trial."""

    trial: int
    title: str
    shade: str
    means: list[Mean | None]
    """For each group in order."""


class Info(NamedTuple):
    """The score of each group."""

    score: str
    """Full name without a group."""
    groups: list[str]
    """`all images`, thirds of sizes, then values of columns: in words, with what they hold."""
    bars: list[Bar]


def info(run: Run) -> Info | None:
    """Collects the scores by group of the two trials that are compared."""
    found = compared(run)
    if found is None:
        return None
    head, dot, cls = headline_score(run.objectives).partition(".")
    base = f"{found.split}_{head.partition('@')[0].removeprefix('val_')}"
    names: dict[str, str] = {}
    for side in found.sides:
        record = side.trial.record
        for name, value in (record.scores if record else {}).items():
            own, at, rest = name.partition("@")
            group, point, of = rest.partition(".")
            if at and own == base and (point, of) == (dot, cls) and value is not None and record is not None:
                names.setdefault(group, _words(group, record.conditions, found.split))
    if not names:
        return None
    order = sorted(names, key=lambda group: (SIZES.index(group) if group in SIZES else len(SIZES), group))
    scores = [f"{base}{dot}{cls}", *(f"{base}@{group}{dot}{cls}" for group in order)]
    bars = [Bar(side.trial.number, side.title, side.shade, [side.mean(name) for name in scores]) for side in found.sides]
    images = {side.trial.record.conditions.get(f"{found.split}_images") for side in found.sides if side.trial.record}
    count = f", {images.pop()} images" if len(images) == 1 and None not in images else ""
    return Info(f"{base}{dot}{cls}", [f"all{count}" if count else ALL, *(names[group] for group in order)], bars)


def _words(group: str, conditions: object, split: str) -> str:
    """Says what a group is: `small defects (up to 1.3 %), 12 images`."""
    told = conditions if isinstance(conditions, dict) else {}
    words = f"{group} defects" if group in SIZES else unquote(group).replace("=", " ", 1)
    if (largest := told.get(f"{split}_largest_defect@{group}")) is not None:
        words += f" (up to {100 * float(largest):.2g} % of an image)"
    images = told.get(f"{split}_images@{group}")
    return words if images is None else f"{words}, {images} image{'' if images == 1 else 's'}"


def figure(info: Info) -> go.Figure:
    """Draws a line for each group, and on it a mark with its interval for each trial."""
    drawn = bare(height=110 + 46 * len(info.groups))
    places = list(range(len(info.groups)))[::-1]
    for i, bar in enumerate(info.bars):
        shift = APART * (len(info.bars) - 1 - 2 * i) / max(1, len(info.bars) - 1)
        shown = [(place + shift, group, found) for place, group, found in zip(places, info.groups, bar.means, strict=True) if found is not None]
        ends = [
            (found.value - found.low, found.high - found.value) if found.low is not None and found.high is not None else (0, 0) for *_, found in shown
        ]
        drawn.add_trace(
            go.Scatter(
                x=[found.value for *_, found in shown],
                y=[place for place, *_ in shown],
                customdata=[bar.trial] * len(shown),
                text=[escape(f"{group}: {_said(found)}") for _, group, found in shown],
                hovertemplate=f"{escape(bar.title)}<br>%{{text}}<extra></extra>",
                mode="markers",
                name=escape(bar.title),
                marker={"size": 10, "color": bar.shade, "symbol": "diamond"},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "arrayminus": [low for low, _ in ends],
                    "array": [high for _, high in ends],
                    "color": bar.shade,
                    "thickness": 2,
                    "width": 0,
                },
            )
        )
    drawn.add_hline(len(info.groups) - 1.5, line={"width": 1, "dash": "dot", "color": "rgba(128,136,148,0.6)"})
    drawn.update_yaxes(tickvals=places, ticktext=[escape(group) for group in info.groups], range=[-0.6, len(info.groups) - 0.4], automargin=True)
    drawn.update_yaxes(showgrid=False, zeroline=False)
    means = [found for bar in info.bars for found in bar.means if found is not None]
    reached = reach([found.value for found in means], [end for found in means for end in (found.low, found.high)])
    drawn.update_xaxes(title=label(info.score), range=reached)
    drawn.update_layout(margin={"l": 16, "r": 16})
    return drawn


def _said(found: Mean) -> str:
    if found.low is None or found.high is None:
        return f"{found.value:.3f}, one seed"
    return f"{found.value:.3f}, 95% interval {found.low:.3f} to {found.high:.3f} over {found.units} seeds"


PLOT = Plot(
    title="By group of images",
    caption="The score on thirds of the defective images by the size of their defects, and on images with each value of the study's columns. "
    "Where scores weigh defective images against sound ones, the sound ones count in every third. Thresholds are those of the whole validation "
    "split. Lines are 95% t intervals of the mean over seeds; a group of few images is uncertain beyond them.",
    info=info,
    figure=figure,
)
