"""What is done to a picture before anything is trained on it: the `preprocess` part of a trial. Plain settings; `datasets.patches` does the work."""

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

from trainables.errors import SettingsError

MOST_PATCHES = 256
"""Patches of one picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessPart:
    """Whether an inspector sees pictures whole, or patch by patch as in the SDG-GAN paper (Mustafaev et al. 2023, Fig. 8 and Algorithm 1)."""

    kind: Literal["whole", "patches"] = "whole"
    """whole: the picture, squeezed into a square. patches: it is resized to the grid's own aspect ratio and cut into square patches."""
    borders: Literal["auto", "keep", "remove"] = "auto"
    """Black borders around the part: auto removes them from what is cut into patches, and leaves whole pictures as they are."""
    grid: str = "8x2"
    """Rows x columns of patches; the paper cuts 2048x512 pixels into sixteen squares. All pictures are resized to this ratio of sides."""
    min_area_px: int = 8
    """Fewest marked pixels of a defective patch, at the size that it is trained at; one with fewer counts as defect-free. Of each picture, the patch
    that shows most of its class counts in any case."""
    free_from: Literal["free_pictures", "all_pictures"] = "free_pictures"
    """Which pictures the defect-free patches to train on come from: defect-free ones alone, as in the paper, or defective ones too."""

    def __post_init__(self) -> None:
        problems = []
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", self.grid):
            problems.append(f"grid: {self.grid!r} is not rows x columns, such as 8x2 or 4x1")
        elif not 2 <= (count := math.prod(map(int, self.grid.split("x")))) <= MOST_PATCHES:
            problems.append(f"grid: {self.grid} cuts a picture into {count}; expected 2 to {MOST_PATCHES} patches")
        if self.min_area_px < 1:
            problems.append(f"min_area_px: {self.min_area_px} is fewer than 1")
        if problems:
            raise SettingsError("\n".join(problems))

    @property
    def rows(self) -> int:
        """Patches down a picture; 1 where it stays whole."""
        return int(self.grid.partition("x")[0]) if self.kind == "patches" else 1

    @property
    def columns(self) -> int:
        """Patches across a picture; 1 where it stays whole."""
        return int(self.grid.partition("x")[2]) if self.kind == "patches" else 1

    @property
    def patches(self) -> int:
        """Images that one picture becomes."""
        return self.rows * self.columns

    @property
    def trims(self) -> bool:
        """Whether black borders are removed."""
        return self.borders == "remove" or (self.borders == "auto" and self.kind == "patches")

    @property
    def plain(self) -> bool:
        """Whether pictures are trained on as a pack holds them anyway."""
        return self.kind == "whole" and not self.trims

    def deciding(self) -> dict[str, Any]:
        """Gives what decides the images, for keys: settings without effect are left out, so that equal images are met again."""
        own = {"rows": self.rows, "columns": self.columns, "trims": self.trims}
        return own | ({"min_area_px": self.min_area_px} if self.kind == "patches" else {})

    def __str__(self) -> str:
        """Says it in a few words: `patches 8x2, borders removed`."""
        cut = f"patches {self.grid}" if self.kind == "patches" else "whole"
        return f"{cut}, borders removed" if self.trims else cut
