"""The settings of one trial, one part per stage: plain data that any process can build, send and read."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from trainables.datasets.preprocessing import PreprocessPart
from trainables.datasets.settings import DataSettings
from trainables.errors import SettingsError
from trainables.settings import from_plain, to_plain
from trainables.tasks import TaskName
from trainables.zero_shot.settings import ZeroShotPart


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditioningPart:
    """How a generator of several classes is told which one it is to make."""

    kind: Literal["one_hot", "attributes", "learned", "blend"] = "one_hot"
    """One-hot; attribute vectors of `data.attributes`; what a VAE learns from these and the features of the training split; or both, mixed."""
    ce_blend: float = 0.5
    """Share of the learned vector in a blend; the rest is the attribute vector's."""
    ce_rec_weight: float = 0.5
    """Weight of the VAE's reconstruction (vaegan2023, equation 2)."""
    ce_kl_weight: float = 1.0
    """Weight of the VAE's divergence from the attributes (vaegan2023, equation 3)."""

    def __post_init__(self) -> None:
        problems = []
        if not 0.0 <= self.ce_blend <= 1.0:
            problems.append(f"ce_blend: {self.ce_blend} is not between 0 and 1")
        problems += [f"{name}: {getattr(self, name)} is negative" for name in ("ce_rec_weight", "ce_kl_weight") if getattr(self, name) < 0]
        if problems:
            raise SettingsError("\n".join(problems))


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorPart:
    """Which generator, with which settings, trained for how long."""

    family: str
    """Name in `GENERATORS`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the family's Config that differ from its defaults."""
    kimg: float
    """The mark: thousands of real training images shown; per model where there is one model per class."""
    conditioning: ConditioningPart | None = None
    """How it is told the class, where it is told; None is the family's own way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """How many synthetic images stand beside the real ones in the training split, class by class."""

    kind: Literal["fraction", "per_class", "multiple", "top_up_to", "balance"] = "fraction"
    """fraction: g/(g+r). per_class: a number. multiple: times the real ones. top_up_to: up to that many in all. balance: up to the largest class."""
    value: float = 0.5
    """The number of that kind; `balance` needs none."""

    def __post_init__(self) -> None:
        if self.kind == "fraction" and not 0.0 <= self.value <= 0.95:
            raise SettingsError(f"amount: a fraction of {self.value} is not between 0 and 0.95")
        if self.value < 0:
            raise SettingsError(f"amount: {self.value} is negative")

    def counts(self, real: Sequence[int], replaced: Collection[int] = ()) -> list[int]:
        """Gives the number of synthetic images of each class.

        Args:
            real: real training images of each class.
            replaced: classes whose real images the inspector is not shown. Fractions and multiples are still of as many as there are; what fills a
                class up, `top_up_to` and `balance`, fills these from nothing.
        """
        most = max(real)
        each: dict[str, Callable[[int, int], int]] = {
            "fraction": lambda there, shown: round(there * self.value / (1.0 - self.value)),
            "per_class": lambda there, shown: round(self.value),
            "multiple": lambda there, shown: round(there * self.value),
            "top_up_to": lambda there, shown: max(0, round(self.value) - shown),
            "balance": lambda there, shown: most - shown,
        }
        return [each[self.kind](there, 0 if label in replaced else there) for label, there in enumerate(real)]


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskPart:
    """How masks are made for images of generators that make none: a segmenter trained on the real training split predicts, morphology cleans.

    Saiz et al. 2021 let DeepLabV3+ predict and remove holes by "mathematical morphology"; the numbers are ours.
    """

    threshold: float = 0.5
    """Least probability of the image's class from which a pixel is defect."""
    closing_px: int = 3
    """Radius of the disc that closes gaps, in pixels of the images as they are trained on; 0 leaves them."""
    fill_holes: bool = True
    """Whether what a defect encloses belongs to it."""
    min_area_px: int = 16
    """Pieces of fewer pixels are dropped; an image left without any is not used."""
    min_sureness: float = 0.0
    """Least mean probability over the mask from which an image is used."""

    def __post_init__(self) -> None:
        problems = [f"{name}: {getattr(self, name)} is negative" for name in ("closing_px", "min_area_px") if getattr(self, name) < 0]
        for name in ("threshold", "min_sureness"):
            if not 0.0 <= getattr(self, name) < 1.0:
                problems.append(f"{name}: {getattr(self, name)} is not between 0 and 1")
        if problems:
            raise SettingsError("\n".join(problems))


