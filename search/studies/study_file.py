"""Reads a study file into a `Study`, with every problem at once, and compares it with the one a run was begun with."""

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.studies import checks, recipes, telling
from search.studies.bounds import read_limits, target_problems
from search.studies.document import DocumentError, read_document
from search.studies.ladders import ladder_problems
from search.studies.objectives import Objective, direction_of, mixed_problem, objective_problem
from search.studies.sampling import WHY_UNSAFE, is_unsafe, sampler_problem
from search.studies.settings import Resolved, Resources, ScoreSettings, SearchSettings, Storage, possible_extractors
from search.studies.study import Study, StudyError
from spaces import preprocessing
from spaces.domains import Domain, SpaceError, nearest
from spaces.generators import GENERATOR_SPACES
from spaces.inspectors import inspector_spaces, open_names, task_of
from spaces.space import Space, flatten
from spaces.whole import whole_space
from trainables.datasets.settings import DataSettings
from trainables.errors import SettingsError
from trainables.scores.names import full_name
from trainables.settings import from_plain
from trainables.tasks import TASKS, TaskName
from trainables.zero_shot.settings import ZeroShotPart

SECTIONS = {
    "data": DataSettings,
    "scores": ScoreSettings,
    "zero_shot": ZeroShotPart,
    "search": SearchSettings,
    "resources": Resources,
    "storage": Storage,
    "resolved": Resolved,
}
"""Sections that are plain settings."""
NAMES = ("study", "seed", "task", "data", "space", "objectives", "limits", "scores", "zero_shot", "search", "resources", "storage", "resolved")

OBJECTIVES: dict[TaskName, tuple[str, ...]] = {
    "classify": ("val_macro_f1", "val_kid"),
    "segment": ("val_iou", "val_kid"),
    "detect": ("val_ap", "val_kid"),
    "zero_shot": ("val_harmonic_mean",),
}
"""What a study of each task improves unless it says otherwise."""

KINDS: dict[TaskName, tuple[str, ...]] = {
    "classify": ("resnet18", "mobilenet_v2", "fcn"),
    "segment": ("deeplabv3plus",),
    "detect": ("segdecnet",),
    "zero_shot": ("resnet18",),
}
"""Inspectors of a study that names none: each has baselines of its own, so that all there are would leave little to search."""

# Studies that do not say otherwise vary the fraction alone: the other kinds say the same in other words.
AMOUNT_KINDS = ("per_class", "multiple", "top_up_to", "fraction")


