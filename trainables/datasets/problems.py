"""Judging a surveyed data set: every problem with severity, examples and the cure. Packing refuses errors; `check` shows everything."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from trainables.datasets.copies.leaks import count_leaks, say_leaks
from trainables.datasets.listing import DEFECT_FREE, Problem, Severity, gather
from trainables.datasets.settings import SIZES_PX, DataSettings
from trainables.datasets.survey import Survey
from trainables.errors import DatasetError

FEW = 10
"""Fewer images of a class than this make its scores guesswork."""

LEAST = 3
"""Different pictures that a class needs: one each to train, validate and test."""

SQUEEZED = 1.25
"""Ratio of sides from which squeezing into a square is worth a word."""

SPECK_PX = 6.0
"""Defects that cover fewer pixels than this at the training size have as good as vanished."""


def problems_of(found: Survey, settings: DataSettings) -> list[Problem]:
    """Judges a survey; errors first, then warnings, then notes."""
    problems = [*found.listing.problems, *found.problems]
    for judge in (_classes, _sizes, _colour, _masks, _small_defects, _duplicates, _published_leak, _backgrounds):
        problems += judge(found, settings)
    order: tuple[Severity, ...] = ("error", "warning", "note")
    return sorted(problems, key=lambda problem: order.index(problem.severity))


def refuse(problems: Sequence[Problem], where: str) -> None:
    """Stops on errors.

    Raises:
        DatasetError: there are errors; the message lists all of them.
    """
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise DatasetError("\n".join([f"{where}: cannot be used as it is; nothing was packed.", *map(say, errors)]))


def say(problem: Problem) -> str:
    """Puts a problem into lines of text."""
    lines = [f"  {problem.severity}: {problem.what}" + (f" ({problem.count})" if problem.count > 1 else "")]
    lines += [f"    {example}" for example in problem.where]
    if problem.count > len(problem.where) > 0:
        lines.append(f"    and {problem.count - len(problem.where)} more")
    if problem.cure:
        lines.append(f"    Cure: {problem.cure}")
    return "\n".join(lines)


def _names(found: Survey, which: Callable[[int], bool]) -> list[str]:
    return [sample.name for i, sample in enumerate(found.samples) if which(i)]


def _classes(found: Survey, settings: DataSettings) -> Iterator[Problem]:
    """One class only, too few pictures of a class, few images, unequal classes."""
    of_class = np.array([sample.cls for sample in found.samples], dtype=np.str_)
    names = [*found.listing.classes]
    if settings.defect_free == "class" and (of_class == DEFECT_FREE).any():
        names.append(DEFECT_FREE)
    if len(names) < 2:
        cure = "Add a folder of another class; defect-free images count as one with data.defect_free: class."
        yield Problem(severity="error", what="one class only, an inspector needs at least two", where=tuple(names), cure=cure)
    images = {name: int((of_class == name).sum()) for name in names}
    pictures = {name: len(np.unique(found.groups[of_class == name])) for name in names}
    poor = [f"{name}: {_count(images[name], pictures[name])}" for name in names if pictures[name] < LEAST]
    yield from gather(
        "error",
        f"classes with fewer than {LEAST} different pictures",
        poor,
        "Each class needs one picture each to train, validate and test: add images, or remove the folder of the class.",
    )
    few = [f"{name}: {images[name]}" for name in names if LEAST <= pictures[name] and images[name] < FEW]
    yield from gather("warning", f"classes with fewer than {FEW} images", few, "Add images; a score from so few says little.")
    if images and max(images.values()) > 5 * max(1, min(images.values())):
        rare, most = (pick(images, key=lambda name: images[name]) for pick in (min, max))
        cure = "`images_per_class: fewest`, or let the search try `balance` and oversampling."
        yield Problem(severity="note", what=f"unequal classes: {images[most]} of {most}, {images[rare]} of {rare}", cure=cure)


def _count(images: int, pictures: int) -> str:
    """Says how many images a class has, and how many of them differ."""
    said = "1 image" if images == 1 else f"{images} images"
    return said if pictures == images else f"{said} that show {'one picture' if pictures == 1 else f'{pictures} different pictures'}"


def _sizes(found: Survey, settings: DataSettings) -> Iterator[Problem]:
    """Pictures smaller than the training size, of mixed sizes, or far from square."""
    if len(found.sizes) == 0 or found.listing.root is None:
        return
    short = found.sizes.min(axis=1)
    wanted = settings.size_px

    def with_size(which: np.ndarray) -> list[str]:
        return [f"{found.samples[i].name}: {found.sizes[i, 1]}x{found.sizes[i, 0]}" for i in np.flatnonzero(which)]

    yield from gather(
        "error",
        f"images smaller than the training size of {wanted} px",
        with_size(short < wanted),
        "Enlarged, they would be blurred, and blur would tell classes apart. " + _smaller(int(short.min())),
    )
    kinds = np.unique(found.sizes, axis=0)
    if len(kinds) > 1:
        low, high = found.sizes.min(axis=0), found.sizes.max(axis=0)
        what = f"mixed sizes: {len(kinds)} of them, {low[1]} to {high[1]} px wide and {low[0]} to {high[0]} px high"
        cure = f"All are resized to {wanted}x{wanted} px, so defects of one kind come out at different scales; `tundish data crop` keeps the scale."
        yield Problem(severity="warning", what=what, cure=cure)
    ratio = found.sizes.max(axis=1) / found.sizes.min(axis=1)
    yield from gather("note", "images far from square, squeezed", with_size(ratio > SQUEEZED), "`tundish data crop` cuts squares at their own scale.")


def _smaller(least: int) -> str:
    """Words what to do with pictures whose shorter side is `least` pixels."""
    fitting = [size for size in SIZES_PX if size <= least]
    return f"Choose data.size_px: {max(fitting)} (`--size {max(fitting)}` of init and check), or remove them." if fitting else "Remove them."


def _colour(found: Survey, settings: DataSettings) -> Iterator[Problem]:
    """Colour that is dropped, or channels that say nothing."""
    if settings.channels == 1 and found.listing.physical:
        yield Problem(severity="error", what="three measured channels, which have no common grey", cure="data.channels: 3 (`--channels 3`).")
    elif settings.channels == 1:
        coloured = _names(found, lambda i: bool(found.coloured[i]))
        yield from gather("warning", "images in colour, turned to grey", coloured, "data.channels: 3 keeps the colour.")
    elif len(found.samples) and not found.coloured.any():
        yield Problem(severity="note", what="all images are grey", cure="data.channels: 1 is faster and loses nothing.")


def _masks(found: Survey, settings: DataSettings) -> Iterator[Problem]:
    """Masks that contradict their class."""
    free = [sample.free for sample in found.samples]
    share = np.nan_to_num(found.mask_share, nan=-1.0)
    empty = _names(found, lambda i: not free[i] and share[i] == 0.0)
    yield from gather("warning", "images of a defect class with an empty mask", empty, "Draw the mask, or move them to the defect-free images.")
    own = np.array([found.class_share[i, found.listing.classes.index(sample.cls)] if not free[i] else 0.0 for i, sample in enumerate(found.samples)])
    other = _names(found, lambda i: not free[i] and share[i] > 0.0 and own[i] == 0.0)
    yield from gather("warning", "images whose mask shows other classes, but not their own", other, "Correct the mask, or the image's class.")
    marked = _names(found, lambda i: free[i] and share[i] > 0.0)
    yield from gather(
        "warning",
        "defect-free images with a defect in their mask",
        marked,
        "Move them to the class of their defect, or empty the mask; until then what it marks counts as nothing.",
    )


def _small_defects(found: Survey, settings: DataSettings) -> Iterator[Problem]:
    """Classes whose defects all but vanish at the training size."""
    shares = defect_shares(found)
    tiny = [
        f"{name}: half of them cover less than {np.median(own) * settings.size_px**2:.1f} px"
        for name, own in shares.items()
        if len(own) and 0.0 < np.median(own) * settings.size_px**2 < SPECK_PX
    ]
    cure = "Choose a larger data.size_px, or cut defect-centred squares: tundish data crop SRC DST."
    yield from gather("warning", f"classes whose defects shrink to specks at {settings.size_px} px", tiny, cure)


def defect_shares(found: Survey) -> dict[str, np.ndarray]:
    """Gives, for each defect class, the share of the picture that its defects fill: by masks, else by the sum of boxes.

    Returns:
        Class name -> one entry per image that has either and is of this class, or shows it beside its own.
    """
    shares: dict[str, np.ndarray] = {}
    for number, name in enumerate(found.listing.classes):
        own = []
        for sample, share in zip(found.samples, found.class_share[:, number], strict=True):
            if (sample.cls == name and not np.isnan(share)) or share > 0.0:
                own.append(float(share))
            elif sample.cls == name and sample.boxes:
                own.append(min(1.0, sum((right - left) * (bottom - top) for left, top, right, bottom in sample.boxes)))
        shares[name] = np.array(own, dtype=np.float64)
    return shares


def _duplicates(found: Survey, settings: DataSettings) -> Iterator[Problem]:
    """Copies across a published split, under two classes, or at all."""
    members: dict[int, list[int]] = {}
    for i, group in enumerate(found.groups.tolist()):
        members.setdefault(group, []).append(i)
    several = [own for own in members.values() if len(own) > 1]

    def tell(own: list[int]) -> str:
        return " = ".join(found.samples[i].name for i in own[:3]) + (f" and {len(own) - 3} more" if len(own) > 3 else "")

    leaks = [own for own in several if len({found.samples[i].published for i in own if found.samples[i].published}) > 1]
    cure = "protocol: strict keeps copies together. Under protocol: paper every number from this split carries the leak."
    yield from gather("warning", "pictures with copies across the published split", map(tell, leaks), cure)
    # Parts of one picture, as a loader names them, may well differ: a crop with the defect and one beside it.
    torn = [own for own in several if len({found.samples[i].cls for i in own}) > 1 and len({found.samples[i].group or str(i) for i in own}) > 1]
    yield from gather(
        "warning", "pictures under two classes", map(tell, torn), "Keep each under one class, where a person would not call both right."
    )
    several.sort(key=len, reverse=True)
    largest = f"; the largest group has {len(several[0])} images" if several and len(several[0]) > 2 else ""
    yield from gather("note", f"pictures with copies or other views, kept together in a split{largest}", map(tell, several))


def _published_leak(found: Survey, settings: DataSettings) -> Iterator[Problem]:
    """How many images a published split leaks, whatever the protocol: under `strict` it says what is avoided."""
    published = np.array([sample.published for sample in found.samples], dtype=np.str_)
    rows = {part: np.flatnonzero(published == part) for part in ("train", "val", "test")}
    held_out = {part: own for part, own in rows.items() if part != "train" and len(own)}
    leaked = count_leaks(found.groups, found.hashes, rows["train"], held_out)
    said = say_leaks(leaked, {part: len(own) for part, own in held_out.items()})
    if said:
        cure = "protocol: strict splits by picture instead." if settings.protocol == "paper" else "protocol: strict, as set, does not use that split."
        yield Problem(severity="warning" if settings.protocol == "paper" else "note", what=f"the published split leaks: {said}", cure=cure)


def _backgrounds(found: Survey, settings: DataSettings) -> Iterator[Problem]:
    """Nothing to make defects on, though the settings ask for it."""
    free = any(sample.free for sample in found.samples)
    if settings.backgrounds == "folder" and settings.backgrounds_path is None and not free:
        cure = "Add a folder named background, good or normal; or name one in data.backgrounds_path; or use data.backgrounds: crops."
        yield Problem(severity="error", what="no defect-free images for data.backgrounds: folder", cure=cure)
