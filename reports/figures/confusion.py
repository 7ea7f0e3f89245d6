"""What is taken for what: a table of confusion of pixels or images, baseline beside winner."""

from html import escape
from typing import NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from reports.compared import compared
from reports.figures.style import Plot, bare
from reports.run import SPLIT_WORDS, Run

MOST_WRITTEN = 14
"""Classes up to which the share is written into each cell."""


class Table(NamedTuple):
    """One trial's."""

    trial: int
    title: str
    counts: list[list[int]]
    """Rows are what is there, columns what is said; summed over seeds."""

    @property
    def shares(self) -> list[list[float | None]]:
        """The same in shares of each row; none in a row without any."""
        return [[count / sum(row) if sum(row) else None for count in row] for row in self.counts]


class Info(NamedTuple):
    """Tables of the two trials that are compared."""

    split: str
    of: str
    """pixels or images."""
    kinds: list[str]
    tables: list[Table]


def info(run: Run) -> Info | None:
    """Takes the tables of the split that was read last."""
    found = compared(run)
    if found is None:
        return None
    tables, kinds, task = [], [], ""
    for side in found.sides:
        record = side.trial.record
        if record is not None and (counts := record.confusion.get(found.split)) is not None and len(counts) == len(record.classes):
            tables.append(Table(side.trial.number, side.title, counts))
            kinds, task = record.classes, str(record.conditions.get("task"))
    return Info(found.split, "pixels" if task == "segment" else "images", kinds, tables) if tables else None


def figure(info: Info) -> go.Figure:
    """Draws the tables beside each other, a darker cell for a larger share of its row."""
    names = [escape(name) for name in info.kinds]
    drawn = make_subplots(
        rows=1, cols=len(info.tables), shared_yaxes=True, subplot_titles=[escape(item.title) for item in info.tables], horizontal_spacing=0.03
    )
    drawn.update_layout(bare(height=150 + max(34, 300 // len(names)) * len(names)).layout)
    for i, item in enumerate(info.tables):
        shares = item.shares
        shown = [["" if share is None else _percent(share) for share in row] for row in shares]
        drawn.add_trace(
            go.Heatmap(
                z=shares,
                x=names,
                y=names,
                text=shown if len(names) <= MOST_WRITTEN else None,
                texttemplate="%{text}" if len(names) <= MOST_WRITTEN else None,
                customdata=item.counts,
                hovertemplate=f"%{{y}} taken for %{{x}}<br>%{{customdata:,}} {info.of}, %{{z:.2%}} of the row<extra></extra>",
                zmin=0,
                zmax=1,
                colorscale=[[0, "rgba(0,114,178,0.04)"], [0.25, "rgba(0,114,178,0.35)"], [1, "rgba(0,114,178,0.85)"]],
                showscale=False,
                xgap=2,
                ygap=2,
            ),
            row=1,
            col=i + 1,
        )
    drawn.update_xaxes(title=f"said, {SPLIT_WORDS[info.split]} {info.of}", showgrid=False, zeroline=False, tickangle=-35, automargin=True)
    drawn.update_yaxes(autorange="reversed", showgrid=False, zeroline=False, automargin=True)
    drawn.update_yaxes(title="is there", row=1, col=1)
    drawn.update_layout(margin={"l": 16, "r": 16, "t": 48})
    return drawn


def _percent(share: float) -> str:
    """Writes a share so that next to nothing is told from nothing."""
    return "" if share == 0 else "<1 %" if share < 0.005 else f"{share:.0%}".replace("%", " %")


PLOT = Plot(
    title="What is taken for what",
    caption="Each row is what is there, in shares of that row; columns are what the inspector says. Counts are under the pointer, summed over seeds. "
    "Segmenters are counted in pixels, others in images; a detector says defective at the threshold of the best F on validation.",
    info=info,
    figure=figure,
)
