"""The `data:` section of a study: which images, at which size, and how they are split."""

from dataclasses import dataclass, field
from typing import Literal

from trainables.errors import SettingsError

SIZES_PX = (16, 32, 64, 128, 256)
"""Sides that images can be trained at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProceduralSettings:
    """What the embedded procedural surfaces are made of."""

    per_class: int = 120
    """Images of each of the six defect classes."""
    defect_free: int = 60
    """Defect-free images."""
    seed: int = 0
    """Seed of the surfaces; it is not the study's, so that studies share them."""

    def __post_init__(self) -> None:
        _refuse_below(self, {"per_class": 1, "defect_free": 0, "seed": 0})


@dataclass(frozen=True, kw_only=True, slots=True)
class SeverstalSettings:
    """How the crops of Severstal's pictures are labelled."""

    labels: Literal["classes", "defect"] = "classes"
    """classes: a crop is of the class that covers most of it. defect: all four are one class, as in the LM-GAN paper."""
    min_area_px: int = 1
    """Fewest marked pixels of a defective crop; one with fewer counts as defect-free, and its mask as empty."""

    def __post_init__(self) -> None:
        if self.min_area_px < 1:
            raise SettingsError(f"min_area_px: {self.min_area_px} is fewer than 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class SurfaceSettings:
    """What the classes are in data sets of several surfaces: dagm2007, mvtec_ad and textures."""

    labels: Literal["defects", "defective", "surfaces"] = "defects"
    """defects: the kinds of defect of each surface. defective: all defects are one. surfaces: the surfaces, good and defective alike (DAGM_MIX)."""
    good_per_defective: float | None = None
    """Good images that are kept of a surface for each defective one of it; none keeps all. 1 is DAGM_MIX's balance."""

    def __post_init__(self) -> None:
        if self.good_per_defective is not None and self.good_per_defective < 0:
            raise SettingsError(f"good_per_defective: {self.good_per_defective} is negative")


Texture = Literal["brushed", "grainy", "woven", "turned", "rayed", "cellular", "mottled", "knurled", "ribbed", "perforated"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TextureSettings:
    """What the procedural textures are made of."""

    kinds: tuple[Texture, ...] = ()
    """Which of the ten; an empty list takes all."""
    good: int = 60
    """Good images of each texture."""
    defective: int = 60
    """Defective images of each texture."""
    seed: int = 0
    """Seed of the textures; it is not the study's, so that studies share them."""

    def __post_init__(self) -> None:
        _refuse_below(self, {"good": 0, "defective": 0, "seed": 0})


@dataclass(frozen=True, kw_only=True, slots=True)
class StripSettings:
    """What the procedural strips are made of."""

    per_class: int = 20
    """Strips of each of the four defect classes."""
    defect_free: int = 40
    """Defect-free strips."""
    height_px: int = 2048
    """Height of a part without its borders; its width is a quarter of that."""
    seed: int = 0
    """Seed of the strips; it is not the study's, so that studies share them."""

    def __post_init__(self) -> None:
        _refuse_below(self, {"per_class": 1, "defect_free": 0, "height_px": 256, "seed": 0})


@dataclass(frozen=True, kw_only=True, slots=True)
class StereoSettings:
    """What the procedural photometric stereo is made of."""

    per_class: int = 60
    """Pictures of each of the three defect classes."""
    defect_free: int = 60
    """Defect-free pictures."""
    seed: int = 0
    """Seed of the pictures; it is not the study's, so that studies share them."""

    def __post_init__(self) -> None:
        _refuse_below(self, {"per_class": 1, "defect_free": 0, "seed": 0})


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotometricSettings:
    """How the three grey files of a photometric-stereo picture are named."""

    names: tuple[str, str, str] = ("R", "G", "B")
    """Names of the channels in their order: `<class>/<picture>_<name>.png`, or folders `<name>/<class>/<picture>.png`."""

    def __post_init__(self) -> None:
        if len(set(self.names)) < 3 or not all(self.names):
            raise SettingsError(f"names: {', '.join(self.names)} are not three different names")


def _refuse_below(settings: object, least: dict[str, int]) -> None:
    """Refuses numbers below their least value, all at once."""
    problems = []
    for name, low in least.items():
        value = getattr(settings, name)
        if value < low:
            problems.append(f"{name}: {value} is " + ("negative" if low == 0 else f"fewer than {low}"))
    if problems:
        raise SettingsError("\n".join(problems))


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSettings:
    """Which images, at which size, and how they are split."""

    dataset: str = "procedural"
    """Name in `DATASETS`."""
    path: str | None = None
    """Folder of the images; none for surfaces that are drawn (procedural, textures, strips, stereo)."""
    size_px: int = 64
    """Side of the square images that everything is trained on; a power of two from 16 to 256."""
    channels: Literal[1, 3] = 1
    """1 for grey, 3 for colour."""
    images_per_class: int | Literal["all", "fewest"] = "all"
    """Training images of each class: a number, all, or as many as the rarest class has."""
    val_fraction: float = 0.2
    """Share of each class, by groups, that is held out for validation."""
    test_fraction: float = 0.2
    """Share of each class, by groups, that is read once, at the end."""
    val_from_budget: bool = False
    """True takes the validation images out of `images_per_class` instead of beside it."""
    protocol: Literal["strict", "paper"] = "strict"
    """strict: near-copies never straddle a split. paper: the published split as it is, stamped on every number."""
    split_seed: int = 0
    """Seed of the split, apart from the study's so that studies can share stages."""
    folds: int = 0
    """Folds of a cross-validation, by groups: each is tested on once, in the place of `test_fraction`, and `val_fraction` of each class comes out of
    the rest; 0 for one split."""
    since: str | None = None
    """An earlier run, its folder or its name among the runs: classes that came into the data set after it are `added`, and the report says what has
    become of the others. Read once, when the study begins."""
    added: tuple[str, ...] = ()
    """Classes that were added to the data set, oldest first: all others keep the split that they have without these, whatever these show."""
    groups: str | None = None
    """CSV with the columns path and group: images of one part or product, which never straddle a split. It adds to the copies that are found."""
    defect_free: Literal["class", "background"] = "class"
    """Whether defect-free images are a class of their own for the inspector, or only backgrounds."""
    backgrounds: Literal["folder", "crops", "none"] = "none"
    """Where image-to-image families take defect-free images from: the data set's own (or `backgrounds_path`), mined crops, or nowhere."""
    backgrounds_path: str | None = None
    """Folder of defect-free images beside the data set."""
    boxes_path: str | None = None
    """Folder of VOC XML boxes for images that have none of their own (NEU-DET's for NEU-CLS)."""
    attributes: str | None = None
    """CSV of attribute vectors: a column `class`, then one for each attribute; none takes the data set's own, which procedural surfaces have."""
    masks_path: str | None = None
    """Folder of masks for an image folder: `<class>/<name of the image>.png`, non-zero (or above half) on defects."""
    procedural: ProceduralSettings = field(default_factory=ProceduralSettings)
    textures: TextureSettings = field(default_factory=TextureSettings)
    strips: StripSettings = field(default_factory=StripSettings)
    stereo: StereoSettings = field(default_factory=StereoSettings)
    surfaces: SurfaceSettings = field(default_factory=SurfaceSettings)
    photometric: PhotometricSettings = field(default_factory=PhotometricSettings)
    severstal: SeverstalSettings = field(default_factory=SeverstalSettings)

    def __post_init__(self) -> None:
        problems = []
        if self.size_px not in SIZES_PX:
            problems.append(f"size_px: {self.size_px} is not 16, 32, 64, 128 or 256")
        if isinstance(self.images_per_class, int) and self.images_per_class < 2:
            problems.append(f"images_per_class: {self.images_per_class} is fewer than 2")
        for name in ("val_fraction", "test_fraction"):
            if not 0.0 < getattr(self, name) < 0.9:
                problems.append(f"{name}: {getattr(self, name)} is not between 0 and 0.9")
        if self.val_fraction + self.test_fraction > 0.9:
            problems.append("val_fraction + test_fraction: more than 0.9, so that next to nothing is left to train on")
        problems += self._fold_problems()
        if problems:
            raise SettingsError("\n".join(problems))

    def _fold_problems(self) -> list[str]:
        if self.folds == 0:
            return []
        if self.folds < 2:
            return [f"folds: {self.folds} is neither 0 (one split) nor 2 and more"]
        problems = []
        if self.val_fraction + 1.0 / self.folds > 0.9:
            problems.append(f"val_fraction + a fold (1/{self.folds}): more than 0.9, so that next to nothing is left to train on")
        if self.protocol == "paper":
            problems.append(f"folds: {self.folds} with protocol: paper, which follows the published split; cross-validation is strict")
        return problems
