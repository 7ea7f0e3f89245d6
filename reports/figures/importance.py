"""Importance of settings: how much of an objective's variation goes with each setting, beside what chance alone would show.

The measure is the correlation ratio of the objective's ranks over at most four bins of a setting: the main effect of a functional
analysis of variance, read from the trials themselves, without a model between. Ranks keep one collapsed trial from deciding everything.
With few trials any setting seems to matter; the same measure on shuffled objectives gives the level that chance reaches.
"""

from html import escape
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reports.figures.style import PALETTE, REAL, Plot, bare
from reports.run import Run, label

BINS = 4
SHUFFLES = 400
FEWEST = 8
"""Trials that a setting needs to be rated at all."""
SHOWN = 12


class Bar(NamedTuple):
    """One setting's share in one objective."""

    setting: str
    share: float
    """Correlation ratio in 0..1."""
    chance: float
    """The share that 95 % of shuffles stay below."""
    trials: int
    """Trials that had the setting; one of a single family is rated within it."""


class Info(NamedTuple):
    """Bars for each objective: those beyond chance first, each part from most to least."""

    bars: dict[str, list[Bar]]


def info(run: Run) -> Info | None:
    """Rates every setting that varied among the searched trials; baselines and confirmations vary nothing and are left out."""
    trials = [trial for trial in run.complete() if trial.family]
    names = sorted({name for trial in trials for name in trial.asked.params})
    bars: dict[str, list[Bar]] = {}
    for objective in run.objectives:
        rated = []
        for name in names:
            had = [trial for trial in trials if name in trial.asked.params]
            mine = [(trial.asked.params[name], value) for trial in had if (value := trial.score(objective)) is not None]
            if len(mine) >= FEWEST and len({str(setting) for setting, _ in mine}) > 1 and len({value for _, value in mine}) > 1:
                share, chance = effect([setting for setting, _ in mine], [value for _, value in mine])
                rated.append(Bar(name, share, chance, len(mine)))
        if rated:
            bars[objective] = sorted(rated, key=lambda bar: (bar.share > bar.chance, bar.share), reverse=True)[:SHOWN]
    return Info(bars) if bars else None


def effect(settings: list[Any], values: list[float]) -> tuple[float, float]:
    """Measures one setting's share in the values' variation, and the level of chance.

    Returns:
        The correlation ratio of the ranks, and its 95 % quantile over `SHUFFLES` shuffles; both in 0..1.
    """
    member = np.equal.outer(np.unique(places := _bins(settings)), places).astype(float)
    ranks = mean_ranks(values)
    ranks -= ranks.mean()
    generator = np.random.default_rng(0)
    rows = np.stack([ranks, *(generator.permutation(ranks) for _ in range(SHUFFLES))])
    shares = ((rows @ member.T) ** 2 / member.sum(axis=1)).sum(axis=1) / (ranks**2).sum()
    return float(shares[0]), float(np.quantile(shares[1:], 0.95))


def mean_ranks(values: list[float]) -> np.ndarray:
    """Ranks values from 1; equal ones share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def _bins(settings: list[Any]) -> np.ndarray:
    """Gives each setting its bin: numbers by quantile where there are many, anything else by its own name."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in settings)
    if not numbers or len(set(settings)) <= BINS:
        names = sorted({str(value) for value in settings})
        return np.array([names.index(str(value)) for value in settings])
    column = np.asarray(settings, dtype=float)
    return np.searchsorted(np.quantile(column, np.arange(1, BINS) / BINS), column, side="right")


def figure(info: Info) -> go.Figure:
    """Draws the bars of each objective side by side; bars that do not pass the level of chance are grey."""
    most = max(len(bars) for bars in info.bars.values())
    titles = [label(objective) for objective in info.bars]
    drawn = make_subplots(
        rows=len(titles),
        cols=1,
        subplot_titles=titles,
        vertical_spacing=0.16 / max(1, len(titles) - 1),
        figure=bare(height=70 + len(titles) * (80 + 26 * most)),
    )
    for row, bars in enumerate(info.bars.values(), start=1):
        ordered = bars[::-1]
        places = [_place(bar) for bar in ordered]
        drawn.add_trace(
            go.Bar(
                x=[bar.share for bar in ordered],
                y=places,
                orientation="h",
                marker={"color": [PALETTE[0] if bar.share > bar.chance else "rgba(138,146,156,0.45)" for bar in ordered]},
                text=[f"{bar.share:.0%} of the variation; chance reaches {bar.chance:.0%}; {bar.trials} trials" for bar in ordered],
                textposition="none",
                hovertemplate="%{text}<extra></extra>",
            ),
            row=row,
            col=1,
        )
        drawn.add_trace(
            go.Scatter(
                x=[bar.chance for bar in ordered],
                y=places,
                mode="markers",
                marker={"symbol": "line-ns", "size": 16, "line": {"width": 2, "color": "#D55E00"}, "color": REAL},
                hoverinfo="skip",
            ),
            row=row,
            col=1,
        )
    drawn.update_annotations(x=0, xanchor="left")
    drawn.update_layout(showlegend=False, bargap=0.35, margin={"l": 16, "r": 16, "t": 40, "b": 48})
    drawn.update_xaxes(range=[0, 1], tickformat=".0%")
    drawn.update_xaxes(title="share of the objective's variation", row=len(titles), col=1)
    drawn.update_yaxes(automargin=True, showgrid=False)
    return drawn


def _place(bar: Bar) -> str:
    return f"{escape(bar.setting)} ({bar.trials})"


PLOT = Plot(
    title="What mattered",
    caption="How much of an objective's variation goes with each setting, over the searched trials; in brackets how many trials had it, "
    "a family's own settings within that family. The orange tick is the level that chance alone stays below in 19 of 20 shuffles: "
    "a grey bar says nothing.",
    info=info,
    figure=figure,
)
