"""A run as the report sees it: its study, its environment and its trials, read from the folder. Called by the page, the tables and the console."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import yaml

from reports.records import ENDED, Asked, Record, RecordError, read_record, trial_folder, trial_numbers

COST_LABELS = {
    "generator_params_m": "generator parameters (M)",
    "generator_gmadds": "generator multiply-adds (G)",
    "generator_ms_per_image": "generator ms per image",
    "generator_s": "generator training (s)",
    "generator_peak_memory_gib": "generator peak memory (GiB)",
    "inspector_params_m": "inspector parameters (M)",
    "inspector_gmadds": "inspector multiply-adds (G)",
    "inspector_ms_per_image": "inspector ms per image",
    "inspector_images_per_second": "pictures judged per second",
    "inspector_ms_p50": "median ms per picture",
    "inspector_ms_p95": "95th percentile of ms per picture",
    "inspector_s": "inspector training (s)",
    "inspector_peak_memory_gib": "inspector peak memory (GiB)",
    "trial_s": "time of all stages (s)",
    "peak_memory_gib": "peak memory (GiB)",
    "acceptance_rate": "acceptance rate of the filter",
}
SPLIT_WORDS = {"val": "validation", "test": "test"}
SCORE_WORDS = {
    "macro_f1": "macro-F1",
    "fid": "FID",
    "iou": "IoU",
    "iou_pooled": "IoU of all pixels",
    "iou_classes": "IoU, mean over classes",
    "ap": "AP",
    "auc": "AUC",
    "f": "F",
    "fp": "false positives",
    "fn": "false negatives",
    "texture_spectrum": "texture, spectrum (dB)",
    "texture_lbp": "texture, LBP",
    "texture_glcm": "texture, GLCM",
    "seen": "accuracy on seen classes",
    "unseen": "accuracy on unseen classes",
    "zsl_accuracy": "accuracy among unseen classes alone",
    "unseen_found": "share of unseen classes' images found",
    "auc_unseen": "AUROC of seen against unseen",
    "alarm_harmonic_mean": "harmonic mean of seen and unseen found",
    "reading_error": "reading error of the class embedding",
}
"""Names of scores that people write otherwise than with their words."""
FEATURE_WORDS = {"kid": "KID", "frechet": "Fréchet distance", "memorisation": "memorised share"}
EXTRACTOR_WORDS = {
    "inception": "standard Inception features",
    "inspector": "features of an inspector trained on the real training images",
    "random": "features of a fixed random network",
}


class Trial(NamedTuple):
    """One trial: what was asked, and how it ended where it has."""

    asked: Asked
    record: Record | None

    @property
    def number(self) -> int:
        return self.asked.trial

    @property
    def state(self) -> str:
        return self.record.state if self.record else "running"

    @property
    def family(self) -> str | None:
        """Generator family; none for a baseline on real images alone."""
        part = self.asked.recipe.get("generator")
        return part["family"] if part else None

    @property
    def inspector(self) -> str | None:
        """Name of the inspector, with what is done to pictures before it sees them where they are not taken as they are."""
        part, preprocess = self.asked.recipe.get("inspector"), self.asked.recipe.get("preprocess") or {}
        if not part:
            return None
        cut = f", patches {preprocess['grid']}" if preprocess.get("kind") == "patches" else ""
        return f"{part['kind']}{cut}{', without borders' if not cut and preprocess.get('borders') == 'remove' else ''}"

    @property
    def searched(self) -> bool:
        """Whether the trial counts for the front: a suggestion of the search or a baseline, not a confirmation."""
        return self.asked.move != "confirm"

    @property
    def raced(self) -> bool:
        """Whether the trial is a confirmation on validation alone, before the test split is read for who is left."""
        return not self.searched and self.asked.recipe.get("judge") is False

    @property
    def seeds(self) -> int:
        """Number of units, each with seeds of its own."""
        return len(self.asked.recipe.get("units") or [None])

    def score(self, name: str) -> float | None:
        """Gives a score of a complete trial; none where it has no meaning."""
        return self.record.scores.get(name) if self.record and self.record.state == "complete" else None

    def title(self) -> str:
        """Names the trial in a line: `#12 dcgan + resnet18`."""
        kind = self.family or f"real only ({self.asked.params.get('baseline', 'plain')})"
        return f"#{self.number} {kind} + {self.inspector}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Everything the report is made from."""

    folder: Path
    study: Mapping[str, Any]
    """The resolved study file; empty where there is none."""
    environment: Mapping[str, Any]
    trials: tuple[Trial, ...]
    objectives: Mapping[str, str]
    """Score name -> `maximize` or `minimize`; the first one is the headline."""
    ended: str | None = None
    """Why the search ended before its trials were through; none where it did not."""
    earlier: "Run | None" = None
    """The run that this one is compared with, class by class, where one is named and there."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def running(self) -> bool:
        """Whether a trial was asked that has not finished."""
        return any(trial.record is None for trial in self.trials)

    @property
    def wanted(self) -> int | None:
        """How many trials the study asks for; none where that is not recorded."""
        search = self.study.get("search")
        value = self.environment.get("trials") or (search.get("trials") if isinstance(search, Mapping) else None)
        return int(value) if value else None

    def complete(self, *, searched: bool = True) -> list[Trial]:
        """Lists complete trials, by default those that count for the front; else those that were confirmed on test."""
        return [trial for trial in self.trials if trial.state == "complete" and trial.searched == searched and not trial.raced]

    def scored(self) -> list[Trial]:
        """Lists the searched trials that have every objective: what a front can be drawn from."""
        return [trial for trial in self.complete() if all(trial.score(name) is not None for name in self.objectives)]

    @property
    def limits(self) -> Mapping[str, Mapping[str, float]]:
        """Gives the bounds that trials must keep: score -> `{"at_most": bound}` or `{"at_least": bound}`."""
        found: Mapping[str, Mapping[str, float]] = self.environment.get("limits", {})
        return found

    def broken(self, trial: Trial) -> list[str]:
        """Says which limits a complete trial breaks, each in a few words; a score that has no meaning for it breaks none."""
        told = []
        for score, bound in self.limits.items():
            value = trial.score(score)
            if value is None:
                continue
            if "at_most" in bound and value > bound["at_most"]:
                told.append(f"{label(score)} {show(value, score)} is above {show(bound['at_most'], score)}")
            if "at_least" in bound and value < bound["at_least"]:
                told.append(f"{label(score)} {show(value, score)} is below {show(bound['at_least'], score)}")
        return told

    def keeping(self, trials: Iterable[Trial]) -> list[Trial]:
        """Keeps the trials that break no limit: only these may be best, lie on the front or be taken."""
        return [trial for trial in trials if not self.broken(trial)]

    def best_baseline(self, score: str) -> Trial | None:
        """Finds the real-only trial that is best in one score."""
        baselines = [trial for trial in self.keeping(self.complete()) if trial.asked.move == "baseline"]
        rated = [(value, trial) for trial in baselines if (value := trial.score(score)) is not None]
        return max(rated, key=lambda pair: better(pair[0], self.objectives.get(score, "maximize")))[1] if rated else None

    def floor(self, score: str) -> float | None:
        """Gives the distance between two halves of the real images that a distance must be read against."""
        if (value := self.environment.get("floor", {}).get(score)) is not None:
            return float(value)
        base, dot, cls = score.partition(".")
        name = f"{base}_floor{dot}{cls}"
        found = [value for trial in self.trials if trial.record and (value := trial.record.scores.get(name)) is not None]
        return found[0] if found else None

    def split_size(self, split: str) -> int | None:
        """Counts the images of a split; none where that is not recorded."""
        counts = self.environment.get("split_counts", {})
        return sum(int(row.get(split, 0)) for row in counts.values()) if counts else None

    @property
    def zero_shot_folds(self) -> list[Mapping[str, Any]]:
        """Gives the sets of unseen classes, with what they were scored on; empty in other tasks, and where that is not recorded."""
        return list(self.environment.get("zero_shot", {}).get("folds", []))

    def conditions(self, split: str) -> str:
        """Says in a line what a number of this split holds for."""
        if self.zero_shot_folds:
            return self._zero_shot_conditions(split)
        size, train = self.split_size(split), self.split_size("train")
        protocol = self.environment.get("protocol")
        told = [f"{SPLIT_WORDS[split]} split{f' of {size} images' if size else ''}", f"{train} real training images" if train else ""]
        leak = " (near-copies of a picture may stand in both)" if protocol == "paper" else ""
        return ", ".join([*filter(None, told), f"{protocol} protocol{leak}" if protocol else "protocol not recorded"])

    def _zero_shot_conditions(self, split: str) -> str:
        """Says it for seen and unseen classes: validation pretends that some seen classes are unseen, test has the truly unseen ones."""
        folds = self.zero_shot_folds
        scored, trained = (round(sum(fold["images"][split][name] for fold in folds) / len(folds)) for name in ("scored", "trained"))
        sets = pretended_sets(folds[0]) if split == "val" else [folds[0]["unseen"]]
        listed = "; ".join(", ".join(held) for held in sets)
        if len(folds) > 1:
            who = f"{len(folds)} sets of unseen classes in turn"
            who += f", for each of them {len(sets)} sets of others pretended unseen" if len(sets) > 1 else ""
        elif len(sets) > 1:
            who = f"means over {len(sets)} sets of classes pretended unseen in turn: {listed}"
        else:
            who = f"{'pretended ' if split == 'val' else ''}unseen: {listed}"
        told = f"{SPLIT_WORDS[split]} split of {scored} images, {who}, {trained} real training images of the other classes"
        if split == "val":
            told += " (of truly unseen classes none is read)"
        protocol = self.environment.get("protocol")
        return f"{told}, {protocol} protocol" if protocol else f"{told}, protocol not recorded"


def pretended_sets(known: Mapping[str, Any]) -> list[list[str]]:
    """Gives the sets of classes that a fold or a unit pretended to be unseen, one for each draw.

    Args:
        known: a fold, or a unit's conditions; runs from before there were several draws wrote their one set as a plain list.
    """
    held = list(known.get("pretended_unseen", []))
    return [held] if held and isinstance(held[0], str) else [list(classes) for classes in held]


def better(value: float, direction: str) -> float:
    """Turns a value so that more is better."""
    return value if direction == "maximize" else -value


def label(score: str) -> str:
    """Names a score for people: `val_kid_inspector.scratches` becomes `validation KID (inspector features), scratches`."""
    if score in COST_LABELS:
        return COST_LABELS[score]
    split, _, rest = score.partition("_")
    if split not in SPLIT_WORDS:
        return score.replace("_", " ")
    head, _, cls = rest.partition(".")
    base, _, group = head.partition("@")
    floor, oracle = base.endswith("_floor"), base.endswith("_oracle")
    base = base.removesuffix("_floor").removesuffix("_oracle")
    kind, _, extractor = base.partition("_")
    if kind in ("kid", "frechet", "memorisation") and extractor:
        base = f"{FEATURE_WORDS[kind]} ({extractor} features)"
    elif base.startswith("inception_score_"):
        told_by = base.removeprefix("inception_score_")
        base = f"Inception Score (classes of the {told_by.removesuffix('_real')}){', real images' if base.endswith('_real') else ''}"
    else:
        base = score_words(base)
    told = [f"{SPLIT_WORDS[split]} {base}{' floor' if floor else ''}{' at its own best threshold' if oracle else ''}", unquote(group), cls]
    return ", ".join(filter(None, told))


def score_words(base: str) -> str:
    """Names a score without its split as people write it."""
    return SCORE_WORDS.get(base, base.replace("_", " "))


def is_distance(score: str) -> bool:
    """Tells whether a score is a distance between image sets or a share of copies, which needs its floor beside it."""
    return any(f"_{base}" in f"_{score}" for base in ("kid", "frechet", "fid", "texture", "memorisation"))


def show(value: float | None, score: str = "") -> str:
    """Writes a value at the precision that its score deserves."""
    if value is None:
        return "–"
    if score in COST_LABELS or is_distance(score):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:.3f}"


def read_run(folder: Path) -> Run:
    """Reads a run from its folder, as far as it has come.

    Raises:
        RecordError: the folder is no run, or a file in it is damaged.
    """
    if not folder.is_dir():
        raise RecordError(f"{folder}: no such run.\n  `tundish runs` lists the runs there are.")
    study = _read_study(folder / "study.yaml")
    environment = _read_environment(folder / "environment.json")
    trials = []
    for number in trial_numbers(folder):
        place = trial_folder(folder, number)
        # A trial's folder without asked.json is one that was being asked when the driver died; it will be asked again.
        if (asked := read_record(place, Asked)) is not None:
            trials.append(Trial(asked, read_record(place, Record)))
    objectives = _objectives(study.get("objectives"), environment)
    ended = _read_environment(folder / ENDED).get("reason")
    return Run(folder=folder, study=study, environment=environment, trials=tuple(trials), objectives=objectives, ended=ended)


def _read_environment(path: Path) -> dict[str, Any]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise RecordError(f"{path}: not readable as JSON ({error}).\n  Delete it; the next `tundish run` writes it anew.") from error
    return plain if isinstance(plain, dict) else {}


def _read_study(path: Path) -> dict[str, Any]:
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise RecordError(
            f"{path}: not readable as YAML ({error}).\n  It is the run's own copy of the study; put it back from your study file."
        ) from error
    return plain if isinstance(plain, dict) else {}


def _objectives(plain: Any, environment: Mapping[str, Any]) -> dict[str, str]:
    """Reads the objectives of a study file, a mapping or a list, with the aliases of the study's extractor resolved.

    The order is that of the study file, whose first objective is the headline; files of records sort their keys.
    """
    pairs: list[tuple[str, str]] = list(plain.items()) if isinstance(plain, Mapping) else [(item["score"], item["direction"]) for item in plain or []]
    known: dict[str, str] = environment.get("objectives", {})
    extractor = environment.get("extractor")
    names = {"val_kid": f"val_kid_{extractor}", "val_frechet": "val_fid" if extractor == "inception" else f"val_frechet_{extractor}"}
    told = {names.get(score, score) if extractor else score: direction for score, direction in pairs}
    return {name: direction for name, direction in told.items() if name in known or not known} | known or {"val_accuracy": "maximize"}
