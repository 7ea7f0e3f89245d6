"""MVTec-AD-like folders: `train/good`, `test/good`, `test/<defect>` and `ground_truth/<defect>/<number>_mask.png`; one category, or a folder of them.

P. Bergmann, M. Fauser, D. Sattlegger, C. Steger, CVPR 2019; CC BY-NC-SA 4.0. Made for detecting what differs from good images: the published training
part has no defect, so no defect class can be trained under `protocol: paper`; `strict` splits anew. What the classes are, for one category and
for several, is told in `labelling`.
"""

from collections.abc import Iterator
from pathlib import Path

from trainables.datasets.layouts.image_folder import FREE_FOLDERS
from trainables.datasets.layouts.labelling import class_of, classes_of, thin_good
from trainables.datasets.listing import Listing, Problem, Sample, dataset_root, gather
from trainables.datasets.pictures import is_image
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError

TRUTH = "ground_truth"
_MASK_ENDS = ("_mask", "")


class MvtecAd:
    """Lists one category or a folder of categories."""

    def recognises(self, path: Path) -> bool:
        """Wants `train`, `test` and `ground_truth` in the folder, or in a folder of it."""
        return bool(_categories(path))

    def listing(self, settings: DataSettings) -> Listing:
        """Lists every image with the mask of its defect.

        Raises:
            DatasetError: no folder, or not this layout.
        """
        root = dataset_root(settings)
        categories = _categories(root)
        if not categories:
            raise DatasetError(
                f"{root}: neither a category nor a folder of them.\n"
                f"  Expected train/good, test/<defect> and {TRUTH}/<defect>/<number>_mask.png, or folders that hold these."
            )
        found: list[tuple[str, Sample]] = []
        bare: list[str] = []
        orphans: list[str] = []
        for category in categories:
            used = set()
            for published, kind, file in _images(category):
                cls, clean = class_of(category.name, kind, settings.surfaces, several=len(categories) > 1)
                mask = _mask_of(category, kind, file)
                if mask is not None:
                    used.add(mask)
                elif kind is not None:
                    bare.append(str(file))
                name = file.relative_to(root).as_posix()
                found.append((category.name, Sample(name=name, cls=cls, clean=clean, file=file, mask=mask, published=published)))
            orphans += [str(mask) for mask in sorted((category / TRUTH).rglob("*")) if is_image(mask) and mask not in used]
        problems: list[Problem] = [
            *gather("warning", "images without a mask", bare, f"They are used for their class alone. Add {TRUTH}/<defect>/<number>_mask.png."),
            *gather("warning", "masks without an image", orphans, "They are left out. Add test/<defect>/<number>.png, or remove them."),
        ]
        samples = thin_good(found, settings.surfaces)
        return Listing(root=root, classes=classes_of(samples), samples=samples, problems=problems)


def _categories(root: Path) -> list[Path]:
    """Finds the folders that have the three parts: the root itself, or folders in it."""
    for candidates in ([root], _folders(root)):
        categories = [folder for folder in candidates if all((folder / part).is_dir() for part in ("train", "test", TRUTH))]
        if categories:
            return categories
    return []


def _images(category: Path) -> Iterator[tuple[str, str | None, Path]]:
    """Walks over a category's images: published part, kind of defect (None for good ones), file."""
    for part in ("train", "test"):
        for folder in _folders(category / part):
            kind = None if folder.name.lower() in FREE_FOLDERS else folder.name
            yield from ((part, kind, file) for file in sorted(folder.iterdir()) if is_image(file))


def _mask_of(category: Path, kind: str | None, file: Path) -> Path | None:
    if kind is None:
        return None
    names = [category / TRUTH / kind / f"{file.stem}{end}.png" for end in _MASK_ENDS]
    return next((mask for mask in names if mask.exists()), None)


def _folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith((".", "__")))
