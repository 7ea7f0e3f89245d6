"""What a study learns from the runs of `search.warm_start`: read, refused where they mean something else, and put into its own settings.

Two ways, by what is equal. *The same images, split, features and versions of the code*: numbers mean the same, so they are told to the models as they
are; generators that lie in the store count as trained. *Anything else*: levels differ, and how they do is not known before this study has many trials
of its own, so nothing is told; a few of the settings that no other of that run dominates are tried first, at the lowest mark. That costs these
few trials at most, and can never mislead a model.

Called by `study_file` at validation, and by `search.prepare` when a run starts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reports.records import write_whole
from search.memory.code import code_versions
from search.memory.earlier import EarlierRun, Unusable, alike, read_earlier
from search.memory.meaning import differences, refusals
from search.memory.remembered import FILE, Memory, Remembered, best, content_hash
from search.memory.translating import Dropped, Translator
from search.runs.ledger import Ledger
from search.studies.study import Study, StudyError
from search.studies.study_file import known_settings
from trainables.store import Store

OWN_FAULT = ("diverged", "collapsed")
"""Failures that say something of the settings; the others are of the machine that they ran on."""
REASONS = 3
"""Reasons for which trials were dropped that a line lists."""


def warm_start_problems(study: Study) -> list[tuple[str, str]]:
    """Says what is wrong with the earlier runs that a study is to learn from: (dotted name, text). Imports torch."""
    if not study.search.warm_start:
        return []
    known, code = known_settings(study), code_versions(study)
    found = []
    for i, given in enumerate(study.search.warm_start):
        try:
            texts = refusals(study, read_earlier(given, study), known, code)
        except Unusable as error:
            texts = [str(error)]
        found += [(f"search.warm_start[{i}]", text) for text in texts]
    return found


def learn(study: Study, store: Store, *, device: str) -> Memory:
    """Learns from the runs that a study names.

    Args:
        study: resolved.
        store: of the study, where generators may lie.
        device: that the study runs on: seconds of another kind say nothing.

    Raises:
        StudyError: one of them cannot be learned from; every problem.
    """
    if problems := warm_start_problems(study):
        raise StudyError("\n".join(f"{name}: {text}" for name, text in problems))
    trials: list[Remembered] = []
    lines = []
    for given in study.search.warm_start:
        earlier = read_earlier(given, study)
        why_not = differences(study, earlier, code_versions(study))
        carried, dropped = _carried(study, earlier, store, device)
        used = carried if not why_not else [replace(item, use="start", keys=()) for item in best(carried, study)]
        trials += used
        lines.append(_line(earlier, carried, used, dropped, why_not))
    return Memory(trials=tuple(trials), lines=tuple(lines))


def with_memory(study: Study, store: Store, ledger: Ledger, *, device: str) -> tuple[Study, Sequence[str]]:
    """Keeps what a study learns in its run's folder, so that it does not depend on the earlier runs any more; gives a sentence for each.

    Raises:
        StudyError: as `learn`.
        RunError: the folder cannot be written.
    """
    memory = learn(study, store, device=device)
    if not memory.lines:
        return study, ()
    data = memory.to_bytes()
    ledger.keep(lambda: write_whole(study.run_folder / FILE, data, flush=True))
    assert study.resolved is not None
    return replace(study, resolved=replace(study.resolved, warm_start=content_hash(data))), memory.lines


def _carried(study: Study, earlier: EarlierRun, store: Store, device: str) -> tuple[list[Remembered], Counter[str]]:
    """Puts the trials of a run into this study's settings, in the order of their ends; counts those that cannot be, by reason."""
    translator = Translator(study, earlier, known_settings(study))
    names = _score_names(study, earlier)
    times = dict(_seconds(earlier)) if str(earlier.environment.get("device", "")).partition(":")[0] == device.partition(":")[0] else {}
    # Equal seeds of equal stages have equal keys.
    resolved = study.resolved
    assert resolved is not None
    shares = (earlier.study.get("seed"), earlier.resolved.get("precision")) == (study.seed, resolved.precision)
    carried, dropped = [], Counter[str]()
    for row in earlier.trials:
        if row["move"] in ("baseline", "confirm"):
            continue
        try:
            item = _remembered(row, earlier, translator, names)
        except Dropped as why:
            dropped[str(why)] += 1
            continue
        generator_s, rest_s = times.get(item.trial, (None, None))
        keys = _generators(earlier, item.trial) if shares else []
        held = keys if all(_is_stored(store, key) for key in keys) else []
        carried.append(replace(item, generator_s=generator_s, rest_s=rest_s, keys=held))
    return carried, dropped