def load_study(path: str | Path, sets: Sequence[str] = (), *, thorough: bool = False) -> Study:
    """Reads a study file.

    Args:
        path: the file.
        sets: overrides `a.b.c=value`, as given to `--set`.
        thorough: True also asks the families, inspectors and data sets themselves, which imports torch.

    Raises:
        StudyError: the file cannot be read, or has problems; all of them, each with its place.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        cure = "`tundish init FOLDER` writes one for a folder of images; `tundish preset list` lists ready ones."
        raise StudyError(f"{path}: no such study file.\n  {cure}") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: not a text file (UTF-8), so not a study file.") from error
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return parse_study(text, str(path), sets, thorough=thorough)


def parse_study(text: str, name: str, sets: Sequence[str] = (), *, thorough: bool = False) -> Study:
    """Reads the text of a study file; `name` is what messages call it.

    Raises:
        StudyError: problems; all of them, each with its place.
    """
    try:
        document = read_document(text, name, sets)
    except DocumentError as error:
        raise StudyError(str(error)) from error
    problems: list[tuple[str, str]] = []
    plain = document.plain
    for key in plain:
        if key not in NAMES:
            problems.append((key, f"no such section; {nearest(key, NAMES)}"))
    settings = {section: _section(section, kind, plain.get(section), problems) for section, kind in SECTIONS.items()}
    name_, seed = _name_and_seed(plain, problems)
    task = _task(plain.get("task", "classify"), problems)
    scores, search = settings["scores"] or ScoreSettings(), settings["search"] or SearchSettings()
    whole = base_space(search.every_mark, _open_names([plain.get("space"), list(search.tries)]), task=task)
    space = _space(plain.get("space"), whole, task, settings["data"], problems)
    mixed = space is not None and len(recipes.preprocess_points(space)) > 1
    objectives = _objectives(plain.get("objectives"), scores, task, problems, mixed=mixed)
    limits = read_limits(plain.get("limits"), scores, task, problems, mixed=mixed)
    problems += target_problems(search.budget.stops.target, scores, task, mixed=mixed)
    if task == "zero_shot" and plain.get("zero_shot") is None:
        problems.append(("zero_shot", "missing: which classes are unseen, for example unseen: [class_9, class_10]"))
    elif task != "zero_shot" and plain.get("zero_shot") is not None:
        problems.append(("zero_shot", f"only task: zero_shot has unseen classes, and this one is {task}"))
    if settings["data"] is not None:
        problems += checks.data_problems(settings["data"])
    if space is not None:
        problems += [("search.sampler", why)] if (why := sampler_problem(search.sampler, space)) else []
        problems += ladder_problems(search, space)
        for i, point in enumerate(search.tries):
            found = telling.of_point(dict(flatten(point, space.names())), settings["data"]) or point_problems(space, point)
            problems += [(f"search.try[{i}].{key}" if key else f"search.try[{i}]", text) for key, text in found]
    if not problems:
        assert space is not None and settings["data"] is not None
        study = Study(
            name=name_,
            seed=seed,
            task=task,
            data=settings["data"],
            space=space,
            objectives=objectives,
            limits=limits,
            scores=scores,
            zero_shot=settings["zero_shot"],
            search=search,
            resources=settings["resources"],
            storage=settings["storage"],
            resolved=settings["resolved"],
        )
        baselines = len(recipes.baseline_params(space, search.baselines))
        if search.trials <= baselines:
            problems.append(("search.trials", f"{search.trials} leaves nothing to search: the baselines alone are {baselines}"))
        elif thorough:
            problems = checks.problems(study)
            # A run that has begun keeps what it has learned, whatever became of the runs that it learned from.
            problems += [] if (study.run_folder / "study.yaml").exists() else _earlier_runs(study)
        if not problems:
            return study
    raise StudyError("\n".join(f"{document.where(dotted)}: {dotted}: {text}" for dotted, text in dict.fromkeys(problems)))


def base_space(marks: Sequence[float], named: Sequence[str] = (), *, task: TaskName | None = None) -> Space:
    """Gives everything that can vary in a study of a task, or of any; the inspectors of open names are those that are named."""
    wanted = "classify" if task == "zero_shot" else task
    inspectors = {name: tree for name, tree in inspector_spaces(named).items() if wanted in (None, task_of(name))}
    patches = task is None or task in preprocessing.TASKS
    return whole_space(GENERATOR_SPACES, inspectors, marks, masks=task in (None, "segment"), unseen=task in (None, "zero_shot"), patches=patches)


def known_settings(study: Study) -> dict[str, Domain]:
    """Lists every setting that a study of this task, with these inspectors, can have, by dotted name."""
    return base_space(study.search.every_mark, _open_names(list(study.inspectors)), task=study.task).names()


def _earlier_runs(study: Study) -> list[tuple[str, str]]:
    """Says what is wrong with the runs that a study is to learn from: (dotted name, text)."""
    from search.memory.carrying import warm_start_problems

    return warm_start_problems(study)


def _open_names(given: Any) -> list[str]:
    """Finds the inspectors of open names, `timm:<name>`, that plain data names, in values and in dotted names, in their order."""
    if isinstance(given, Mapping):
        return list(dict.fromkeys(name for pair in given.items() for item in pair for name in _open_names(item)))
    if isinstance(given, list | tuple):
        return list(dict.fromkeys(name for item in given for name in _open_names(item)))
    return open_names(given) if isinstance(given, str) else []


def point_problems(space: Space, point: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Says what is wrong with a point of `search.try`: settings that are unknown, out of the study's range, or do not apply."""
    try:
        space.defaults(dict(flatten(point, space.names())))
    except SpaceError as error:
        return list(error.problems)
    return []


def _section(section: str, kind: type, given: Any, problems: list[tuple[str, str]]) -> Any:
    """Reads one section of plain settings; None where it has problems, or is `resolved` and absent."""
    if kind is ZeroShotPart and isinstance(given, Mapping) and "unseen_ce" in given:
        problems.append((f"{section}.unseen_ce", "a search may vary it: space.zero_shot.unseen_ce"))
        return None
    if given is None:
        return None if kind in (Resolved, ZeroShotPart) else kind()
    if not isinstance(given, Mapping):
        problems.append((section, f"expected settings with values, found {given!r}"))
        return None
    if kind is SearchSettings:
        if is_unsafe(given.get("sampler")):
            problems.append((f"{section}.sampler", WHY_UNSAFE))
            given = {key: value for key, value in given.items() if key != "sampler"}
        # `try` is no name in Python.
        if "tries" in given:
            problems.append((f"{section}.tries", "no such setting; did you mean try?"))
        given = {("tries" if key == "try" else key): value for key, value in given.items() if key != "tries"}
    try:
        return from_plain(kind, given, where=section)
    except SettingsError as error:
        problems += [_dotted(re.sub(r"\btries\b", "try", line)) for line in str(error).splitlines()]
        return None


def _dotted(line: str) -> tuple[str, str]:
    """Splits a message `a.b: c: text` of the settings into the whole dotted name and the text."""
    parts = line.split(": ")
    dotted = parts[0]
    for i, part in enumerate(parts[1:-1], start=1):
        if not re.fullmatch(r"[a-z_]+", part):
            return dotted, ": ".join(parts[i:])
        dotted = f"{dotted}.{part}"
    return dotted, parts[-1]


