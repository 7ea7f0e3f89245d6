"""That SegDecNet is worth its masks: it ranks defective textures above a plain classifier's ranking, and the better the more masks it has."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from trainables.datasets.surfaces.textures import TEXTURES, draw
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.training import build, predict, read_config, train
from trainables.recipe import InspectorPart
from trainables.scores.detection import trapezoid_ap
from trainables.seeds import child_seed

GRAINY = ("grainy",)
"""Its flaw is a patch where the grain is rubbed off, of the brightness of its surroundings: an average over the image hardly sees it."""

BUDGET = {"min_steps": 0, "batch": 4, "augment": "flips"}
INSPECTORS = {
    "classifier": ("fcn", {"width": 16, "lr": 3e-3}),
    **{
        name: ("segdecnet", {"width": 0.125, "lr": 0.5, "dilate_px": 1, "pixel_labels": share})
        for name, share in (("all", 1.0), ("tenth", 0.1), ("none", 0.0))
    },
}


def pictures(textures: Sequence[str], count: int, *, seed: int) -> LabelledImages:
    """Draws as many good pictures as defective ones, of 64 px, of each texture in turn."""
    labels = torch.arange(count) % 2
    shown = [textures[(k // 2) % len(textures)] for k in range(count)]
    drawn = [draw(shown[k], defective=bool(label), size_px=64, seed=child_seed(seed, k)) for k, label in enumerate(labels)]
    images = torch.from_numpy(np.stack([picture.pixels for picture in drawn]))[:, None]
    masks = torch.from_numpy(np.stack([picture.mask for picture in drawn]).astype(np.uint8))
    return LabelledImages(images=images, labels=labels, masks=masks, marked=torch.ones(count, dtype=torch.bool))


def ranking(name: str, seed: int, textures: Sequence[str], epochs: int) -> float:
    """Trains on 200 pictures, each seen so many times; gives the area under the recall-precision curve on 200 others, half of them defective."""
    kind, settings = INSPECTORS[name]
    config = read_config(InspectorPart(kind=kind, settings={**BUDGET, "epochs": epochs, **settings}))
    inspector = build(kind, config, size_px=64, channels=1, num_classes=2 if kind == "fcn" else 1, device="cpu", seed=seed)
    list(train(inspector, real=pictures(textures, 200, seed=2 * seed), seed=seed))
    held_out = pictures(textures, 200, seed=2 * seed + 1)
    said = predict(inspector, held_out.images)
    scores = said["scores"] if "scores" in said else said["logits"][:, 1] - said["logits"][:, 0]
    found = trapezoid_ap(scores, held_out.labels > 0)
    assert found is not None
    return found


def means(names: Sequence[str], textures: Sequence[str], epochs: int) -> dict[str, float]:
    """Gives means over three seeds."""
    found = {name: [ranking(name, seed, textures, epochs) for seed in range(3)] for name in names}
    for name, each in found.items():
        print(f"{name}: {' '.join(f'{value:.3f}' for value in each)}")
    return {name: sum(each) / len(each) for name, each in found.items()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_masks_pay_and_each_share_of_them_more() -> None:
    """A ranking by chance has 0.5. Measured: classifier 0.80, all masks 1.00, a tenth 0.72 (0.55 to 0.90), none 0.48."""
    mean = means(list(INSPECTORS), GRAINY, 9)
    assert mean["all"] > mean["classifier"] + 0.05
    assert mean["none"] + 0.02 < mean["tenth"] < mean["all"] - 0.02


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_masks_pay_on_all_textures_together() -> None:
    """Ten textures with flaws of their own, ten good and ten defective pictures of each. Measured: classifier 0.575, all masks 0.727.

    A tenth of the masks is one for each texture, too few for networks of this size: 0.52, where none comes to 0.53, since without any mask the
    classification trains the whole network (`trainables/inspectors/segdecnet.py`). With 800 pictures, in one seed: 0.48 and 0.68.
    """
    mean = means(["classifier", "all"], list(TEXTURES), 27)
    assert mean["all"] > mean["classifier"] + 0.05
