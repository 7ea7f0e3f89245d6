"""Features that images are compared in: the standard FID network's, an inspector's, or those of a fixed random network.

A study resolves its extractor once, when it starts (`resolve_extractor`); every trial then makes it from its recipe (`make_extractor`), and takes the
features of a set of images once per store (`stored_features`). Called by `search.runner` and `trainables.trial`.
"""

import hashlib
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.errors import SettingsError
from trainables.inspectors.classifiers import Classifier
from trainables.inspectors.head import predict_features
from trainables.inspectors.stage import load_inspector
from trainables.inspectors.training import features as inspector_features
from trainables.inspectors.training import to_input
from trainables.recipe import ScorePart
from trainables.scores.inception import FIDInception
from trainables.store import Entry, Store, stage_key

VERSION = 1
"""Version of the features; part of every key of this stage."""

STAGE = "features"

WEIGHTS_NAME = "weights-inception-2015-12-05-6726825d.pth"
WEIGHTS_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{WEIGHTS_NAME}"
WEIGHTS_HASH_STARTS = "6726825d"
"""First digits of the SHA-256 of the standard weights. Distances in any other features are not FID, so other weights are refused."""

CONNECT_TIMEOUT_S = 5.0


class Resolved(NamedTuple):
    """An extractor that can be had."""

    name: str
    """inception, inspector or random."""
    weights_path: str | None
    weights_hash: str | None
    """SHA-256 of the weights; null for extractors that have none of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extractor:
    """Turns images into features."""

    name: str
    identity: str
    """What decides the features beside the images: goes into the key of what is stored."""
    run: Callable[[Tensor], Tensor]
    """(N, C, H, W) uint8 to (N, D) float32 on the CPU."""
    probabilities: Callable[[Tensor], Tensor] | None = None
    """Its features (N, D) to the probabilities (N, K) of the classes that it tells apart, for the Inception Score; None where it names none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """Features of one set of images."""

    key: str
    reused: bool
    seconds: float
    values: Tensor
    """(N, D) float32."""


def resolve_extractor(wanted: str, weights_path: str | None = None, *, expected_hash: str | None = None, download: bool = True) -> Resolved:
    """Decides which extractor a study has. `auto` takes inception where its weights can be had, else the inspector's features.

    Args:
        wanted: auto, inception, inspector or random.
        weights_path: the standard Inception weights on this machine; without it they are looked for where torch keeps downloads, then fetched.
        expected_hash: SHA-256 that the run began with; a resume must provide the same weights.
        download: False never asks the network.

    Raises:
        SettingsError: the weights cannot be had, are not the standard ones, or are others than the run began with; or the name is unknown.
    """
    if wanted in ("inspector", "random"):
        return Resolved(wanted, None, None)
    if wanted not in ("auto", "inception"):
        raise SettingsError(f"scores.extractor: {wanted!r} is not one of auto, inception, inspector, random")
    path = Path(weights_path) if weights_path is not None else _fetched_weights(download)
    if path is None or not path.is_file():
        if wanted == "auto" and weights_path is None and expected_hash is None:
            return Resolved("inspector", None, None)
        where = f"{path}: no such file" if path is not None else "the standard Inception weights are not on this machine, and could not be fetched"
        raise SettingsError(
            f"scores.inception_weights: {where}.\n  Fetch {WEIGHTS_URL}\n"
            f"  and name it in the study file: scores.inception_weights: /path/{WEIGHTS_NAME}; or choose scores.extractor: inspector for a new study."
        )
    found = _sha256(path)
    if not found.startswith(WEIGHTS_HASH_STARTS):
        raise SettingsError(
            f"scores.inception_weights: {path} is not the standard file {WEIGHTS_NAME}"
            f" (SHA-256 {found[:16]}..., expected {WEIGHTS_HASH_STARTS}...).\n"
            "  Distances in other features may not be called FID."
        )
    if expected_hash is not None and found != expected_hash:
        raise SettingsError(f"scores.inception_weights: {path} has SHA-256 {found[:16]}..., but this run began with {expected_hash[:16]}...")
    return Resolved("inception", str(path), found)


