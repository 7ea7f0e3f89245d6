"""Score against amount: what more synthetic images did to the inspector."""

from typing import Any, NamedTuple

import plotly.graph_objects as go

from reports.figures.style import REAL, Looks, Plot, Point, bare, family_name, hover, legend, looks, scatter
from reports.run import Run, Trial, label, show
from reports.verdict import headline_score


class Info(NamedTuple):
    """Trials by the share of synthetic images in the training set."""

    score: str
    points: list[Point]
    lines: list[list[tuple[float, float]]]
    """Trials with the same trained generator and inspector, joined: what the amount alone did."""
    baseline: float | None
    drawn_as: Looks


def info(run: Run) -> Info | None:
    """Places every trial; real-only ones stand at zero."""
    score = headline_score(run.objectives)
    points: list[Point] = []
    joined: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    for trial in run.complete():
        value, share = trial.score(score), fraction(run, trial)
        if value is None or share is None:
            continue
        told = [f"{label(score)}: {show(value, score)}", f"{share:.0%} of the training images synthetic"]
        points.append(Point(trial.number, share, value, family_name(trial), trial.inspector or "", hover(trial, told)))
        keys = tuple(stage["key"] for stage in trial.record.stages if stage["stage"] == "generator") if trial.record else ()
        if keys:
            joined.setdefault((keys, trial.inspector), []).append((share, value))
    if not any(point.x > 0 for point in points):
        return None
    baseline = run.best_baseline(score)
    lines = [sorted(line) for line in joined.values() if len({x for x, _ in line}) > 1]
    return Info(score, points, lines, baseline.score(score) if baseline else None, looks(run))


def fraction(run: Run, trial: Trial) -> float | None:
    """Gives the share g/(g+r) of synthetic images among the training images, 0 for real-only trials.

    What the trial itself recorded counts; without it the share is worked out from the amount that was asked for.
    """
    if trial.family is None:
        return 0.0
    told = trial.record.conditions if trial.record else {}
    if (real := told.get("train_images")) and (synthetic := told.get("synthetic_images")) is not None:
        return float(synthetic) / (float(synthetic) + float(real))
    amount = trial.asked.recipe["synthesis"]["amount"]
    value = float(amount["value"])
    if amount["kind"] == "fraction":
        return value
    if amount["kind"] == "multiple":
        return value / (1.0 + value)
    counts = [int(row["train"]) for row in run.environment.get("split_counts", {}).values()]
    if not counts:
        return None
    asked: dict[str, list[float]] = {
        "per_class": [value for _ in counts],
        "top_up_to": [max(0.0, value - real) for real in counts],
        "balance": [max(counts) - real for real in counts],
    }
    made = sum(asked[amount["kind"]])
    return made / (made + sum(counts))


def figure(info: Info) -> go.Figure:
    """Draws the trials, joins those that share a generator, and marks the best real-only trial."""
    drawn = bare(height=440)
    for line in info.lines:
        drawn.add_trace(
            go.Scatter(
                x=[x for x, _ in line],
                y=[y for _, y in line],
                mode="lines",
                line={"width": 1, "color": "rgba(128,136,148,0.6)"},
                hoverinfo="skip",
                showlegend=False,
            )
        )
    scatter(drawn, info.points, info.drawn_as)
    legend(drawn, info.points, info.drawn_as)
    if info.baseline is not None:
        drawn.add_hline(info.baseline, line={"dash": "dash", "width": 1, "color": REAL}, annotation_text="best real only")
    drawn.update_xaxes(title="synthetic share of the training images", tickformat=".0%", range=[-0.02, max(point.x for point in info.points) + 0.03])
    drawn.update_yaxes(title=label(info.score))
    return drawn


PLOT = Plot(
    title="How much synthetic data",
    caption="The inspector's score against the share of synthetic images it was trained on; real-only trials stand at zero. "
    "Lines join trials of one trained generator and one kind of inspector.",
    info=info,
    figure=figure,
)
