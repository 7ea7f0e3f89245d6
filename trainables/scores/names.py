"""Names of scores and costs, with their directions and units. Imports nothing heavy: a study file is checked against these without torch.

A full name is `<split>_<base>[_<extractor>][@<group>][.<class>]`: `val_accuracy`, `val_recall.scratches`, `val_kid_inspector`, `test_fid`,
`val_iou@small`, `val_recall@line=3.scratches`. The precision and recall of images are called those of their manifold:
`val_recall_inspector.scratches` would be taken for what the inspector found of the scratches.

A group stands before the class, so that what comes before the first point of a name never holds a class, however a class is called. It is a defect
size (`SIZE_GROUPS`) or `<column>=<value>` of a column that the user gave, in which every character that could be mistaken is written as %XX.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

Direction = Literal["maximize", "minimize"]

SPLITS = ("val", "test")
EXTRACTORS = ("inception", "inspector", "random")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """One cost of a trial."""

    unit: str
    says: str
    """What it is, in a few words."""
    direction: Direction = "minimize"


COSTS = {
    "generator_params_m": Cost(unit="M", says="parameters of the generator that draws, in millions"),
    "generator_gmadds": Cost(unit="G", says="multiply-adds to draw one image, in thousands of millions"),
    "generator_ms_per_image": Cost(unit="ms", says="time to draw one image"),
    "generator_s": Cost(unit="s", says="time to train the generator up to its mark, by whoever did"),
    "generator_peak_memory_gib": Cost(unit="GiB", says="most memory held while the generator trained"),
    "inspector_params_m": Cost(unit="M", says="parameters of the inspector, in millions"),
    "inspector_gmadds": Cost(unit="G", says="multiply-adds to judge one image, in thousands of millions"),
    "inspector_ms_per_image": Cost(unit="ms", says="time to judge one image, images coming one by one"),
    "inspector_images_per_second": Cost(
        unit="/s", says="whole pictures judged a second in batches, from decoded pixels: borders, resizing, cutting, verdict", direction="maximize"
    ),
    "inspector_ms_p50": Cost(unit="ms", says="median time from a picture's decoded pixels to the verdict, pictures coming one by one"),
    "inspector_ms_p95": Cost(unit="ms", says="time that 95 of 100 such pictures stay within"),
    "inspector_s": Cost(unit="s", says="time to train the inspector, by whoever did"),
    "inspector_peak_memory_gib": Cost(unit="GiB", says="most memory held while the inspector trained"),
    "trial_s": Cost(unit="s", says="time of all stages of the trial, those found ready too"),
    "acceptance_rate": Cost(unit="", says="share of drawn images that the filter let through", direction="maximize"),
}
"""What a trial cost. Each may be an objective."""

CLASSIFICATION: dict[str, Direction] = dict.fromkeys(("accuracy", "macro_f1", "macro_precision", "macro_recall", "auc"), "maximize")
"""Of an inspector that names classes; `auc` only where there are two."""
PER_CLASS: dict[str, Direction] = dict.fromkeys(("recall", "precision", "f1"), "maximize")
SEGMENTATION: dict[str, Direction] = dict.fromkeys(("iou", "iou_pooled", "iou_classes", "pixel_accuracy"), "maximize")
"""`iou` is the mean over images, `iou_pooled` that of all pixels together, `iou_classes` the mean over background and defect classes."""
SEGMENTATION_PER_CLASS: dict[str, Direction] = {"iou": "maximize"}
OPERATING: dict[str, Direction] = dict.fromkeys(("sensitivity", "specificity"), "maximize")
"""At the threshold that reaches the study's target on validation: of whatever inspector tells defective images from others."""
DETECTION: dict[str, Direction] = {
    "ap": "maximize",
    "average_precision": "maximize",
    "auc": "maximize",
    "f": "maximize",
    "fp": "minimize",
    "fn": "minimize",
    **OPERATING,
}
"""`ap` is the SegDecNet papers' area by trapezoids, `average_precision` scikit-learn's sum of steps; `f`, `fp` and `fn` are at the threshold of the
best F on validation."""
ORACLE = "_oracle"
"""Ends the base of a score whose threshold was chosen on the very split that it is measured on (systems.md 2.8); on validation all are such."""
ZERO_SHOT: dict[str, Direction] = {
    **dict.fromkeys(("seen", "unseen", "harmonic_mean", "zsl_accuracy", "auc_unseen", "unseen_found", "alarm_harmonic_mean"), "maximize"),
    "reading_error": "minimize",
}
"""`unseen_found` counts an image of an unseen class as right under whichever unseen name: all that a threshold of dissimilarity can be held to.
`alarm_harmonic_mean` is that of it and `seen`; of a threshold, both are `unseen` and `harmonic_mean`. `reading_error` says whether a generator has
learned to read class vectors at all, which dissimilarity rests on; a baseline has none to learn."""
TASK_SCORES: dict[str, dict[str, Direction]] = {
    # Where defect-free images are a class.
    "classify": {**CLASSIFICATION, **OPERATING},
    "segment": SEGMENTATION,
    "detect": DETECTION,
    "zero_shot": ZERO_SHOT,
}
PATCH_SCORES: dict[str, dict[str, Direction]] = {"classify": {"patch_accuracy": "maximize"}, "detect": {"patch_ap": "maximize"}}
"""Of patches, each for itself, where pictures were cut; all other scores are of whole pictures."""
TASK_SCORES_PER_CLASS: dict[str, dict[str, Direction]] = {"classify": PER_CLASS, "segment": SEGMENTATION_PER_CLASS, "detect": {}, "zero_shot": {}}

