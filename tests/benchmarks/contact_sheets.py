"""Trains every image family for the same seconds on one data set and leaves a contact sheet of each: what the families come to on a machine.

    python tests/benchmarks/contact_sheets.py --dataset neu_cls --path NEU-CLS --boxes NEU-DET --seconds 300 --out sheets
    python tests/benchmarks/contact_sheets.py --seconds 60 --families dcgan cutpaste          # procedural surfaces
    python tests/benchmarks/contact_sheets.py --families pe_gan --set pe_gan.lambda_rec=50 pe_gan.n_critic=1

A sheet has three lines for each class: real images, synthetic ones, and the real training image nearest to each of these. Beside it are printed
the budget that was reached and the distances to held-out real images, with features of the fixed-seed network. A family with a model for each
class shares its seconds between them.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from family_settings import add_option, settings_of
from PIL import Image
from torch import Tensor

from trainables.datasets.backgrounds import backgrounds
from trainables.datasets.listing import DEFECT_FREE
from trainables.datasets.packs import pack_dataset
from trainables.datasets.settings import DataSettings
from trainables.datasets.splits import split
from trainables.errors import TrialFailure
from trainables.generators import GENERATORS
from trainables.generators.bases.model import GeneratorModel
from trainables.generators.bases.subject import TrainingData
from trainables.generators.training.loop import train
from trainables.generators.training.stage import build
from trainables.recipe import GeneratorPart, ScorePart
from trainables.registry import resolve
from trainables.scores.distances import kid
from trainables.scores.extractors import make_extractor
from trainables.scores.samples import ClassImages, contact_sheet
from trainables.store import Store

FOREVER = 10**9
DRAWN = 256


class Images:
    """A data set, split, as every family is given it."""

    def __init__(self, settings: DataSettings, store: Store) -> None:
        _, pack = pack_dataset(settings, store)
        parts = split(pack, settings)
        self.classes = [name for name in pack.classes if name != DEFECT_FREE]
        self.scenes = torch.from_numpy(np.array(backgrounds(pack, parts, settings, store).images)) if settings.backgrounds != "none" else None
        labels = {name: torch.from_numpy(pack.labels[rows].astype(np.int64)) for name, rows in (("train", parts.train), ("val", parts.val))}
        kept = {name: torch.isin(of, torch.tensor([pack.classes.index(cls) for cls in self.classes])) for name, of in labels.items()}
        self.rows = {name: getattr(parts, name)[kept[name].numpy()] for name in labels}
        self.labels = {name: of[kept[name]] for name, of in labels.items()}
        self.images = {name: torch.from_numpy(pack.images[rows]) for name, rows in self.rows.items()}
        masks = pack.defect_masks(self.rows["train"])
        self.masks = torch.from_numpy(masks) if masks is not None else None

    @property
    def data(self) -> TrainingData:
        """The training split."""
        return TrainingData(
            items=self.images["train"], labels=self.labels["train"], masks=self.masks, backgrounds=self.scenes, num_classes=len(self.classes)
        )


def part_of(family: str, settings: dict[str, Any], own: list[str]) -> GeneratorPart:
    """Names a family with as many of the settings as its Config knows, conditional where it can be, and its own."""
    kind = resolve(GENERATORS[family])
    fields = kind.Config.__dataclass_fields__
    wanted = {**settings, "class_mode": "conditional" if "conditional" in kind.class_modes else "per_class"}
    known = {name: value for name, value in wanted.items() if name in fields}
    return GeneratorPart(family=family, settings={**known, **settings_of(family, own)}, kimg=FOREVER)


def train_for(part: GeneratorPart, data: TrainingData, seconds: float, precision: str, device: str) -> tuple[GeneratorModel, float]:
    """Trains a model for so many seconds; gives it with the kimg that it was shown."""
    model = build(part, data.subject, precision=precision, device=device)
    begun, kimg = time.monotonic(), 0.0
    for progress in train(model, data, start_step=0, stop_step=FOREVER if model.learns else 0, seed=0):
        kimg = progress.kimg or 0.0
        if time.monotonic() - begun > seconds:
            break
    return model, kimg


def draw(part: GeneratorPart, images: Images, seconds: float, precision: str, device: str) -> tuple[dict[str, Tensor], float]:
    """Draws images of every class from a family that was trained for so many seconds."""
    data = images.data
    if part.settings["class_mode"] == "conditional":
        model, kimg = train_for(part, data, seconds, precision, device)
        return {cls: model.sample(i, DRAWN, 0, backgrounds=data.backgrounds).items for i, cls in enumerate(images.classes)}, kimg
    drawn, marks = {}, []
    for i, cls in enumerate(images.classes):
        model, kimg = train_for(part, data.only(i), seconds / len(images.classes), precision, device)
        drawn[cls] = model.sample(0, DRAWN, 0, backgrounds=data.backgrounds).items
        marks.append(kimg)
    return drawn, statistics.mean(marks)


def show(family: str, drawn: dict[str, Tensor], images: Images, out: Path) -> str:
    """Writes the sheet of a family and says its distances."""
    extractor = make_extractor(ScorePart(extractor="random"), device="cpu")

    def by_class(split: str) -> dict[str, ClassImages]:
        found = {}
        for i, cls in enumerate(images.classes):
            pictures = images.images[split][images.labels[split] == i]
            found[cls] = ClassImages(images=pictures, features=extractor.run(pictures))
        return found

    real, held_out = by_class("train"), by_class("val")
    synthetic = {cls: ClassImages(images=pictures, features=extractor.run(pictures)) for cls, pictures in drawn.items()}
    sheet, _ = contact_sheet(real, synthetic, columns=12)
    (out / f"{family}.webp").write_bytes(sheet)
    with Image.open(out / f"{family}.webp") as picture:
        picture.save(out / f"{family}.png")
    (out / f"{family}.webp").unlink()
    distances = {cls: kid(held_out[cls].features, synthetic[cls].features) for cls in synthetic}
    floor = statistics.mean(kid(held_out[cls].features, real[cls].features) for cls in synthetic)
    return f"KID {statistics.mean(distances.values()):8.4f} (real training images {floor:.4f}); " + ", ".join(
        f"{cls} {value:.3f}" for cls, value in distances.items()
    )


def families_of(names: Iterable[str]) -> list[str]:
    """Lists the families that make images, all or those that are named."""
    return [name for name in names or GENERATORS if resolve(GENERATORS[name]).makes != "features"]


def main() -> None:
    """Reads the command line and trains one family after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="procedural")
    parser.add_argument("--path")
    parser.add_argument("--boxes")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=300.0, help="training of each family")
    parser.add_argument("--families", nargs="*", default=[])
    parser.add_argument("--width", type=int, default=32, help="width of the networks, under whichever name a family has it")
    add_option(parser)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("sheets"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    data = DataSettings(
        dataset=given.dataset, path=given.path, boxes_path=given.boxes, size_px=given.size, backgrounds="folder" if given.path is None else "crops"
    )
    names = ("width", "base_width", "base_channels", "ngf")
    settings: dict[str, Any] = {**dict.fromkeys(names, given.width), "batch": given.batch}
    with tempfile.TemporaryDirectory() as folder:
        images = Images(data, Store(folder))
        for family in families_of(given.families):
            begun = time.monotonic()
            try:
                drawn, kimg = draw(part_of(family, settings, given.set), images, given.seconds, given.precision, given.device)
            except TrialFailure as failure:
                print(f"{family:16} {failure.name}: {failure}", flush=True)
                continue
            print(f"{family:16} {kimg:7.1f} kimg in {time.monotonic() - begun:5.0f} s  {show(family, drawn, images, given.out)}", flush=True)


if __name__ == "__main__":
    main()