def _name_and_seed(plain: Mapping[str, Any], problems: list[tuple[str, str]]) -> tuple[str, int]:
    name, seed = plain.get("study"), plain.get("seed", 0)
    if name is None:
        problems.append(("study", "missing: the name of the study, and of its run's folder"))
    elif not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        problems.append(("study", f"{name!r} is not a name of letters, digits, dots, dashes and underscores"))
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        problems.append(("seed", f"{seed!r} is not a whole number, 0 or more"))
    return str(name), seed if isinstance(seed, int) else 0


def _task(given: Any, problems: list[tuple[str, str]]) -> TaskName:
    for task in TASKS:
        if task == given:
            return task
    problems.append(("task", f"{given!r} is no task; {nearest(str(given), list(TASKS))}"))
    return "classify"


def _space(given: Any, whole: Space, task: TaskName, data: DataSettings | None, problems: list[tuple[str, str]]) -> Space | None:
    """Narrows the whole space by the study's section and by what goes without saying."""
    if given is not None and not isinstance(given, Mapping):
        problems.append(("space", f"expected settings with ranges, found {given!r}"))
        return None
    wanted = dict(flatten(given or {}, whole.names()))
    wanted.setdefault("inspector.kind", [kind for kind in KINDS[task] if kind in whole.tree["inspector.kind"].grid(0)])
    if task == "zero_shot":
        # No inspector knows a class without images, so that none could filter them.
        wanted.setdefault("synthesis.filter", "none")
    for name in [name for name in wanted if name.partition(".")[0] == "preprocess" and task not in preprocessing.TASKS]:
        del wanted[name]
        why = preprocessing.NO_PATCHES[task]
        problems.append((f"space.{name}", f"whole pictures are decided by their patches in tasks classify and detect; {why}"))
    if any(name.partition(".")[0] == "preprocess" for name in wanted):
        wanted.setdefault("preprocess.kind", "whole")
    else:
        whole = Space({name: domain for name, domain in whole.tree.items() if not name.startswith("preprocess.")})
    if "synthesis.amount" not in wanted:
        named = [kind for kind in AMOUNT_KINDS if f"synthesis.{kind}" in wanted]
        wanted["synthesis.amount"] = named or ["fraction"]
    kept, refused = telling.without_saying(wanted, whole.names(), data)
    problems += refused
    try:
        space = whole.narrow(kept)
    except SpaceError as error:
        problems += [(f"space.{name}", text) for name, text in error.problems]
        return None
    problems += telling.without_effect({name: value for name, value in kept.items() if name in wanted} if not refused else {}, space)
    if "preprocess.grid" in wanted and "preprocess.grid" not in space.names():
        problems.append(("space.preprocess.grid", "has no effect: preprocess.kind leaves patches out; add it there, or drop this line"))
    problems += checks.preprocess_problems(space)
    return space


def _objectives(given: Any, scores: ScoreSettings, task: TaskName, problems: list[tuple[str, str]], *, mixed: bool = False) -> tuple[Objective, ...]:
    """Reads `{score: direction}`, a list of scores, or a list of `{score, direction}`; `mixed` where pictures are preprocessed in several ways."""
    extractors = possible_extractors(scores)
    pairs: list[tuple[str, Any, Any]]
    if given is None:
        # Distances of whole pictures and of patches are of different images: none is smaller than the other.
        pairs = [("", score, None) for score in OBJECTIVES[task] if not (mixed and score == "val_kid")]
    elif isinstance(given, Mapping):
        pairs = [(f".{score}", score, direction) for score, direction in given.items()]
    elif isinstance(given, list):
        pairs = []
        for i, item in enumerate(given):
            if isinstance(item, Mapping) and set(item) <= {"score", "direction"} and "score" in item:
                pairs.append((f"[{i}]", item["score"], item.get("direction")))
            else:
                pairs.append((f"[{i}]", item, None))
    else:
        pairs = [("", given, None)]
    if not pairs:
        problems.append(("objectives", f"expected at least one score, for example {OBJECTIVES[task][0]}: maximize"))
    found = []
    for place, score, direction in pairs:
        if not isinstance(score, str):
            problems.append((f"objectives{place}", f"{score!r} is not the name of a score"))
        elif direction not in (None, "maximize", "minimize"):
            near = difflib.get_close_matches(str(direction), ["maximize", "minimize"], n=1)
            problems.append((f"objectives{place}", f"{direction!r} is not maximize or minimize" + (f"; did you mean {near[0]}?" if near else "")))
        elif text := objective_problem(score, direction, extractors, task, columns=scores.group_columns) or (
            mixed_problem(score, task) if mixed else None
        ):
            problems.append((f"objectives{place}", text))
        else:
            full = full_name(score, extractors[0]) if len(extractors) == 1 else score
            found.append(Objective(score=full, direction=direction_of(score)))
    names = [item.score for item in found]
    problems += [("objectives", f"{name} is given twice") for name in dict.fromkeys(names) if names.count(name) > 1]
    return tuple(found)


# These change where and how fast a study runs, not what it finds; a moved data set is known by its fingerprint, and so are moved attributes.
# So do what it may use, which decides when it ends, and who suggests: what was found stays comparable.
