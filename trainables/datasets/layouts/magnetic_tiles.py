"""Magnetic tiles: `MT_<Class>/Imgs/exp<k>_num_<id>.jpg` with its mask `.png` beside it; `MT_Free` is defect-free.

Y. Huang, C. Qiu, K. Yuan, The Visual Computer 36 (2020) 85-96. One tile was photographed under several settings `k`, one right after the other.
"""

import re
from pathlib import Path

from trainables.datasets.listing import DEFECT_FREE, EXAMPLES, Listing, Problem, Sample, dataset_root
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError

_NAME = re.compile(r"exp(\d+)_num_(\d+)")

SAME_TILE = 400
"""Photographs of one tile follow each other: the setting rises and the number grows by less than this. Beyond it, pictures are no more alike
than any two (measured: median correlation 0.96 within, 0.4 outside)."""


class MagneticTiles:
    """Lists magnetic tiles."""

    def recognises(self, path: Path) -> bool:
        """Wants `MT_<Class>/Imgs`."""
        return any(folder.is_dir() for folder in path.glob("MT_*/Imgs"))

    def listing(self, settings: DataSettings) -> Listing:
        """Lists images with their masks; photographs of one tile are a group.

        Raises:
            DatasetError: no folder, or not this layout.
        """
        root = dataset_root(settings)
        if not self.recognises(root):
            raise DatasetError(f"{root}: no folder MT_<Class>/Imgs inside.\n  Expected MT_Blowhole/Imgs, MT_Break/Imgs, ... MT_Free/Imgs.")
        photographs: list[tuple[int, int, Path]] = []
        problems: list[Problem] = []
        strangers: list[str] = []
        orphans: list[str] = []
        bare: list[str] = []
        for folder in sorted(root.glob("MT_*/Imgs")):
            images = sorted(folder.glob("[!.]*.jpg"))
            if not images:
                problems.append(
                    Problem(severity="error", what="class without an image", where=(str(folder),), cure="Add images, or remove the folder.")
                )
            stems = {image.stem for image in images}
            orphans += [str(mask) for mask in sorted(folder.glob("[!.]*.png")) if mask.stem not in stems]
            for image in images:
                match = _NAME.fullmatch(image.stem)
                if match is None:
                    strangers.append(str(image))
                    continue
                photographs.append((int(match[2]), int(match[1]), image))
        groups = _tiles(photographs)
        samples = []
        for _, _, image in sorted(photographs, key=lambda photograph: photograph[2]):
            name = image.parent.parent.name.removeprefix("MT_").lower()
            mask = image.with_suffix(".png")
            if not mask.exists() and name != "free":
                bare.append(str(image))
            samples.append(
                Sample(
                    name=image.relative_to(root).as_posix(),
                    cls=DEFECT_FREE if name == "free" else name,
                    file=image,
                    mask=mask if mask.exists() else None,
                    group=groups[image],
                )
            )
        for what, found, cure in (
            ("images of no known name", strangers, "They are left out. Expected exp<k>_num_<id>.jpg."),
            ("masks without an image", orphans, "They are left out. Add the .jpg of the same name, or remove them."),
            ("images without a mask", bare, "They are used for their class alone. Add the .png of the same name beside them."),
        ):
            if found:
                problems.append(Problem(severity="warning", what=what, where=tuple(found[:EXAMPLES]), count=len(found), cure=cure))
        classes = sorted({sample.cls for sample in samples} - {DEFECT_FREE})
        return Listing(root=root, classes=tuple(classes), samples=samples, problems=problems)


def _tiles(photographs: list[tuple[int, int, Path]]) -> dict[Path, str]:
    """Names the tile of each photograph (number, setting, file)."""
    tiles: dict[Path, str] = {}
    tile, last_number, last_setting = "", -SAME_TILE, 0
    for number, setting, image in sorted(photographs):
        if number - last_number >= SAME_TILE or setting <= last_setting:
            tile = f"tile_{number}"
        tiles[image] = tile
        last_number, last_setting = number, setting
    return tiles
