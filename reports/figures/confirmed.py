"""What the test split said: each confirmed trial with its seeds and its interval."""

from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from reports.figures.style import Looks, Plot, bare, looks, reach
from reports.run import Run, label
from reports.verdict import Confirmed, verdict


class Info(NamedTuple):
    """Rows from best to worst on test; one inspector on real images alone, met under several names, has one row."""

    score: str
    rows: list[Confirmed]
    families: dict[int, str]
    """Confirming trial -> family, `real only` for baselines."""
    drawn_as: Looks


def info(run: Run) -> Info | None:
    """Collects the confirmed trials."""
    found = verdict(run)
    if not found.confirmed:
        return None
    families = {trial.number: trial.family or "real only" for trial in run.trials}
    rows = [ranked.confirmed for ranked in found.ranking]
    return Info(found.score, rows, {row.trial: families[row.trial] for row in rows}, looks(run))


def figure(info: Info) -> go.Figure:
    """Draws a line for each trial: the interval, the mean, and a dot for each seed."""
    drawn = bare(height=110 + 44 * len(info.rows))
    for row in reversed(info.rows):
        shade = info.drawn_as.shades[info.families[row.trial]]
        place = escape(row.title)
        if row.low is not None and row.high is not None:
            drawn.add_trace(
                go.Scatter(x=[row.low, row.high], y=[place] * 2, mode="lines", line={"width": 3, "color": shade}, opacity=0.55, hoverinfo="skip")
            )
        drawn.add_trace(
            go.Scatter(
                x=row.test,
                y=[place] * len(row.test),
                customdata=[row.trial] * len(row.test),
                mode="markers",
                marker={"size": 7, "color": shade, "symbol": "circle-open", "line": {"width": 1.5}},
                hovertemplate="one seed: %{x:.3f}<extra></extra>",
            )
        )
        ends = "no interval: one seed" if row.low is None else f"95% interval {row.low:.3f} to {row.high:.3f}"
        drawn.add_trace(
            go.Scatter(
                x=[row.mean],
                y=[place],
                customdata=[row.trial],
                mode="markers",
                marker={"size": 12, "color": shade, "symbol": "diamond"},
                hovertemplate=f"mean of {len(row.test)} seeds: %{{x:.3f}}<br>{ends}<extra></extra>",
            )
        )
    drawn.update_layout(showlegend=False, margin={"l": 16, "r": 16, "t": 8, "b": 48})
    reached = reach([value for row in info.rows for value in row.test], [end for row in info.rows for end in (row.low, row.high)])
    drawn.update_xaxes(title=label(info.score), range=reached)
    drawn.update_yaxes(automargin=True, showgrid=False)
    return drawn


PLOT = Plot(
    title="Confirmed on test",
    caption="The best trials and the baselines, trained again with fresh seeds and read once on the test split. Circles are seeds, diamonds "
    "their mean, lines the 95% t interval of the mean over seeds (wider where seeds of generator and inspector are crossed); which pictures "
    "were tested is not in it. Two intervals may overlap although the paired difference is clear.",
    info=info,
    figure=figure,
)
