"""The two-stage system as one object (vaegan2023, section 3): which surface an image shows, or "unseen"; then whether it is defective, and where.

image -> backbone -> router -> "unseen", which reaches no detector
                            -> the surface's own detector -> defect or not, and where

Both alerts carry the class embedding that was read from the image, as attribute names with values, and the nearest surface that is known, so that
people have something to begin with. `assemble` puts a system together from what stages published; it is saved as weights.safetensors and system.json.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from trainables.errors import SettingsError
from trainables.files import Files
from trainables.inspectors import INSPECTORS
from trainables.inspectors.stage import FILES, load_inspector
from trainables.inspectors.training import Inspector, build, features, predict
from trainables.registry import pick
from trainables.scores.system import Alert, Case, Latency, Reaction, Size, SystemScores, latency, system_scores
from trainables.settings import from_plain, to_plain
from trainables.store import Entry
from trainables.zero_shot.classifier import Routed
from trainables.zero_shot.router import Answers, Router, make_router

FORMAT = 1
"""Version of the files; a newer one is refused."""
WEIGHTS, OUTLINE = "weights.safetensors", "system.json"
WARM_UP = 3
"""Images that are looked at before the first one is timed."""

Detector = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""Images uint8 (N, C, S, S) -> how defective each is (N,), and where (N, H, W), if it can say; higher is more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectorDetector:
    """A trained inspector of task detect as a detector: `scores` and `maps` of its predictions."""

    inspector: Inspector

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Looks at images (N, C, S, S) uint8."""
        said = predict(self.inspector, images)
        if "scores" not in said:
            raise SettingsError(f"{self.inspector.kind}: gives images no score; a detector is an inspector of task detect, such as segdecnet")
        return said["scores"], said.get("maps")


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondStage:
    """What looks for defects on one surface."""

    detector: Detector
    threshold: float
    """Least score of a defective image; chosen on validation (`scores.detection.choose_thresholds`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the system says of one image."""

    surface: str | None
    """The surface whose detector was asked; None for an image of an unseen surface, which no detector is asked about."""
    alert: Alert
    nearest: str
    """The known surface whose embedding is nearest to the one that was read."""
    dissimilarity: float
    """How far that one is."""
    score: float | None = None
    """How defective the detector finds it."""
    where: Tensor | None = None
    """(H, W) of the detector's map, with a defect alert."""
    embedding: Mapping[str, float] = field(default_factory=dict)
    """What was read from the image, by the attributes' names; with alerts only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoStage:
    """The whole system.

    Raises:
        SettingsError: a known surface has no detector, or a detector's surface is not known.
    """

    backbone: Inspector
    router: Router
    detectors: Mapping[str, SecondStage]

    def __post_init__(self) -> None:
        said = [f"no detector for the known surface {name}" for name in self.router.seen if name not in self.detectors]
        said += [f"a detector for {name}, which is no known surface" for name in self.detectors if name not in self.router.seen]
        if said:
            raise SettingsError("\n".join(f"two-stage system: {text}" for text in said))

    def route(self, images: Tensor) -> Answers:
        """Says which surface each image (N, C, S, S) uint8 shows."""
        return self.router.answer(features(self.backbone, images))

    def inspect(self, images: Tensor) -> list[Verdict]:
        """Says of each image (N, C, S, S) uint8 which surface it shows, whether to look at it, and where."""
        said, seen = self.route(images), self.router.seen
        # Where the head's first choice is an unseen class, the image is; else its first choice is a known surface, threshold or not.
        labels = said.logits[:, : len(seen)].argmax(1)
        verdicts: list[Verdict | None] = [None] * len(images)
        for row in said.is_unseen.nonzero()[:, 0].tolist():
            verdicts[row] = self._verdict(said, row, surface=None, alert="unseen")
        for label, name in enumerate(seen):
            rows = ((labels == label) & ~said.is_unseen).nonzero()[:, 0]
            if not len(rows):
                continue
            stage = self.detectors[name]
            scores, maps = stage.detector(images[rows])
            for place, row in enumerate(rows.tolist()):
                defective = float(scores[place]) >= stage.threshold
                where = maps[place] if defective and maps is not None else None
                verdict = self._verdict(said, row, surface=name, alert="defect" if defective else "none", score=float(scores[place]), where=where)
                verdicts[row] = verdict
        return [verdict for verdict in verdicts if verdict is not None]

    def _verdict(
        self, said: Answers, row: int, *, surface: str | None, alert: Alert, score: float | None = None, where: Tensor | None = None
    ) -> Verdict:
        return Verdict(
            surface=surface,
            alert=alert,
            nearest=self.router.seen[int(said.nearest[row])],
            dissimilarity=float(said.dissimilarity[row]),
            score=score,
            where=where,
            embedding=self.router.named(said.embedded[row]) if alert != "none" else {},
        )

    def score(self, images: Tensor, cases: Sequence[Case]) -> SystemScores:
        """Counts what goes wrong on images (N, C, S, S) uint8 of known and unknown surfaces."""
        reactions = [Reaction(surface=verdict.surface, alert=verdict.alert) for verdict in self.inspect(images)]
        return system_scores(cases, reactions, self.router.seen)

    def latency(self, images: Tensor) -> Latency:
        """Measures the time for each of some images (N, C, S, S) uint8, which come one by one, on this machine and with its present load."""
        for image in images[:WARM_UP].split(1):
            self.inspect(image)
        times = []
        for image in images.split(1):
            begun = time.perf_counter()
            # What it says lies on the CPU, so that a device is done by then.
            self.inspect(image)
            times.append(time.perf_counter() - begun)
        return latency(times)

    def size(self) -> Size:
        """Counts what the system holds.

        Raises:
            SettingsError: a detector is no inspector of ours.
        """
        values = self._state().values()
        return Size(parameters=sum(value.numel() for value in values), bytes=sum(value.numel() * value.element_size() for value in values))

    def save(self, folder: Path) -> None:
        """Writes weights.safetensors and system.json into a folder, which is made where there is none.

        Raises:
            SettingsError: a detector is no inspector of ours, which alone can be written.
            StoreError: the folder cannot be written.
        """
        state, found, seen = self._state(), self._inspectors(), self.router.seen
        outline = {
            "format": FORMAT,
            "router": self.router.outline(),
            "inspectors": {name: _outline(inspector) for name, inspector in found.items()},
            "detectors": {name: {"inspector": f"detector.{k}", "threshold": self.detectors[name].threshold} for k, name in enumerate(seen)},
        }
        # The weights are told by their hash, so that a process that ends between the two leaves no system of mixed parts that would load.
        weights = save(state)
        outline["weights_sha256"] = hashlib.sha256(weights).hexdigest()
        files = Files(folder)
        files.write(WEIGHTS, weights)
        files.write(OUTLINE, json.dumps(outline, indent=2, allow_nan=False).encode())

    def _inspectors(self) -> dict[str, Inspector]:
        """Gives the backbone and the detectors' networks, by the names that they have in the files."""
        found = {"backbone": self.backbone}
        for k, name in enumerate(self.router.seen):
            detector = self.detectors[name].detector
            if not isinstance(detector, InspectorDetector):
                what = type(detector).__name__
                raise SettingsError(f"two-stage system: the detector of {name} is of type {what}; only an InspectorDetector has weights to keep")
            found[f"detector.{k}"] = detector.inspector
        return found

    def _state(self) -> dict[str, Tensor]:
        state = {f"router/{name}": value for name, value in self.router.state().items()}
        for part, inspector in self._inspectors().items():
            for name, value in inspector.network.state_dict().items():
                state[f"{part}/{name}"] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return state


