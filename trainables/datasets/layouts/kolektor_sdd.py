"""KolektorSDD: electrical commutators, `kos<NN>/Part<m>.jpg` with the mask `Part<m>_label.bmp` beside each image.

D. Tabernik, S. Sela, J. Skvarc, D. Skocaj, Journal of Intelligent Manufacturing 31 (2020) 759-776; CC BY-NC-SA 4.0. The parts of a `kos` are views of
one commutator and so a group: the authors' folds are by `kos`, too. Their lists are not part of the data set, so there is no published split.
Masks hold palette indices: 0, and 1 (in one file also 2) on the defect. Images are 500 pixels wide and about 1,260 high.
"""

import re
from pathlib import Path

from trainables.datasets.layouts.labelling import DEFECT
from trainables.datasets.listing import DEFECT_FREE, Listing, Problem, Sample, dataset_root, gather
from trainables.datasets.pictures import read_mask
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError

_ITEM = re.compile(r"kos\d+", re.IGNORECASE)
_PART = re.compile(r"Part\d+", re.IGNORECASE)


class KolektorSdd:
    """Lists KolektorSDD."""

    def recognises(self, path: Path) -> bool:
        """Wants `kos<NN>/Part<m>.jpg`."""
        return any(_images(item) for item in _items(path))

    def listing(self, settings: DataSettings) -> Listing:
        """Lists every part; one with an empty mask is defect-free.

        Raises:
            DatasetError: no folder, or not this layout.
        """
        root = dataset_root(settings)
        if not self.recognises(root):
            raise DatasetError(f"{root}: no file kos<NN>/Part<m>.jpg inside.\n  Expected kos01/Part0.jpg with kos01/Part0_label.bmp beside it, ...")
        samples: list[Sample] = []
        bare: list[str] = []
        broken: list[str] = []
        orphans: list[str] = []
        for item in _items(root):
            images = _images(item)
            stems = {image.stem for image in images}
            orphans += [str(mask) for mask in sorted(item.glob("[!.]*_label.bmp")) if mask.stem.removesuffix("_label") not in stems]
            for image in images:
                mask = image.with_name(f"{image.stem}_label.bmp")
                if not mask.exists():
                    bare.append(str(image))
                    continue
                try:
                    cls = DEFECT if read_mask(mask).any() else DEFECT_FREE
                except DatasetError as error:
                    broken.append(str(error))
                    continue
                samples.append(Sample(name=image.relative_to(root).as_posix(), cls=cls, file=image, mask=mask, group=item.name.lower()))
        problems: list[Problem] = [
            *gather(
                "warning", "images without a mask", bare, "They are left out: only the mask says whether they are defective. Add Part<m>_label.bmp."
            ),
            *gather("error", "masks that cannot be read", broken, "Copy them anew from the source, or remove them with their images."),
            *gather("warning", "masks without an image", orphans, "They are left out. Add the .jpg of the same name, or remove them."),
            *gather("warning", "commutators inside of another one's folder", _nested(root), "They are left out. Move them up, or remove copies."),
        ]
        return Listing(root=root, classes=(DEFECT,), samples=samples, problems=problems)


def _items(root: Path) -> list[Path]:
    return sorted(folder for folder in root.iterdir() if folder.is_dir() and _ITEM.fullmatch(folder.name))


def _images(item: Path) -> list[Path]:
    return sorted(file for file in item.iterdir() if file.suffix.lower() in (".jpg", ".jpeg") and _PART.fullmatch(file.stem))


def _nested(root: Path) -> list[str]:
    return [str(inner) for item in _items(root) for inner in _items(item)]
