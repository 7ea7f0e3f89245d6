"""VOC XML boxes: where defects are, for images that come without masks. Called by loaders and by cropping."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from trainables.datasets.listing import Problem, Sample, gather

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in fractions of the picture's width and height."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotation:
    """The boxes of one image."""

    file: Path
    boxes: tuple[Box, ...]
    names: tuple[str, ...]
    """What each box is said to show."""


def fill_boxes(boxes: Iterable[Sequence[float]], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Gives (height, width), true on every pixel that a box touches."""
    filled = np.zeros((height, width), dtype=bool)
    for left, top, right, bottom in boxes:
        filled[int(top * height) : int(np.ceil(bottom * height)), int(left * width) : int(np.ceil(right * width))] = True
    return filled


def read_boxes(folder: Path) -> tuple[dict[str, Annotation], list[Problem]]:
    """Reads all XML files below a folder, by the stem of their names; what they say in `<filename>` is not trusted."""
    found: dict[str, Annotation] = {}
    broken: list[str] = []
    again: list[str] = []
    for file in sorted(folder.rglob("*.xml")):
        if file.name.startswith("."):
            continue
        if file.stem in found:
            again.append(f"{file} and {found[file.stem].file}")
            continue
        try:
            boxes, names = _parse(file)
            found[file.stem] = Annotation(file=file, boxes=boxes, names=names)
        except (OSError, ElementTree.ParseError, ValueError) as error:
            broken.append(f"{file}: {error}")
    problems = gather("error", "box files that cannot be read", broken, "Copy them anew from the source, or remove them.")
    problems += gather("warning", "box files of one name", again, "The second of each is taken. Keep the one that belongs to the image.")
    return found, problems


def _parse(file: Path) -> tuple[tuple[Box, ...], tuple[str, ...]]:
    """Reads the boxes of one file, cut to the picture, and their names.

    Raises:
        ValueError: something is missing, or a box has no area.
    """
    root = ElementTree.parse(file).getroot()
    width, height = (_number(root, f"size/{name}") for name in ("width", "height"))
    if width <= 0 or height <= 0:
        raise ValueError(f"a picture of {width:g}x{height:g}")
    boxes, names = [], []
    for thing in root.iter("object"):
        left, top, right, bottom = (_number(thing, f"bndbox/{name}") for name in ("xmin", "ymin", "xmax", "ymax"))
        box = (max(0.0, left / width), max(0.0, top / height), min(1.0, right / width), min(1.0, bottom / height))
        if box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError(f"a box without area: {left:g},{top:g} to {right:g},{bottom:g}")
        boxes.append(box)
        names.append((thing.findtext("name") or "").strip())
    return tuple(boxes), tuple(names)


def _number(element: ElementTree.Element, path: str) -> float:
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"no <{path}>")
    return float(text)


def unmatched(samples: Sequence[Sample], annotations: dict[str, Annotation], used: set[str], folder: str = "data.boxes_path") -> list[Problem]:
    """Says which images have no boxes; box files of images that are not there are usual (a subset) and only noted. `folder` is where boxes belong."""
    cure = f"Backgrounds are not mined from them. Add their XML files to {folder} to use them."
    bare = gather("warning", "images without boxes", [sample.name for sample in samples if not sample.boxes], cure)
    spare = sorted(str(annotation.file) for stem, annotation in annotations.items() if stem not in used)
    return bare + gather("note", "box files without an image", spare)
