"""Synthetic images as whole sets: their distances from real ones, what is learnt by heart, how surely they are named, each beside its reference."""

from typing import NamedTuple

from reports.run import Run, Trial, label, show

MOST = 12
"""Most trials in the table: the confirmed ones first, then the front's."""
OPENINGS = ("kid", "fid", "frechet", "texture", "memorisation", "inception_score")
REFERENCES = ("_floor", "_real")
"""What ends the names of numbers that are read against, not compared."""


class Row(NamedTuple):
    """One trial."""

    trial: Trial
    values: list[str]


class SetTable(NamedTuple):
    """What is measured, of real images and of each trial."""

    columns: list[str]
    """Headings."""
    references: list[str]
    """The same numbers between real images: halves of the split for distances, held-out images for memorisation, the split itself for the score."""
    rows: list[Row]
    conditions: str


def set_table(run: Run, front: list[int]) -> SetTable | None:
    """Makes the table on validation, where every trial of a search is measured; none where no trial has a set score beside its distances."""
    made = {trial.number: trial for trial in run.trials if trial.family and trial.state == "complete" and not trial.raced}
    names = list(dict.fromkeys(name for trial in made.values() if trial.record for name in trial.record.scores if _is_of_sets(name)))
    if not any(name.startswith(("val_texture", "val_memorisation")) for name in names):
        return None
    names.sort(key=lambda name: [name.removeprefix("val_").startswith(opening) for opening in OPENINGS].index(True))
    confirmed = [trial.number for trial in made.values() if not trial.searched]
    order = [number for number in dict.fromkeys([*front, *confirmed, *made]) if number in made][:MOST]
    references = [value if (value := run.floor(name)) is not None else _first(made, f"{name}_real") for name in names]
    rows = [Row(made[number], [show(made[number].score(name), name) for name in names]) for number in order]
    shown = [label(name).removeprefix("validation ") for name in names]
    return SetTable(shown, [show(value, name) for value, name in zip(references, names, strict=True)], rows, _conditions(run, made))


def _is_of_sets(name: str) -> bool:
    """Whether a score is one over all classes, measured on sets of images."""
    rest = name.removeprefix("val_")
    return rest != name and rest.startswith(OPENINGS) and "." not in rest and not rest.endswith(REFERENCES)


def _first(made: dict[int, Trial], name: str) -> float | None:
    return next((value for trial in made.values() if (value := trial.score(name)) is not None), None)


def _conditions(run: Run, made: dict[int, Trial]) -> str:
    told = next((trial.record.conditions for trial in made.values() if trial.record and "textures_of_a_class_at_most" in trial.record.conditions), {})
    parts = [run.conditions("val"), "means over classes"]
    if told:
        parts.append(f"textures of at most {told['textures_of_a_class_at_most']} images of a class on either side")
        parts.append(f"memorisation of at most {told['memorisation_of_a_class_at_most']}, against all training images of their class")
    return ", ".join(parts)