CORRUPTIONS = ("blur", "noise", "salt_and_pepper", "brightness", "scratches", "gradient")
"""What images are disturbed by; `val_robustness.<corruption>` is the area under the curve of the task's first score over severities 0 to 5."""
ROBUSTNESS = "robustness"
FIRST_SCORES = {task: next(iter(scores)) for task, scores in TASK_SCORES.items()}
"""What robustness follows as images get worse: accuracy, IoU, AP."""

DIAGNOSTICS = ("tstr", "trts")
"""Train on synthetic, test on real; train on real, test on synthetic. `val_tstr_<score>` with the task's first score, on validation alone."""

TEXTURES = ("texture_spectrum", "texture_lbp", "texture_glcm")
"""Distances between image sets that need no extractor, in the order of `scores.textures.TextureDistances`."""

SIZE_GROUPS = ("small", "medium", "large")
"""Thirds of the defective images of a split by the area of their defects."""


MMD = "mmd_inspector"
"""Kernel distance between synthetic and real features in the features of the trial's own inspector, where the generator makes those: the number that
KID is of images. Not of the study's extractor, whatever that is."""


def distance_names(extractor: str) -> tuple[str, str]:
    """Gives the names of KID and Frechet distance with an extractor's features; only the standard Inception features may be called FID.

    Raises:
        KeyError: no such extractor.
    """
    if extractor not in EXTRACTORS:
        raise KeyError(extractor)
    return (f"kid_{extractor}", "fid" if extractor == "inception" else f"frechet_{extractor}")


def overlap_names(extractor: str) -> tuple[str, str, str, str]:
    """Gives the names of precision, recall, density and coverage with an extractor's features, in the order of `scores.neighbours.Overlap`.

    Raises:
        KeyError: no such extractor.
    """
    if extractor not in EXTRACTORS:
        raise KeyError(extractor)
    return (f"manifold_precision_{extractor}", f"manifold_recall_{extractor}", f"density_{extractor}", f"coverage_{extractor}")


def image_score_names(extractor: str) -> dict[str, Direction]:
    """Gives what is measured on images, over all classes and class by class: distances and overlap."""
    directions: dict[str, Direction] = dict.fromkeys(distance_names(extractor), "minimize")
    directions.update(dict.fromkeys(overlap_names(extractor), "maximize"))
    return directions


def set_score_names(extractor: str, *, task: str = "classify", split: str = "val") -> dict[str, Direction]:
    """Gives what `image_score_names` does not: texture distances, memorisation, and the Inception Score of extractors that classify.

    Memorisation is about training images, with validation images as its floor, and the Inception Score about no real image at all: of the test split
    there are texture distances alone. All but the Inception Score are measured class by class too.

    Raises:
        KeyError: no such extractor.
    """
    if extractor not in EXTRACTORS:
        raise KeyError(extractor)
    directions: dict[str, Direction] = dict.fromkeys(TEXTURES, "minimize")
    if split == "test":
        return directions
    directions[f"memorisation_{extractor}"] = "minimize"
    # The random network names no classes, and inspectors of pixels and of defects as such give no probabilities that sum to 1.
    classifies = extractor == "inception" or (extractor == "inspector" and task == "classify")
    return directions | {f"inception_score_{extractor}": "maximize"} if classifies else directions


def class_set_names(extractor: str, *, task: str = "classify", split: str = "val") -> dict[str, Direction]:
    """Gives those of `set_score_names` that are measured class by class."""
    return {name: way for name, way in set_score_names(extractor, task=task, split=split).items() if not name.startswith("inception_score")}


