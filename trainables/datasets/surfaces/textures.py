"""Ten procedural textures, good and defective, each with a flaw of its own and exact masks: what DAGM 2007 is to SegDecNet and the two-stage paper.

Which ground has which flaw stands in `flaws`; what the classes are is decided by `data.surfaces`, as for `dagm2007`. Called through `DATASETS`.
"""

from functools import partial

import numpy as np

from trainables.datasets.layouts.labelling import class_of, classes_of, thin_good
from trainables.datasets.listing import Listing, Picture, Sample
from trainables.datasets.settings import DataSettings
from trainables.datasets.surfaces.drawing import grid, quantise
from trainables.datasets.surfaces.drawn import Drawn, refuse_folder
from trainables.datasets.surfaces.flaws import FLAWS
from trainables.datasets.surfaces.grounds import GROUNDS
from trainables.seeds import child_seed

VERSION = 2
"""Of the drawing; a change gives other images, so it is part of the fingerprint."""

TEXTURES = tuple(GROUNDS)

LEAST_AREA = 0.006
"""Share of the picture that a flaw covers at least; a smaller one is drawn anew, because nobody could find it at 64 px."""

VISIBLE = 0.5
"""Share of a flaw's full strength from which a pixel belongs to its mask."""


def draw(texture: str, *, defective: bool, size_px: int, seed: int) -> Picture:
    """Draws one picture; the same arguments give the same one.

    Args:
        texture: one of `TEXTURES`.
        defective: whether it has a flaw.
        size_px: side of the picture.
        seed: of this one picture.

    Returns:
        (size_px, size_px) grey pixels and the exact mask of the flaw.
    """
    rng = np.random.default_rng(seed)
    down, across = grid((size_px, size_px))
    pattern = GROUNDS[texture](rng, (size_px, size_px))
    light = rng.uniform(-0.12, 0.12) * (across - 0.5) + rng.uniform(-0.12, 0.12) * (down - 0.5)
    surface = np.clip(rng.uniform(0.4, 0.6) + rng.uniform(0.07, 0.12) * pattern + light, 0.02, 0.98).astype(np.float32)
    mask = np.zeros(surface.shape, dtype=bool)
    if defective:
        while mask.mean() < LEAST_AREA:
            image, strength = FLAWS[texture][1](rng, surface)
            mask = strength > VISIBLE
        surface = image
    return Picture(pixels=quantise(rng, surface, low=0.006, high=0.02), mask=mask)


class Textures(Drawn):
    """Lists the textures of some settings."""

    def listing(self, settings: DataSettings) -> Listing:
        """Lists images that will be drawn at the training size when they are read.

        Raises:
            DatasetError: a folder was named.
        """
        wanted = settings.textures
        refuse_folder(settings)
        kinds = [texture for texture in TEXTURES if texture in (wanted.kinds or TEXTURES)]
        found = []
        for texture in kinds:
            flaw = FLAWS[texture][0]
            for kind, count in ((None, wanted.good), (flaw, wanted.defective)):
                cls, clean = class_of(texture, kind, settings.surfaces, several=len(kinds) > 1)
                found += [(texture, Sample(name=f"{texture}/{kind or 'good'}_{k:05d}", cls=cls, clean=clean)) for k in range(count)]
        samples = thin_good(found, settings.surfaces)
        return Listing(
            root=None,
            classes=classes_of(samples),
            samples=samples,
            read=partial(_read, seed=wanted.seed, size_px=settings.size_px),
            independent=True,
            content=f"textures {VERSION} {wanted} {settings.surfaces}",
        )


def _read(sample: Sample, *, seed: int, size_px: int) -> Picture:
    texture, _, name = sample.name.partition("/")
    return draw(texture, defective=not name.startswith("good_"), size_px=size_px, seed=child_seed(seed, "texture", sample.name))