Replaces = Literal["nothing", "defects", "all"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SynthesisPart:
    """How synthetic images are drawn from the generator, which are let through, and in the place of which real ones they stand."""

    amount: Amount = field(default_factory=Amount)
    replaces: Replaces = "nothing"
    """nothing: they stand beside the real training images. defects: the inspector is shown real defect-free and synthetic defective images, and no
    real defect (LM-GAN's FCN). all: it is shown no real image; the generator learns the defect-free class too. Validation and test stay real."""
    truncation: float = 1.0
    """Scale of the latent in (0, 1]; 1 draws from the whole prior."""
    filter: Literal["none", "confidence"] = "none"
    """confidence: only images that an inspector trained on the real training split takes for their own class."""
    min_confidence: float = 0.5
    """Least probability of the own class that the confidence filter lets through."""
    masks: MaskPart = field(default_factory=MaskPart)
    """Where pixels are to be named, and the generator makes no masks."""

    def __post_init__(self) -> None:
        if not 0.0 < self.truncation <= 1.0:
            raise SettingsError(f"truncation: {self.truncation} is not above 0 and at most 1")
        if not 0.0 <= self.min_confidence < 1.0:
            raise SettingsError(f"min_confidence: {self.min_confidence} is not between 0 and 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectorPart:
    """Which inspector, with which settings."""

    kind: str
    """Name in `INSPECTORS`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the inspector's Config that differ from its defaults."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScorePart:
    """Which features the distances between image sets are measured in. Resolved once, when the study starts."""

    extractor: Literal["inception", "inspector", "random"] = "inspector"
    inception_weights: str | None = None
    """Path of the standard Inception weights; only with `inception`."""
    weights_hash: str | None = None
    """SHA-256 of those weights."""
    inspector: InspectorPart | None = None
    """The inspector whose features are used, by `inspector` and by the confidence filter: trained on the real training split alone."""
    diagnostics: bool = False
    """Whether to train on synthetic images and test on real ones, and the reverse: two more inspectors, of a trial that has synthetic images."""
    columns: tuple[str, ...] = ()
    """Columns of the table of `data.groups`, by whose values scores are grouped."""
    columns_hash: str | None = None
    """Names what the study read in them when it started."""
    robustness: tuple[str, ...] = ()
    """Corruptions (`scores.names.CORRUPTIONS`) under which the inspector is scored too: on test where the recipe is judged, else on validation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """One replicate: which draw of the generator's seed and of the inspector's, on which fold."""

    generator: int = 0
    inspector: int = 0
    fold: int = 0
    """Which of `data.folds`; in task zero_shot which set of unseen classes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """The settings of one trial."""

    task: TaskName = "classify"
    """What inspectors are to do."""
    data: DataSettings
    fingerprint: str
    """Content hash of the data set, taken when the study started."""
    preprocess: PreprocessPart = field(default_factory=PreprocessPart)
    """What is done to a picture before anything is trained on it. Scores are of whole pictures, whatever it is."""
    generator: GeneratorPart | None = None
    """None for a baseline on real images alone."""
    synthesis: SynthesisPart | None = None
    inspector: InspectorPart
    scores: ScorePart
    zero_shot: ZeroShotPart | None = None
    """Which classes are unseen; only, and always, in task zero_shot."""
    seed: int = 0
    """The study's seed."""
    units: tuple[Unit, ...] = (Unit(),)
    judge: bool = False
    """True reads the test split: only in confirmation, at the end of a study."""
    precision: Literal["fp32", "bf16"] = "fp32"
    rungs: tuple[float, ...] = ()
    """Marks, in kimg and increasing, at which the trial tells how its generator stands before it goes on; its own mark may be among them. In no key:
    a mark on the way changes nothing of what comes after it."""

    def __post_init__(self) -> None:
        if (self.generator is None) != (self.synthesis is None):
            raise SettingsError("generator and synthesis: a recipe has both or neither")
        if (self.task == "zero_shot") != (self.zero_shot is not None):
            raise SettingsError("zero_shot: task zero_shot says which classes are unseen, and no other does")
        if self.preprocess.kind == "patches" and self.task not in ("classify", "detect"):
            raise SettingsError(f"preprocess: patches decide whole pictures in tasks classify and detect, not in {self.task}")
        if not self.units:
            raise SettingsError("units: a trial needs at least one")
        if self.rungs and (self.generator is None or list(self.rungs) != sorted(set(self.rungs)) or not 0 < self.rungs[0]):
            raise SettingsError(f"rungs: {list(self.rungs)} are not increasing marks of a generator")
        if self.rungs and self.generator is not None and self.rungs[-1] > self.generator.kimg:
            raise SettingsError(f"rungs: {self.rungs[-1]:g} kimg lies beyond the trial's own mark, {self.generator.kimg:g}")

    def to_plain(self) -> dict[str, Any]:
        """Turns the recipe into plain JSON data."""
        plain = to_plain(self)
        assert isinstance(plain, dict)
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Recipe":
        """Reads a recipe back.

        Raises:
            SettingsError: the data is not a recipe.
        """
        return from_plain(cls, plain)