def diagnosed_score(task: str) -> str:
    """Gives the base of the score that diagnostics are taken by: the task's first."""
    return next(iter(TASK_SCORES[task]))


def diagnostic_names(task: str) -> dict[str, Direction]:
    """Gives the full names of what diagnostics measure: on validation alone, and not of unseen classes, which have no real images to train on."""
    score = diagnosed_score(task)
    return {} if task == "zero_shot" else {f"val_{kind}_{score}": TASK_SCORES[task][score] for kind in DIAGNOSTICS}


def robustness_names(split: str = "val") -> dict[str, Direction]:
    """Gives the full names of the areas under the robustness curves."""
    return dict.fromkeys((f"{split}_{ROBUSTNESS}.{corruption}" for corruption in CORRUPTIONS), "maximize")


def score_names(
    extractor: str, *, classes: Iterable[str] = (), split: str = "val", task: str = "classify", groups: Iterable[str] = ()
) -> dict[str, Direction]:
    """Lists every score and cost that a trial of a study can have, with the direction that is better.

    Args:
        extractor: the resolved extractor.
        classes: names of the classes, for the scores per class.
        split: `val` for what a search may use, `test` for what is read once at its end. Costs are named for `val` only, oracles for `test` only.
        task: what the inspector does: a key of `TASK_SCORES`.
        groups: groups of images (`SIZE_GROUPS`, `column_group`), for which every score of the task is listed too.

    Raises:
        KeyError: no such extractor or task.
    """
    whole, per_class = TASK_SCORES[task], TASK_SCORES_PER_CLASS[task]
    images: dict[str, Direction] = {**image_score_names(extractor), MMD: "minimize"}
    # Of unseen classes there are features alone, and nothing is disturbed on the way to them.
    sets = set_score_names(extractor, task=task, split=split) if task != "zero_shot" else {}
    names: dict[str, Direction] = {f"{split}_{base}": direction for base, direction in (whole | images | sets).items()}
    for cls in classes:
        own = per_class | images | (class_set_names(extractor, task=task, split=split) if sets else {})
        names |= {f"{split}_{base}.{cls}": direction for base, direction in own.items()}
    names |= {f"{split}_{base}": way for base, way in PATCH_SCORES.get(task, {}).items()}
    if task != "zero_shot":
        names |= robustness_names(split)
    if task == "detect" and split == "test":
        names |= {f"{split}_{base}{ORACLE}": way for base, way in whole.items() if base not in ("ap", "average_precision", "auc")}
    bases = {f"{split}_{base}" for base in {*whole, *per_class}}
    names |= {grouped(name, group): way for group in groups for name, way in list(names.items()) if name.partition(".")[0] in bases}
    if split == "val":
        names |= diagnostic_names(task)
        names |= {name: cost.direction for name, cost in COSTS.items()}
    return names


class ScoreName(NamedTuple):
    """The parts of a score's full name; empty where it has none."""

    split: str
    base: str
    """With the extractor, where one measured."""
    group: str = ""
    cls: str = ""
    """The class; of a robustness score, the corruption."""


def parse_name(name: str) -> ScoreName:
    """Takes a score's full name apart; a cost has no split."""
    head, _, cls = name.partition(".")
    head, _, group = head.partition("@")
    split, _, base = head.partition("_")
    return ScoreName(split, base, group, cls) if split in SPLITS else ScoreName("", head, group, cls)


def column_group(column: str, value: str) -> str:
    """Names a group of images by a user's column: `line=3`, and `line=3%2E5` for the value 3.5, whose point would be taken for that of a class."""
    # `quote` leaves points alone, and nothing else that a name's grammar uses.
    return "=".join(quote(part, safe=" ").replace(".", "%2E") for part in (column, value))


def group_label(group: str) -> str:
    """Gives the group as people wrote it: `line=3.5`."""
    return unquote(group)


def grouped(name: str, group: str) -> str:
    """Gives the name of a score for one group of images: `val_iou.scratches` becomes `val_iou@small.scratches`."""
    base, point, cls = name.partition(".")
    return f"{base}@{group}{point}{cls}"


def full_name(name: str, extractor: str) -> str:
    """Resolves an alias: `val_kid` and `val_frechet` mean those of the study's extractor; any other name is given back as it is."""
    kid, frechet = distance_names(extractor)
    aliases = {f"{split}_{base}": f"{split}_{full}" for split in SPLITS for base, full in (("kid", kid), ("frechet", frechet))}
    base, dot, cls = name.partition(".")
    return f"{aliases.get(base, base)}{dot}{cls}"


def unit_of(name: str) -> str:
    """Gives the unit of a score or cost; empty where it has none."""
    return COSTS[name].unit if name in COSTS else ""
