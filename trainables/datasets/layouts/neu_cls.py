"""NEU-CLS: six hot-rolled-steel defect classes, the class in the file name; the original flat folder and the Kaggle repackaging.

K. Song, Y. Yan, Applied Surface Science 285 (2013) 858-864. Boxes come from NEU-DET, whose `<class>_<N>` is the same picture as `<code>_<N>` here.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from trainables.datasets.layouts.boxes import read_boxes, unmatched
from trainables.datasets.listing import EXAMPLES, Listing, Problem, Sample, dataset_root, existing_folder
from trainables.datasets.pictures import is_image
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError

CODES = {"Cr": "crazing", "In": "inclusion", "Pa": "patches", "PS": "pitted_surface", "RS": "rolled-in_scale", "Sc": "scratches"}
"""File name prefixes, case-sensitive."""

_NAME = re.compile(rf"({'|'.join(CODES)})_(\d+)")
_FOLDERS = {"train": "train", "valid": "val", "test": "test"}
_LOOK_AT = 200


class NeuCls:
    """Lists NEU-CLS."""

    def recognises(self, path: Path) -> bool:
        """Looks at the first names: most must be a code and a number."""
        names = [file.stem for file in islice(_images(path), _LOOK_AT)]
        return bool(names) and sum(_NAME.fullmatch(name) is not None for name in names) > len(names) / 2

    def listing(self, settings: DataSettings) -> Listing:
        """Lists either layout.

        Raises:
            DatasetError: no folder, or no file there is named like one of NEU-CLS.
        """
        root = dataset_root(settings)
        annotations, problems = read_boxes(existing_folder(settings.boxes_path, "data.boxes_path")) if settings.boxes_path else ({}, [])
        samples: list[Sample] = []
        strangers: list[str] = []
        used: set[str] = set()
        for file in sorted(_images(root)):
            match = _NAME.fullmatch(file.stem)
            if match is None:
                strangers.append(str(file))
                continue
            stem = f"{CODES[match[1]]}_{match[2]}"
            annotation = annotations.get(stem)
            used.add(stem)
            samples.append(
                Sample(
                    name=file.relative_to(root).as_posix(),
                    cls=CODES[match[1]],
                    file=file,
                    boxes=annotation.boxes if annotation else (),
                    published=next((_FOLDERS[part] for part in file.relative_to(root).parts[:-1] if part in _FOLDERS), ""),
                )
            )
        if not samples:
            raise DatasetError(
                f"{root}: no image is named like one of NEU-CLS.\n"
                f"  Expected <code>_<N>.bmp with a code of {', '.join(CODES)}. For folders of images, one per class: dataset: image_folder."
            )
        if strangers:
            cure = f"They are left out. The codes are {', '.join(CODES)}, in this spelling."
            problems.append(
                Problem(severity="warning", what="images of no known class", where=tuple(strangers[:EXAMPLES]), count=len(strangers), cure=cure)
            )
        if annotations:
            problems += unmatched(samples, annotations, used)
        present = {sample.cls for sample in samples}
        return Listing(root=root, classes=tuple(cls for cls in CODES.values() if cls in present), samples=samples, problems=problems)


def _images(root: Path) -> Iterator[Path]:
    return (file for file in root.rglob("*") if is_image(file))
