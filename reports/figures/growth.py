"""What a class that was added has done to the others: each class's score then and now."""

from html import escape

import plotly.graph_objects as go

from reports.figures.style import PALETTE, REAL, Plot, bare, reach
from reports.growth import Growth, Level, Row, growth
from reports.run import SPLIT_WORDS, Run

APART = 0.16
"""How far above or below its line a winner is drawn, in lines."""
MEAN = "mean of the old classes"


def info(run: Run) -> Growth | None:
    """Compares the run with the earlier one that it is held against; none where there is none, or no score of single classes."""
    found = growth(run, run.earlier) if run.earlier is not None else None
    return found if found is not None and found.tables and (found.tables[0].old or found.tables[0].new) else None


def figure(info: Growth) -> go.Figure:
    """Draws a line for each class, and on it a mark with its interval for the winner then and the winner now."""
    table = info.tables[0]
    rows = [*([table.mean] if table.mean is not None and len(table.old) > 1 else []), *table.old, *table.new]
    names = [_name(row, new=row in table.new) for row in rows]
    drawn = bare(height=110 + 46 * len(rows))
    places = list(range(len(rows)))[::-1]
    sides = ((f"{info.earlier}: {info.before}", info.before_trial, REAL, APART), (f"now: {info.after}", info.after_trial, PALETTE[0], -APART))
    for number, (title, trial, shade, shift) in enumerate(sides):
        shown = [
            (place + shift, name, level)
            for place, name, row in zip(places, names, rows, strict=True)
            if (level := (row.before, row.after)[number]) is not None
        ]
        drawn.add_trace(
            go.Scatter(
                x=[level.value for *_, level in shown],
                y=[place for place, *_ in shown],
                # A trial of the earlier run is none of this page's.
                customdata=[trial] * len(shown) if number else None,
                text=[escape(f"{name}: {_said(level)}") for _, name, level in shown],
                hovertemplate=f"{escape(title)}<br>%{{text}}<extra></extra>",
                mode="markers",
                name=escape(title),
                marker={"size": 10, "color": shade, "symbol": "diamond"},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "arrayminus": [level.value - level.low if level.low is not None else 0.0 for *_, level in shown],
                    "array": [level.high - level.value if level.high is not None else 0.0 for *_, level in shown],
                    "color": shade,
                    "thickness": 2,
                    "width": 0,
                },
            )
        )
    drawn.update_yaxes(tickvals=places, ticktext=[escape(name) for name in names], range=[-0.6, len(rows) - 0.4], automargin=True)
    drawn.update_yaxes(showgrid=False, zeroline=False)
    levels = [level for row in rows for level in (row.before, row.after) if level is not None]
    reached = reach([level.value for level in levels], [end for level in levels for end in (level.low, level.high)])
    drawn.update_xaxes(title=f"{SPLIT_WORDS[info.split]} {table.score}", range=reached)
    drawn.update_layout(margin={"l": 16, "r": 16})
    return drawn


def _name(row: Row, *, new: bool) -> str:
    if not row.cls:
        return MEAN
    return f"{row.cls} (new)" if new else f"{row.cls} (other images)" if row.same_images is False else row.cls


def _said(level: Level) -> str:
    if level.low is None or level.high is None:
        return f"{level.value:.3f}, one seed"
    return f"{level.value:.3f}, 95% interval {level.low:.3f} to {level.high:.3f} over {level.repeats} seeds"


PLOT = Plot(
    title="Class by class, then and now",
    caption="Each class's score by the winner of the earlier run and by that of this one. Lines are 95% t intervals of the mean over seeds. The mean "
    "is over the old classes that both runs scored on the same images.",
    info=info,
    figure=figure,
)
