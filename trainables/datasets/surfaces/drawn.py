"""What all sets that are drawn instead of read have in common. Called by their loaders."""

from collections.abc import Callable
from pathlib import Path

from trainables.datasets.listing import DEFECT_FREE, Listing, Picture, Sample
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


def numbered(
    classes: tuple[str, ...], *, per_class: int, defect_free: int, read: Callable[[Sample], Picture], content: str, physical: bool = False
) -> Listing:
    """Lists as many images of each class, and the defect-free ones after them.

    Args:
        classes: defect classes, in the order of their labels.
        per_class: images of each.
        defect_free: images without a defect.
        read: draws one.
        content: names what is drawn, for the fingerprint.
        physical: whether channels are physical quantities.
    """
    counts = [*((cls, per_class) for cls in classes), (DEFECT_FREE, defect_free)]
    samples = [Sample(name=f"{cls}/{cls}_{k:05d}", cls=cls) for cls, count in counts for k in range(count)]
    return Listing(root=None, classes=classes, samples=samples, read=read, independent=True, physical=physical, content=content)
