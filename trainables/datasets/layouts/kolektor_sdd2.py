"""KolektorSDD2: production items, `{train,test}/<number>.png` with the mask `<number>_GT.png` beside each image.

J. Bozic, D. Tabernik, D. Skocaj, Computers in Industry 129 (2021) 103459; CC BY-NC-SA 4.0. Colour images of about 230 x 630 pixels, 246 defective and
2,085 good ones in training, 110 and 894 in test; an empty mask means a good image.
"""

import re
from pathlib import Path

from trainables.datasets.layouts.labelling import DEFECT
from trainables.datasets.listing import DEFECT_FREE, Listing, Problem, Sample, dataset_root, gather
from trainables.datasets.pictures import read_mask
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError

_MASK = re.compile(r"(\d+)_GT", re.IGNORECASE)
PARTS = ("train", "test")


class KolektorSdd2:
    """Lists KolektorSDD2."""

    def recognises(self, path: Path) -> bool:
        """Wants a mask `<number>_GT.png` in train or test."""
        return any(_masks(path / part) for part in PARTS)

    def listing(self, settings: DataSettings) -> Listing:
        """Lists every image in its published part; one with an empty mask is defect-free.

        Raises:
            DatasetError: no folder, or not this layout.
        """
        root = dataset_root(settings)
        if not self.recognises(root):
            raise DatasetError(
                f"{root}: no file {{train,test}}/<number>_GT.png inside.\n  Expected train/10000.png with train/10000_GT.png beside it, ..."
            )
        samples: list[Sample] = []
        bare: list[str] = []
        broken: list[str] = []
        orphans: list[str] = []
        for part in PARTS:
            masks = _masks(root / part)
            images = {image.stem: image for image in (root / part).glob("[!.]*.png") if image.stem.isdigit()}
            orphans += [str(mask) for number, mask in sorted(masks.items()) if number not in images]
            for number, image in sorted(images.items()):
                if number not in masks:
                    bare.append(str(image))
                    continue
                try:
                    cls = DEFECT if read_mask(masks[number]).any() else DEFECT_FREE
                except DatasetError as error:
                    broken.append(str(error))
                    continue
                samples.append(Sample(name=image.relative_to(root).as_posix(), cls=cls, file=image, mask=masks[number], published=part))
        problems: list[Problem] = [
            *gather(
                "warning", "images without a mask", bare, "They are left out: only the mask says whether they are defective. Add <number>_GT.png."
            ),
            *gather("error", "masks that cannot be read", broken, "Copy them anew from the source, or remove them with their images."),
            *gather("warning", "masks without an image", orphans, "They are left out. Add the .png of the same number, or remove them."),
        ]
        return Listing(root=root, classes=(DEFECT,), samples=samples, problems=problems)


def _masks(folder: Path) -> dict[str, Path]:
    """Gives the masks of a folder by the numbers of their images."""
    return {match[1]: mask for mask in folder.glob("[!.]*.png") if (match := _MASK.fullmatch(mask.stem))}