def make_extractor(part: ScorePart, *, device: str, inspector: Entry | None = None) -> Extractor:
    """Makes the extractor of a recipe.

    Args:
        part: the resolved extractor.
        device: where to compute.
        inspector: the trained inspector whose features are used; needed by `inspector` alone.

    Raises:
        SettingsError: the Inception weights are not on this machine.
    """
    if part.extractor == "inception":
        if part.inception_weights is None or not Path(part.inception_weights).is_file():
            raise SettingsError(f"scores.inception_weights: {part.inception_weights}: no such file on this machine")
        network = FIDInception()
        network.load_state_dict(_read_weights(Path(part.inception_weights)))
        identity = f"inception/{part.weights_hash or _sha256(Path(part.inception_weights))}"
        # The published score leaves the bias of the last layer out (Salimans et al. 2016, their code).
        weight = network.fc.weight.detach().cpu()
        run = _runner(network.to(device), device, _colour, batch=32)
        return Extractor(name="inception", identity=identity, run=run, probabilities=lambda features: (features @ weight.T).softmax(1))
    if part.extractor == "random":
        fixed = RandomNetwork().to(device)
        return Extractor(name="random", identity=f"random/{RandomNetwork.VERSION}", run=_runner(fixed, device, _colour_input, batch=256))
    assert inspector is not None, "the inspector extractor needs a trained inspector"
    trained = load_inspector(inspector, device)
    return Extractor(
        name="inspector",
        identity=f"inspector/{inspector.key}",
        run=lambda images: inspector_features(trained, images),
        # Segmenters and detectors say of each class, or of defects as such, whether they are there: no probabilities that sum to 1.
        probabilities=(lambda features: predict_features(trained, features).softmax(1)) if isinstance(trained.network, Classifier) else None,
    )


def stored_features(extractor: Extractor, images: Tensor, *, name: str, inputs: Sequence[str], store: Store) -> Features:
    """Takes the features of a set of images, or finds them under their key.

    Args:
        extractor: whose features.
        images: (N, C, H, W) uint8.
        name: which images of the inputs these are: `train`, `val`, `test`, `synthetic`.
        inputs: keys that decide the images: of the split, or of the pool with the number taken.
        store: where results are kept.
    """
    key = stage_key(STAGE, version=VERSION, settings={"extractor": extractor.identity, "name": name, "count": len(images)}, inputs=inputs)
    entry = store.lookup(STAGE, key)
    reused = entry is not None
    if entry is None:
        started = time.monotonic()
        data = save({"features": extractor.run(images).contiguous()})
        entry = store.publish(STAGE, key, {"features.safetensors": data}, {"seconds": time.monotonic() - started, "extractor": extractor.identity})
    values = load(entry.read("features.safetensors"))["features"]
    return Features(key=key, reused=reused, seconds=float(entry.info["seconds"]), values=values)


class RandomNetwork(nn.Module):
    """A small convolutional network with fixed random weights: (B, 3, H, W) in [-1, 1] to 448 means and spreads of what its three layers answer.

    It has seen no image and prefers none. Its weights come from numpy's Philox, so that they are the same with every torch.
    """

    VERSION = 1

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.Generator(np.random.Philox(20240523))
        layers = []
        for channels, out, kernel in ((3, 32, 5), (32, 64, 3), (64, 128, 3)):
            layer = nn.Conv2d(channels, out, kernel, stride=2, padding=kernel // 2, bias=False)
            scale = (2.0 / (channels * kernel * kernel)) ** 0.5
            layer.weight.data = torch.from_numpy(rng.normal(0.0, scale, tuple(layer.weight.shape)).astype(np.float32))
            layers.append(layer)
        self.layers = nn.ModuleList(layers)
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Gives (B, 448) features."""
        parts = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            parts += [x.mean((2, 3)), x.std((2, 3), correction=0)]
        return torch.cat(parts, 1)


def _runner(network: nn.Module, device: str, prepare: Callable[[Tensor, str], Tensor], batch: int) -> Callable[[Tensor], Tensor]:
    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        return torch.cat([network(prepare(chunk, device)).float().cpu() for chunk in images.split(batch)])

    return run


def _colour(images: Tensor, device: str) -> Tensor:
    """Gives grey images three equal channels."""
    return images.to(device).expand(-1, 3, -1, -1)


def _colour_input(images: Tensor, device: str) -> Tensor:
    return to_input(_colour(images, device), device)


def _read_weights(path: Path) -> dict[str, Any]:
    """Reads a state dict. The standard file is torch's own format; `weights_only` lets nothing but tensors out of it."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetched_weights(download: bool) -> Path | None:
    """Gives the weights where torch keeps downloads, fetching them first where there is a network; None where that fails."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_NAME
    if path.is_file() or not download:
        return path if path.is_file() else None
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(WEIGHTS_URL, timeout=CONNECT_TIMEOUT_S) as answer, aside.open("wb") as file:
            while chunk := answer.read(1 << 20):
                file.write(chunk)
        if not _sha256(aside).startswith(WEIGHTS_HASH_STARTS):
            return None
        os.replace(aside, path)
    except (OSError, urllib.error.URLError):
        return None
    finally:
        aside.unlink(missing_ok=True)
    return path
