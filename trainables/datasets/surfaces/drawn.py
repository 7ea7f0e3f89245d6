"""What all sets that are drawn instead of read have in common. Called by their loaders."""

from collections.abc import Sequence
from pathlib import Path

from trainables.datasets.listing import DEFECT_FREE, Sample
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError


class Drawn:
    """A loader that reads no folder; an image depends on its class, its number and the seed, not on how many others there are."""

    def recognises(self, path: Path) -> bool:
        """No folder holds them."""
        return False


def refuse_folder(settings: DataSettings) -> None:
    """Refuses a folder that is named for what is drawn.

    Raises:
        DatasetError: a folder is named.
    """
    if settings.path is not None:
        raise DatasetError(
            f"data.path: {settings.dataset} is drawn, not read from {settings.path}.\n  Drop the path, or name the layout: data.dataset."
        )


def numbered(classes: Sequence[str], *, per_class: int, defect_free: int) -> list[Sample]:
    """Names the images of each class, and the defect-free ones after them."""
    counts = [*((cls, per_class) for cls in classes), (DEFECT_FREE, defect_free)]
    return [Sample(name=f"{cls}/{cls}_{k:05d}", cls=cls) for cls, count in counts for k in range(count)]