def assemble(backbone: Entry, routed: Routed, detectors: Mapping[str, tuple[Entry, float]], *, device: str = "cpu") -> TwoStage:
    """Puts a system together from what stages published.

    Args:
        backbone: the inspector whose features the router was trained on.
        routed: the router.
        detectors: surface -> inspector of task detect, and the threshold of its scores.
        device: where networks compute.

    Raises:
        SettingsError: surfaces and detectors do not match.
    """
    stages = {
        name: SecondStage(detector=InspectorDetector(inspector=load_inspector(entry, device)), threshold=threshold)
        for name, (entry, threshold) in detectors.items()
    }
    return TwoStage(backbone=load_inspector(backbone, device), router=routed.router(), detectors=stages)


def load_system(folder: Path, *, device: str = "cpu") -> TwoStage:
    """Reads what `TwoStage.save` wrote.

    Raises:
        SettingsError: the folder holds no such system, or one of a newer version.
    """
    try:
        outline: dict[str, Any] = json.loads((folder / OUTLINE).read_text(encoding="utf-8"))
        weights = (folder / WEIGHTS).read_bytes()
        state = load(weights)
    except (OSError, ValueError, SafetensorError) as error:
        raise SettingsError(f"{folder}: cannot be read as a two-stage system ({error}); expected {OUTLINE} and {WEIGHTS}, as saved") from error
    if outline.get("format") != FORMAT:
        raise SettingsError(f"{folder}/{OUTLINE}: format {outline.get('format')}; this Tundish reads {FORMAT}.\n  Update Tundish, or save it again.")
    # Systems of earlier days told no hash.
    if outline.get("weights_sha256", told := hashlib.sha256(weights).hexdigest()) != told:
        raise SettingsError(f"{folder}: {WEIGHTS} is not the file that {OUTLINE} was written with.\n  Save the system again.")
    try:
        parts = {name: _rebuilt(told, _below(state, name), device) for name, told in outline["inspectors"].items()}
        router = make_router(outline["router"], _below(state, "router"))
    except (KeyError, RuntimeError) as error:
        raise SettingsError(f"{folder}: {OUTLINE} and {WEIGHTS} do not belong together ({error}).\n  Save the system again.") from error
    stages = {
        name: SecondStage(detector=InspectorDetector(inspector=parts[told["inspector"]]), threshold=told["threshold"])
        for name, told in outline["detectors"].items()
    }
    return TwoStage(backbone=parts["backbone"], router=router, detectors=stages)


def _below(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}/"): value for name, value in state.items() if name.startswith(f"{part}/")}


def _outline(inspector: Inspector) -> dict[str, Any]:
    # A file that training began with is no part of the system, and may be gone.
    config = {name: None if name in FILES else value for name, value in to_plain(inspector.config).items()}
    shape = {"size_px": inspector.size_px, "channels": inspector.channels, "num_classes": inspector.num_classes}
    return {"kind": inspector.kind, "config": config, **shape}


def _rebuilt(told: Mapping[str, Any], state: Mapping[str, Tensor], device: str) -> Inspector:
    config = from_plain(pick(INSPECTORS, told["kind"], "inspector").Config, told["config"])
    shape = {name: told[name] for name in ("size_px", "channels", "num_classes")}
    inspector = build(told["kind"], config, **shape, device=device, seed=0)
    inspector.network.load_state_dict(state)
    return inspector