def _remembered(row: Mapping[str, Any], earlier: EarlierRun, translator: Translator, names: Mapping[str, str]) -> Remembered:
    """Puts one trial into this study's settings.

    Raises:
        Dropped: it has not ended, ended through no fault of its own, or cannot be put so.
    """
    if row["state"] not in ("complete", "pruned", "failed"):
        raise Dropped("not ended")
    if row["state"] == "failed" and row.get("failure") not in OWN_FAULT:
        raise Dropped("failed for reasons of the machine")
    params = translator.params(row)
    rungs = {name.removeprefix("rungs."): float(value) for name, value in row.items() if name.startswith("rungs.")}
    scores = {here: row.get(there) for here, there in names.items()}
    return Remembered(
        run=earlier.name,
        trial=int(row["trial"]),
        use="told",
        state=row["state"],
        failed_in=row.get("failed_in"),
        params=params,
        scores=scores,
        rungs=rungs,
    )


def _score_names(study: Study, earlier: EarlierRun) -> dict[str, str]:
    """Pairs the objectives, and the scores that have limits, with their names in the earlier run, which may have had another extractor."""
    there = {alike(name): name for name in earlier.objectives}
    names = {goal.score: there.get(alike(goal.score), goal.score) for goal in study.objectives}
    return {limit.score: limit.score for limit in study.limits} | names


def _seconds(earlier: EarlierRun) -> Iterator[tuple[int, tuple[float, float]]]:
    """Adds up what each trial took: its generator from the first step on, and what it was the first to make behind it."""
    marks: dict[str, dict[float, float]] = {}
    for rows in earlier.stages.values():
        for stage in rows:
            if stage["stage"] == "generator":
                key, mark = _split(str(stage["key"]))
                marks.setdefault(key, {})[mark] = float(stage["seconds"])
    paid: set[str] = set()
    for trial in (int(row["trial"]) for row in earlier.trials):
        stages = {str(stage["key"]): stage for stage in earlier.stages.get(trial, [])}
        own = {key: stage for key, stage in stages.items() if key not in paid and stage["stage"] != "diagnostics"}
        paid |= own.keys()
        rest = sum(float(stage["seconds"]) for stage in own.values() if stage["stage"] not in ("generator", "conditioning"))
        reached: dict[str, float] = {}
        for key, mark in (_split(key) for key, stage in stages.items() if stage["stage"] == "generator"):
            reached[key] = max(mark, reached.get(key, mark))
        yield trial, (sum(seconds for key, last in reached.items() for mark, seconds in marks[key].items() if mark <= last), rest)


def _split(key: str) -> tuple[str, float]:
    """Splits the key of a mark into that of the generator and its steps."""
    generator, slash, steps = key.rpartition("/")
    return (generator, float(steps)) if slash and steps.isdigit() else (key, 0.0)


def _generators(earlier: EarlierRun, trial: int) -> list[str]:
    """Lists the keys of a trial's generator stages."""
    return list(dict.fromkeys(str(stage["key"]) for stage in earlier.stages.get(trial, []) if stage["stage"] == "generator"))


def _is_stored(store: Store, key: str) -> bool:
    stage, _, name = f"generator/{key}".rpartition("/")
    return store.lookup(stage, name) is not None


def _line(earlier: EarlierRun, carried: Sequence[Remembered], used: Sequence[Remembered], dropped: Counter[str], why_not: Sequence[str]) -> str:
    """Says in a sentence what was learned from a run."""
    if not used:
        told = f"{earlier.name}: nothing was learned, because none of its trials can be a point of this study"
    elif why_not:
        points = f"the settings of {len(used)} of its best trials are tried first"
        told = f"{earlier.name}: {points}, but its numbers are not used ({'; '.join(why_not[:REASONS])})"
    else:
        stored = len({frozenset(item.keys) for item in used if item.keys})
        told = f"{earlier.name}: learned from {len(used)} trials as they are (same images, features and code)"
        told += f", {stored} of their generators are in the store" if stored else ""
    if dropped:
        reasons = [f"{count} because {reason}" for reason, count in dropped.most_common(REASONS)]
        more = sum(dropped.values()) - sum(count for _, count in dropped.most_common(REASONS))
        told += f"; {sum(dropped.values())} dropped: {', '.join(reasons)}{f', {more} for other reasons' if more else ''}"
    return f"{told}."
