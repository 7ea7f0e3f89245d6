"""NEU-CLS-64: nine hot-rolled-steel defect classes at 64 px, strongly unequal; one folder per class, named by a code in lower case.

The data set of the PE-GAN paper, whose Figure 6 names the classes. Defect-free images are not in it: a folder named background, good or normal beside
the codes adds them, as the paper's authors did with squares of their own.
"""

import difflib
from pathlib import Path

from trainables.datasets.layouts.image_folder import FREE_FOLDERS
from trainables.datasets.listing import DEFECT_FREE, Listing, Problem, Sample, dataset_root, gather
from trainables.datasets.pictures import is_image
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError

CODES = {
    "cr": "crazing",
    "gg": "grooves_and_gouges",
    "in": "inclusion",
    "pa": "patches",
    "ps": "pitted_surface",
    "rp": "rolling_dust",
    "rs": "rolled-in_scale",
    "sc": "scratches",
    "sp": "spots",
}
"""Folder -> class. `rp` is what the PE-GAN paper calls rolling dust (RD)."""


class NeuCls64:
    """Lists NEU-CLS-64."""

    def recognises(self, path: Path) -> bool:
        """Wants at least two folders that are named by a code, and no more of other names."""
        names = [folder.name for folder in _folders(path) if folder.name.lower() not in FREE_FOLDERS]
        known = sum(name in CODES for name in names)
        return known >= 2 and known > len(names) / 2

    def listing(self, settings: DataSettings) -> Listing:
        """Lists every class that is there, under its full name.

        Raises:
            DatasetError: no folder, or none inside that is named by a code.
        """
        root = dataset_root(settings)
        samples: list[Sample] = []
        empty: list[str] = []
        strangers: list[str] = []
        for folder in _folders(root):
            cls = DEFECT_FREE if folder.name.lower() in FREE_FOLDERS else CODES.get(folder.name)
            if cls is None:
                near = difflib.get_close_matches(folder.name.lower(), CODES, n=1)
                strangers.append(f"{folder}" + (f": did you mean {near[0]}?" if near else ""))
                continue
            files = sorted(file for file in folder.rglob("*") if is_image(file))
            if not files:
                empty.append(str(folder))
            samples += [Sample(name=file.relative_to(root).as_posix(), cls=cls, file=file) for file in files]
        present = {sample.cls for sample in samples} - {DEFECT_FREE}
        if not present:
            raise DatasetError(
                f"{root}: no image in a folder named by a code of NEU-CLS-64.\n"
                f"  Expected <code>/<N>.jpg with a code of {', '.join(CODES)}. For folders of other names: dataset: image_folder."
            )
        problems: list[Problem] = gather("error", "classes without an image", empty, "Put images in, or remove the folder.")
        problems += gather("warning", "folders of no known class", strangers, f"They are left out. The codes are {', '.join(CODES)}, in lower case.")
        loose = [str(file) for file in sorted(root.iterdir()) if is_image(file)]
        problems += gather("warning", "images outside of any class folder", loose, "They are left out. Move them into the folder of their class.")
        return Listing(root=root, classes=tuple(cls for cls in CODES.values() if cls in present), samples=samples, problems=problems)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
