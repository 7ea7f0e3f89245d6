"""What is particular to a generator family: numbers and pictures beyond those that every family has. Called by `trainables.unit`.

A stage of its own, stored by the marks it was taken from: generated backgrounds of image-to-image families, paths through a latent, and the like.
"""

import io
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainables.generators.bases.model import GeneratorModel
from trainables.generators.bases.subject import TrainingData
from trainables.inspectors.base import LabelledImages
from trainables.scores.extractors import Extractor
from trainables.store import Store, stage_key
from trainables.synthesis.blocks import Source

VERSION = 1

STAGE = "particulars"
GAP_PX = 2
LARGEST_PX = 16_000
"""WebP ends at 16,383 px; with very many rows the sheet shrinks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Particulars:
    """What a family has to say of itself."""

    scores: dict[str, float] = field(default_factory=dict)
    """Numbers by name: means over its models, and where there are several each as `<name>.<class>`."""
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """Sheets by the name that their file has in a trial's folder -> where they lie in the store: what `Scores.files` carries."""


def particulars(
    family: type[GeneratorModel],
    sources: Mapping[str, Source],
    real: LabelledImages,
    extractor: Extractor,
    *,
    inputs: Sequence[str],
    seed: int,
    device: str,
    store: Store,
) -> Particulars:
    """Finds or takes what is particular to a family; nothing where it has no such thing.

    Args:
        family: the family.
        sources: where each defect class's images come from, in the order of their labels.
        real: training images with the labels of the pack, whose first are the defect classes.
        extractor: the features that distances are taken in.
        inputs: keys of what the real images came from.
        seed: decides what is drawn.
        device: where to draw.
        store: where results are kept.
    """
    if family.extra_scores is GeneratorModel.extra_scores and family.extra_pictures is GeneratorModel.extra_pictures:
        return Particulars()
    models: dict[str, list[int]] = {}
    for label, source in enumerate(sources.values()):
        models.setdefault(source.key, []).append(label)
    first = next(iter(sources.values()))
    settings = {"drawing": dict(first.settings), "extractor": extractor.identity}
    key = stage_key(STAGE, version=VERSION, settings=settings, inputs=[*inputs, *models, first.backgrounds_key], seed=seed)
    if (entry := store.lookup(STAGE, key)) is None:
        begun = time.perf_counter()
        names, by_label = list(sources), list(sources.values())
        scores: dict[str, dict[str, float]] = {}
        sheets: dict[str, list[Tensor]] = {}
        for labels in models.values():
            source = by_label[labels[0]]
            model, data = source.sampler(), _data(real, [(label, by_label[label].label) for label in labels], source)
            assert isinstance(model, GeneratorModel)
            scores[names[labels[0]]] = model.extra_scores(data, seed, features=extractor.run, extractor=extractor.name)
            for name, rows in model.extra_pictures(data, seed).items():
                sheets.setdefault(name, []).append(rows)
        files = {f"{name}.webp": _sheet(torch.cat(rows)) for name, rows in sheets.items()}
        info = {"seconds": time.perf_counter() - begun, "device": device, "scores": _means(scores), "sheets": sorted(files)}
        entry = store.publish(STAGE, key, files, info)
    return Particulars(scores=dict(entry.info["scores"]), files={name: {"stage": STAGE, "key": key, "file": name} for name in entry.info["sheets"]})


def _data(real: LabelledImages, labels: Sequence[tuple[int, int]], source: Source) -> TrainingData:
    """Takes the training images that one model serves, with the labels that it knows them by."""
    known = dict(labels)
    rows = torch.isin(real.labels, torch.tensor(list(known)))
    own = torch.tensor([known[int(label)] for label in real.labels[rows]], dtype=torch.int64)
    return TrainingData(items=real.images[rows], labels=own, backgrounds=source.backgrounds, num_classes=max(known.values()) + 1)


def _means(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Averages each number over the models that have it; several models are named by their class as well."""
    names = dict.fromkeys(name for found in scores.values() for name in found)
    means = {name: statistics.fmean(found[name] for found in scores.values() if name in found) for name in names}
    each = {f"{name}.{cls}": value for cls, found in scores.items() for name, value in found.items()}
    return means | (each if len(scores) > 1 else {})


def _sheet(pictures: Tensor) -> bytes:
    """Draws uint8 (rows, columns, C, H, W) as a WebP file, tiles at their own size with gaps of grey."""
    rows, columns, _, height, width = pictures.shape
    tall, wide = height + GAP_PX, width + GAP_PX
    sheet = np.full((GAP_PX + rows * tall, GAP_PX + columns * wide, 3), 128, dtype=np.uint8)
    for i in range(rows):
        for j in range(columns):
            tile = pictures[i, j].expand(3, -1, -1).permute(1, 2, 0).numpy()
            top, left = GAP_PX + i * tall, GAP_PX + j * wide
            sheet[top : top + height, left : left + width] = tile
    image, file = Image.fromarray(sheet), io.BytesIO()
    image.thumbnail((LARGEST_PX, LARGEST_PX), Image.Resampling.LANCZOS)
    image.save(file, "WEBP", quality=85, method=4)
    return file.getvalue()
