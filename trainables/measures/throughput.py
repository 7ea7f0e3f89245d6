"""How fast a trained inspector judges whole pictures, from decoded pixels to the verdict: borders, resizing, cutting, network, Algorithm 1.

A stage of its own, so that an inspector of an older store is measured when it is first asked about. It is keyed by the network alone: how it was
trained makes none faster, and inspectors of one network must not differ in speed by what else the machine had to do. Called by the units.
"""

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from trainables.bench import Bench
from trainables.datasets.listing import DEFECT_FREE
from trainables.datasets.packs import Pack
from trainables.datasets.patches import cut_pixels
from trainables.datasets.pictures import fit
from trainables.inspectors.base import Config
from trainables.inspectors.stage import Inspected, load_inspector
from trainables.inspectors.training import predict
from trainables.scores.costs import picture_times
from trainables.scores.patches import of_pictures
from trainables.store import stage_key

VERSION = 1
STAGE = "throughput"

PICTURES = 16
"""Validation pictures that are timed, in turns."""


def picture_costs(bench: Bench, trained: Inspected) -> dict[str, float]:
    """Gives pictures per second and latency of an inspector, as whoever asked first measured them: costs by their score names.

    The pictures have the data set's own sizes, enlarged from the pack: a worker need not hold the files, and what they show changes no time.
    """
    recipe, pictures = bench.recipe, bench.pictures
    place = {"device": torch.device(bench.device).type, "threads": torch.get_num_threads()}
    settings = {"network": _network(trained), "preprocess": recipe.preprocess.deciding(), **place}
    key = stage_key(STAGE, version=VERSION, settings=settings, inputs=[pictures.pack.key])
    entry = bench.store.lookup(STAGE, key)
    if entry is None:
        inspector, part = load_inspector(trained.entry, bench.device), recipe.preprocess
        shape = {"size_px": recipe.data.size_px, "channels": recipe.data.channels}

        def judge(batch: list[npt.NDArray[np.uint8]]) -> object:
            images = torch.from_numpy(np.concatenate([cut_pixels(pixels, part, **shape) for pixels in batch]))
            said = predict(inspector, images)
            return said if part.patches == 1 else of_pictures(said, part.patches, pictures.pack.classes.index(DEFECT_FREE))

        times = picture_times(judge, [_decoded(pictures.pack, int(row)) for row in pictures.parts.val[:PICTURES]])
        costs = {f"inspector_{name}": value for name, value in times._asdict().items()}
        entry = bench.store.publish(STAGE, key, {}, {**place, "costs": costs})
    return dict(entry.info["costs"])


def _network(trained: Inspected) -> dict[str, Any]:
    """Gives what decides how fast an inspector is: its kind and shape, and its own settings but those of training that all inspectors have."""
    info = trained.entry.info
    training = {field.name for field in fields(Config)}
    own = {name: value for name, value in info["config"].items() if name not in training}
    return {"kind": info["kind"], "config": own} | {name: info[name] for name in ("size_px", "channels", "num_classes")}


def _decoded(pack: Pack, row: int) -> npt.NDArray[np.uint8]:
    """Gives a picture as a file of it is decoded: (H, W), or (H, W, 3)."""
    height, width = (int(side) for side in pack.sizes[row])
    pixels = pack.images[row].transpose(1, 2, 0)
    enlarged = fit(np.ascontiguousarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels), (height, width), pixels.shape[2])
    return np.ascontiguousarray(enlarged.transpose(1, 2, 0).squeeze(2) if pixels.shape[2] == 1 else enlarged.transpose(1, 2, 0))
