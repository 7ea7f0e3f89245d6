"""Images per class and split."""

from collections import Counter
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from reports.figures.style import PALETTE, REAL, Plot, bare
from reports.run import SPLIT_WORDS, Run, pretended_sets


class Info(NamedTuple):
    """Counts of images."""

    classes: list[str]
    counts: dict[str, list[int]]
    """Split -> images of each class."""


def info(run: Run) -> Info | None:
    """Takes the counts that were written when the run started; of a class that is unseen throughout, only test images serve anything."""
    table = run.environment.get("split_counts")
    if not table:
        return None
    folds = run.zero_shot_folds
    unseen, draws = (folds[0]["unseen"], pretended_sets(folds[0])) if len(folds) == 1 else ([], [])
    often = Counter(cls for pretended in draws for cls in pretended)
    turns = {cls: f" in {count} of {len(draws)} turns" if len(draws) > 1 else "" for cls, count in often.items()}
    said = dict.fromkeys(unseen, " (unseen)") | {cls: f" (pretended unseen while searching{turn})" for cls, turn in turns.items()}
    counts = {split: [int(row.get(split, 0)) for row in table.values()] for split in ("train", "val", "test")}
    for split in ("train", "val"):
        counts[split] = [0 if cls in unseen else count for cls, count in zip(table, counts[split], strict=True)]
    return Info([f"{cls}{said.get(cls, '')}" for cls in table], counts)


def figure(info: Info) -> go.Figure:
    """Draws a stacked bar for each class."""
    drawn = bare(height=90 + 30 * len(info.classes), barmode="stack", bargap=0.35)
    for (split, counts), shade in zip(info.counts.items(), (PALETTE[0], PALETTE[4], REAL), strict=True):
        drawn.add_trace(
            go.Bar(
                x=counts[::-1],
                y=[escape(cls) for cls in info.classes[::-1]],
                orientation="h",
                name=SPLIT_WORDS.get(split, "training"),
                marker={"color": shade},
                text=counts[::-1],
                textposition="inside",
                insidetextanchor="middle",
                hovertemplate="%{y}: %{x} images<extra>%{fullData.name}</extra>",
            )
        )
    drawn.update_layout(margin={"l": 16, "r": 16, "t": 24, "b": 24}, legend_traceorder="normal")
    drawn.update_xaxes(showgrid=False, showticklabels=False)
    drawn.update_yaxes(automargin=True, showgrid=False)
    return drawn


PLOT = Plot(
    title="The images",
    caption="Real images of each class. Generators and inspectors learn from the training split alone, the search is steered by validation, "
    "and test is read once, at the end.",
    info=info,
    figure=figure,
)
