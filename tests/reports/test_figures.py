"""Plots by their data, and that each of them can be drawn, also from little."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.stats import rankdata

from reports.figures import FIGURES, amount, confirmed, history, hypervolume, importance, pareto_front, split_counts, unseen_pairs
from reports.figures.style import PALETTE, REAL, Plot, colours, reach
from reports.run import Run, Trial, read_run


@pytest.fixture(scope="module")
def run(finished_run: Path) -> Run:
    return read_run(finished_run)


def plot(name: str) -> Plot:
    module, _, attribute = FIGURES[name].partition(":")
    found = getattr(import_module(module), attribute)
    assert isinstance(found, Plot)
    return found


@pytest.fixture(scope="module")
def pairs_run(run: Run) -> Run:
    """The run as if it had taken every pair of its classes in turn; the map of pairs is of no other kind of run."""
    classes = list(run.environment["split_counts"])
    pairs = [list(pair) for pair in combinations(classes, 2)]
    folds = [{"unseen": pair, "pretended_unseen": [cls for cls in classes if cls not in pair][:2]} for pair in pairs]
    counted = [fold | {"images": {split: {"trained": 80, "scored": 120} for split in ("val", "test")}} for fold in folds]
    trials = []
    for trial in run.trials:
        if trial.record is not None and trial.state == "complete":
            units = [{**trial.record.units[0], "val_harmonic_mean": 0.5, "test_harmonic_mean": i / 20} for i in range(len(pairs))]
            trial = Trial(trial.asked, replace(trial.record, units=units, unit_conditions=folds, classes=classes))
        trials.append(trial)
    return replace(run, trials=tuple(trials), environment={**run.environment, "zero_shot": {"folds": counted}})


@pytest.fixture(scope="module")
def grown_run(run: Run) -> Run:
    """The run as if it were held against itself."""
    scores = {f"test_f1.{cls}": 0.8 for cls in run.environment["split_counts"]}
    trials = []
    for trial in run.trials:
        if trial.record is not None and not trial.searched:
            units = [{**unit, **scores} for unit in trial.record.units]
            trial = Trial(trial.asked, replace(trial.record, units=units, scores={**trial.record.scores, **scores}))
        trials.append(trial)
    return replace(run, trials=tuple(trials), earlier=replace(run, trials=tuple(trials)))


@pytest.mark.parametrize("name", FIGURES)
def test_every_plot_of_the_registry_draws(name: str, run: Run, pairs_run: Run, grown_run: Run) -> None:
    chosen = plot(name)
    info = chosen.info({"unseen_pairs": pairs_run, "growth": grown_run}.get(name, run))
    assert info is not None and chosen.title and chosen.caption
    assert len(chosen.figure(info).data) > 0


@pytest.mark.parametrize("name", FIGURES)
def test_an_empty_run_has_nothing_to_plot(name: str, tmp_path: Path) -> None:
    assert plot(name).info(read_run(tmp_path)) is None


@pytest.mark.parametrize(("trials", "fewest"), [(4, 2), (5, 4), (7, 4)])
def test_plots_draw_a_run_that_has_just_begun(trials: int, fewest: int, fake_run: Callable[..., Path], tmp_path: Path) -> None:
    young = read_run(fake_run(tmp_path / "run", trials=trials, confirm=False, pictures=False))
    drawn = [chosen.figure(info) for name in FIGURES if (info := (chosen := plot(name)).info(young)) is not None]
    assert len(drawn) >= fewest


def test_the_front_holds_what_no_trial_beats(run: Run) -> None:
    info = pareto_front.info(run)
    assert info is not None and (info.x, info.y) == ("val_kid_inspector", "val_accuracy")
    by_number = {point.trial: point for point in info.points}
    for number, point in by_number.items():
        beaten = [other for other in info.points if other.x <= point.x and other.y >= point.y and (other.x, other.y) != (point.x, point.y)]
        assert bool(beaten) == (number not in info.front)
    assert info.line == sorted(info.line) and len(info.line) == len(info.front)
    assert info.x_floor == 0.004 and info.y_floor is None
    assert info.y_baseline == max(trial.score("val_accuracy") or 0 for trial in run.complete() if trial.family is None)


def test_one_trial_gone_wrong_does_not_press_the_others_into_a_line(run: Run) -> None:
    info = pareto_front.info(run)
    assert info is not None
    usual = [point.x for point in info.points]
    gone = info._replace(points=[*info.points, info.points[0]._replace(x=1e4 * max(usual))])
    before, after = pareto_front.figure(info).layout.xaxis, pareto_front.figure(gone).layout.xaxis
    assert min(usual) > after.range[0] and max(usual) < after.range[1] < 2 * max(usual)
    assert "far worse" not in before.title.text and after.title.text.endswith("; 1 far worse: double-click shows all")
    # Far better is never left out, and neither is anything where most trials are equally good.
    better = info._replace(points=[*info.points, info.points[0]._replace(x=-1e4)])
    assert pareto_front.figure(better).layout.xaxis.range[0] < -1e4
    equal = info._replace(points=[point._replace(x=0.1) for point in info.points] + [info.points[0]._replace(x=5.0)])
    assert pareto_front.figure(equal).layout.xaxis.range[1] > 5.0


def test_one_objective_is_drawn_against_time(run: Run) -> None:
    single = Run(folder=run.folder, study={}, environment={}, trials=run.trials, objectives={"val_accuracy": "maximize"})
    info = pareto_front.info(single)
    assert info is not None and info.x == "trial_s" and len(info.front) == 1 and info.line == []
    assert hypervolume.info(single) is None


def test_history_follows_the_best(run: Run) -> None:
    info = history.info(run)
    assert info is not None
    accuracy, kid = info.tracks
    values = [value for _, value in accuracy.best]
    assert values == sorted(values) and values[-1] == max(point.y for point in accuracy.points)
    assert [value for _, value in kid.best] == sorted((value for _, value in kid.best), reverse=True)
    assert accuracy.baseline is not None and kid.baseline is None
    assert accuracy.floor is None and kid.floor == 0.004
    assert not {point.trial for point in accuracy.points} & {trial.number for trial in run.complete(searched=False)}


def test_hypervolume_only_rises(run: Run) -> None:
    info = hypervolume.info(run)
    assert info is not None and info.volumes == sorted(info.volumes) and 0.0 <= info.volumes[0] and 0.3 < info.volumes[-1] <= 1.0


def test_amounts_join_trials_of_one_generator_and_inspector(run: Run) -> None:
    info = amount.info(run)
    assert info is not None and info.lines
    assert all(point.x == 0.0 for point in info.points if point.family == "real only")
    assert all(len(line) > 1 and line == sorted(line) for line in info.lines)


def test_a_sweep_is_what_differs_in_the_amount_alone(tmp_path: Path, fake_run: Callable[..., Path]) -> None:
    run = read_run(fake_run(tmp_path / "run", trials=8, seeds=4))
    assert amount.sweeps(run, "val_accuracy") == [], "the confirmed trials have one amount"
    (base,) = [trial for trial in run.complete(searched=False) if trial.family][:1]
    plain = next(trial for trial in run.complete(searched=False) if trial.family is None and trial.inspector == base.inspector)
    extra = []
    for place, share in enumerate((0.5, 0.1, 0.3)):
        assert base.record is not None
        units = [{"test_accuracy": share + 0.01 * seed} for seed in range(4)]
        recipe = {**base.asked.recipe, "synthesis": {"amount": {"kind": "fraction", "value": share}}}
        asked = replace(base.asked, trial=900 + place, recipe=recipe, params={**base.asked.params, "synthesis.fraction": share})
        conditions = {name: value for name, value in base.record.conditions.items() if name != "synthetic_images"}
        extra.append(Trial(asked, replace(base.record, trial=900 + place, units=units, conditions=conditions)))
    swept = replace(run, trials=(*(trial for trial in run.trials if trial.number != base.number), *extra))
    (sweep,) = amount.sweeps(swept, "val_accuracy")
    assert sweep.shares == pytest.approx([0.0, 0.1, 0.3, 0.5]) and sweep.seeds == 4 and sweep.score == "test_accuracy"
    assert sweep.means[1:] == pytest.approx([0.115, 0.315, 0.515])
    assert plain.record is not None and sweep.means[0] == pytest.approx(np.mean([unit["test_accuracy"] for unit in plain.record.units]))
    low, high = stats.t.interval(0.95, 3, loc=0.115, scale=np.std([0.0, 0.01, 0.02, 0.03], ddof=1) / 2)
    assert (sweep.lows[1], sweep.highs[1]) == pytest.approx((low, high))
    info = amount.info(swept)
    assert info is not None and info.sweeps == [sweep]
    drawn = next(trace for trace in amount.figure(info).data if trace.name == sweep.title)
    assert list(drawn.y) == sweep.means and drawn.error_y.array[1] == pytest.approx(high - 0.115)
    other = [trial._replace(asked=replace(trial.asked, params={**trial.asked.params, "generator.kimg": 5.0})) for trial in extra[:1]]
    assert amount.sweeps(replace(swept, trials=(*swept.trials[:-3], *other, extra[1])), "val_accuracy") == []


def test_replaced_images_are_no_training_images(run: Run) -> None:
    trial = next(trial for trial in run.complete() if trial.family)
    assert trial.record is not None
    told = {"train_images": 100, "synthetic_images": 60, "replaced_images": 60}
    assert amount.fraction(run, trial._replace(record=replace(trial.record, conditions=told))) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("kind", "value", "share"),
    [("fraction", 0.3, 0.3), ("multiple", 3.0, 0.75), ("per_class", 20.0, 0.5), ("top_up_to", 80.0, 0.75), ("balance", 0.0, 0.0)],
)
def test_amounts_of_every_kind_are_shares(kind: str, value: float, share: float, run: Run) -> None:
    trial = next(trial for trial in run.complete() if trial.family)
    recipe = dict(trial.asked.recipe) | {"synthesis": {"amount": {"kind": kind, "value": value}}}
    asked = type(trial.asked)(trial=0, move="explore", reason="", params={}, recipe=recipe, epoch=1, time_s=0.0)
    assert amount.fraction(run, trial._replace(asked=asked, record=None)) == pytest.approx(share)


def test_importance_finds_what_decides_and_not_what_does_not() -> None:
    random = np.random.default_rng(3)
    telling = random.uniform(size=60).tolist()
    idle = random.uniform(size=60).tolist()
    values = [-((x - 0.5) ** 2) for x in telling]
    share, chance = importance.effect(telling, values)
    assert share > 0.4 > chance
    share, chance = importance.effect(idle, values)
    assert share < chance
    assert importance.effect(["a", "b"] * 30, [0.0, 1.0] * 30)[0] == pytest.approx(1.0)


def test_equal_values_share_their_mean_rank() -> None:
    values = [0.5, 0.1, 0.5, 0.9, 0.1, 0.5]
    assert importance.mean_ranks(values).tolist() == rankdata(values).tolist()


def test_chance_is_beaten_by_chance_one_time_in_twenty() -> None:
    random = np.random.default_rng(0)
    beaten = 0
    for _ in range(200):
        share, chance = importance.effect(random.uniform(size=20).tolist(), random.uniform(size=20).tolist())
        beaten += share > chance
    assert 2 <= beaten <= 22


def test_importance_rates_the_searched_trials(run: Run) -> None:
    info = importance.info(run)
    assert info is not None
    bars = {bar.setting: bar for bar in info.bars["val_kid_inspector"]}
    assert bars["generator.family"].share > bars["generator.family"].chance
    assert "generator.kimg" not in bars, "a setting that never varied cannot matter"
    assert all(bar.trials >= importance.FEWEST for bar in bars.values())


def test_confirmed_trials_are_sorted_by_test(run: Run) -> None:
    info = confirmed.info(run)
    assert info is not None and [row.mean for row in info.rows] == sorted((row.mean for row in info.rows), reverse=True)
    assert all(len(row.test) == 3 and row.low is not None and row.low < row.mean for row in info.rows)


def test_one_inspector_on_real_images_alone_under_two_names_has_one_row(run: Run) -> None:
    before = confirmed.info(run)
    assert before is not None and len(before.rows) >= 2
    real = [row for row in before.rows if row.real_only]
    one, other = (next(trial for trial in run.trials if trial.number == number) for number in sorted(row.trial for row in real)[:2])
    assert one.record is not None and other.record is not None
    inspector = other.asked.recipe | {"inspector": one.asked.recipe["inspector"]}
    same = {
        one.number: one,
        other.number: other._replace(asked=replace(other.asked, recipe=inspector), record=replace(other.record, units=one.record.units)),
    }
    after = confirmed.info(replace(run, trials=[same.get(trial.number, trial) for trial in run.trials]))
    assert after is not None and len(after.rows) == len(before.rows) - 1
    assert min(same) in {row.trial for row in after.rows}


def test_counts_are_those_of_the_environment(run: Run) -> None:
    info = split_counts.info(run)
    assert info is not None and info.counts["train"] == [20] * 6 and info.counts["test"][1] == 63


def test_a_family_looks_the_same_in_every_plot(run: Run) -> None:
    infos = [plot(name).info(run) for name in ("confirmed", "pareto_front", "history", "amount")]
    assert all(info.drawn_as == infos[0].drawn_as for info in infos)


def test_colours_do_not_depend_on_order() -> None:
    assert colours(["pe_gan", "real only", "dcgan"]) == {"dcgan": PALETTE[0], "pe_gan": PALETTE[1], "real only": REAL}
    many = colours(f"family {number:02}" for number in range(3 * len(PALETTE)))
    assert list(many.values())[: len(PALETTE)] == list(PALETTE)
    assert len(set(many.values())) == len(many)


def test_pairs_of_unseen_classes_are_a_symmetric_map_of_what_each_pair_scored(pairs_run: Run, run: Run) -> None:
    info = unseen_pairs.info(pairs_run)
    assert info is not None and info.score == "test_harmonic_mean", "confirmed trials come first"
    assert [info.values[0][k] for k in range(1, 6)] == [i / 20 for i in range(5)] == [info.values[k][0] for k in range(1, 6)]
    assert info.values[4][5] == 14 / 20 and all(info.values[k][k] is None for k in range(6)) and info.counts[1][2] == 1
    young = replace(pairs_run, trials=tuple(trial for trial in pairs_run.trials if trial.searched))
    found = unseen_pairs.info(young)
    # On validation a pair was pretended to be unseen: the first two of those left.
    assert found is not None and found.score == "val_harmonic_mean" and found.values[0][1] == 0.5 and found.values[4][5] is None
    assert found.counts[0][1] == sum(not {"crazing", "inclusion"} & set(pair) for pair in combinations(info.classes, 2))
    assert unseen_pairs.info(run) is None


def test_pairs_of_several_draws_have_the_scores_of_their_draws(pairs_run: Run) -> None:
    trials = []
    for trial in pairs_run.trials:
        if trial.record is not None and trial.searched:
            draws = {"pretended_unseen": [["crazing", "patches"], ["patches", "scratches"]], "draw_scores": [{"val_harmonic_mean": 0.2}, {}]}
            known = [{**unit, **draws} for unit in trial.record.unit_conditions]
            trials.append(Trial(trial.asked, replace(trial.record, unit_conditions=known)))
    info = unseen_pairs.info(replace(pairs_run, trials=tuple(trials)))
    assert info is not None and info.score == "val_harmonic_mean"
    of = {cls: k for k, cls in enumerate(info.classes)}
    assert info.values[of["crazing"]][of["patches"]] == pytest.approx(0.2), "not the unit's mean"
    assert info.values[of["patches"]][of["scratches"]] is None and sum(map(sum, info.counts)) == 2 * 15


def test_what_validation_holds_for_names_every_set_of_classes(run: Run) -> None:
    fold = {"unseen": ["patches"], "images": {split: {"trained": 80, "scored": 120} for split in ("val", "test")}}

    def told(pretended: object, folds: int = 1) -> str:
        held = [fold | {"pretended_unseen": pretended}] * folds
        return replace(run, environment={**run.environment, "zero_shot": {"folds": held}}).conditions("val")

    single = told([["crazing", "scratches"]])
    assert "pretended unseen: crazing, scratches, 80 real training images" in single and told(["crazing", "scratches"]) == single
    several = [["crazing"], ["scratches"]]
    assert "means over 2 sets of classes pretended unseen in turn: crazing; scratches, 80 real training images" in told(several)
    assert "15 sets of unseen classes in turn, for each of them 2 sets of others pretended unseen" in told(several, 15)


def test_classes_that_are_unseen_show_only_what_is_read_of_them(run: Run) -> None:
    fold = {"unseen": ["patches"], "pretended_unseen": ["crazing"], "images": {}}
    info = split_counts.info(replace(run, environment={**run.environment, "zero_shot": {"folds": [fold]}}))
    assert info is not None and info.classes[2] == "patches (unseen)" and info.classes[0] == "crazing (pretended unseen while searching)"
    assert [info.counts[split][2] for split in ("train", "val", "test")] == [0, 0, 66] and info.counts["train"][0] == 20
    drawn = fold | {"pretended_unseen": [["crazing", "inclusion"], ["crazing", "scratches"], ["inclusion", "scratches"], ["crazing", "inclusion"]]}
    info = split_counts.info(replace(run, environment={**run.environment, "zero_shot": {"folds": [drawn]}}))
    assert info is not None and info.classes[0] == "crazing (pretended unseen while searching in 3 of 4 turns)" and "(unseen)" in info.classes[2]
    single = fold | {"pretended_unseen": [["crazing"]]}
    info = split_counts.info(replace(run, environment={**run.environment, "zero_shot": {"folds": [single]}}))
    assert info is not None and info.classes[0] == "crazing (pretended unseen while searching)"


def test_an_axis_of_shares_ends_where_shares_do() -> None:
    low, high = reach([0.5, 0.6], [-0.4, 1.4, None])
    assert -0.06 < low < 0.0 and 1.0 < high < 1.06
    assert reach([0.5, 0.6], [0.45, 0.65]) == pytest.approx([0.44, 0.66])
    assert reach([3.0], [1.0, 5.0]) == pytest.approx([0.8, 5.2])
    assert reach([0.5], []) == pytest.approx([0.49, 0.51])
