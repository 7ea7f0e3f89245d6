"""Score against amount: what more synthetic images did to the inspector."""

from typing import Any, NamedTuple

import plotly.graph_objects as go

from reports.figures.style import REAL, Looks, Plot, Point, bare, family_name, hover, legend, looks, scatter
from reports.repeats import interval
from reports.run import Run, Trial, label, show
from reports.verdict import headline_score


class Sweep(NamedTuple):
    """What the amount alone did to confirmed trials: one generator, one inspector, several seeds at each amount."""

    title: str
    family: str
    score: str
    """The test score, from which nothing was chosen."""
    shares: list[float]
    """Synthetic shares, rising; real images alone stand at 0 where they were confirmed with the same inspector."""
    means: list[float]
    lows: list[float]
    highs: list[float]
    """Ends of the 95 % t interval over seeds."""
    seeds: int


class Info(NamedTuple):
    """Trials by the share of synthetic images in the training set."""

    score: str
    points: list[Point]
    lines: list[list[tuple[float, float]]]
    """Trials with the same trained generator and inspector, joined: what the amount alone did."""
    sweeps: list[Sweep]
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
    return Info(score, points, lines, sweeps(run, score), baseline.score(score) if baseline else None, looks(run))


def sweeps(run: Run, score: str) -> list[Sweep]:
    """Collects confirmed trials that differ in nothing but the amount; two amounts make a sweep.

    Args:
        run: the run.
        score: the validation score that the test score is named after.
    """
    test = "test_" + score.removeprefix("val_")
    groups: dict[Any, list[Trial]] = {}
    alone: dict[Any, Trial] = {}
    for trial in run.complete(searched=False):
        own = frozenset((name, value) for name, value in trial.asked.params.items() if name.startswith("inspector."))
        if trial.family is None:
            alone.setdefault(own, trial)
        else:
            # Which kind of amount it is, and its number, are named after it.
            kind = trial.asked.params.get("synthesis.amount")
            left = {name: value for name, value in trial.asked.params.items() if name not in ("synthesis.amount", f"synthesis.{kind}")}
            groups.setdefault((own, frozenset(left.items())), []).append(trial)
    found = []
    for (own, _), trials in groups.items():
        rows = [row for trial in [*([alone[own]] if own in alone else []), *trials] if (row := _row(run, trial, test)) is not None]
        rows = sorted({row[0]: row for row in rows}.values())
        if len([row for row in rows if row[0] > 0]) > 1:
            first = trials[0]
            shares, means, lows, highs = (list(column) for column in zip(*rows, strict=True))
            title = f"{family_name(first)} + {first.inspector}, on test"
            found.append(Sweep(title, family_name(first), test, shares, means, lows, highs, first.seeds))
    return found


def _row(run: Run, trial: Trial, test: str) -> tuple[float, float, float, float] | None:
    """Gives the share of a confirmed trial, and mean and interval of its test score over seeds; none with a single seed."""
    values = [float(value) for unit in (trial.record.units if trial.record else []) if (value := unit.get(test)) is not None]
    share, ends = fraction(run, trial), interval(values)
    return None if share is None or ends is None else (share, sum(values) / len(values), *ends)


def fraction(run: Run, trial: Trial) -> float | None:
    """Gives the share g/(g+r) of synthetic images among the training images, 0 for real-only trials.

    What the trial itself recorded counts; without it the share is worked out from the amount that was asked for.
    """
    if trial.family is None:
        return 0.0
    told = trial.record.conditions if trial.record else {}
    if (real := told.get("train_images")) and (synthetic := told.get("synthetic_images")) is not None:
        # Real images that synthetic ones replace are counted with the split, but not trained on.
        return float(synthetic) / (float(synthetic) + float(real) - float(told.get("replaced_images", 0)))
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
    for sweep in info.sweeps:
        drawn.add_trace(_curve(sweep, info.drawn_as.shades[sweep.family]))
    scatter(drawn, info.points, info.drawn_as)
    legend(drawn, info.points, info.drawn_as)
    if info.baseline is not None:
        drawn.add_hline(info.baseline, line={"dash": "dash", "width": 1, "color": REAL}, annotation_text="best real only")
    drawn.update_xaxes(title="synthetic share of the training images", tickformat=".0%", range=[-0.02, _widest(info) + 0.03])
    drawn.update_yaxes(title=label(info.score) + (f"; curves: {label(info.sweeps[0].score)}" if info.sweeps else ""))
    return drawn


def _curve(sweep: Sweep, shade: str) -> go.Scatter:
    """Draws the means of a sweep with their intervals."""
    ups = [high - mean for high, mean in zip(sweep.highs, sweep.means, strict=True)]
    downs = [mean - low for low, mean in zip(sweep.lows, sweep.means, strict=True)]
    return go.Scatter(
        x=sweep.shares,
        y=sweep.means,
        mode="lines+markers",
        name=sweep.title,
        line={"width": 2.5, "color": shade},
        marker={"size": 8, "symbol": "diamond", "color": shade},
        error_y={"type": "data", "symmetric": False, "array": ups, "arrayminus": downs, "thickness": 1.5, "width": 5, "color": shade},
        hovertemplate=f"{sweep.title}<br>%{{x:.0%}} synthetic: %{{y:.3f}}, mean of {sweep.seeds} seeds<extra></extra>",
    )


def _widest(info: Info) -> float:
    return max([point.x for point in info.points] + [share for sweep in info.sweeps for share in sweep.shares])


PLOT = Plot(
    title="How much synthetic data",
    caption="The inspector's score against the share of synthetic images it was trained on; real-only trials stand at zero. "
    "Thin lines join trials of one trained generator and one kind of inspector. Thick curves are confirmed trials that differ in the amount alone: "
    "diamonds are means over seeds on the test split, bars their 95% t interval.",
    info=info,
    figure=figure,
)
