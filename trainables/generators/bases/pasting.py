"""What `cutpaste` and `perlin` share: both lay something of a training image over another image, and know where they did."""

from abc import abstractmethod

import torch
from torch import Tensor

from trainables.generators.bases.fitted import FittedModel
from trainables.generators.bases.model import SAMPLE_BATCH
from trainables.generators.bases.subject import Drawn, TrainingData
from trainables.generators.training.loop import Shuffle
from trainables.seeds import child_seed


class PastingModel(FittedModel):
    """Sources are training images of the class that is asked for; they go onto defect-free images, or onto other images of the same class."""

    makes = "images and masks"
    uses_backgrounds = True

    @abstractmethod
    def paste(self, sources: Tensor, masks: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Makes what is laid over.

        Args:
            sources: (B, C, H, W) in 0..255, float32.
            masks: (B, 1, H, W) of 0 and 1, where the defects of the sources are; all 0 where nobody knows.
            random: decides everything, on the CPU.

        Returns:
            Pictures (B, C, H, W) in 0..255, and how much each of their pixels covers, (B, 1, H, W) in 0..1.
        """

    def fit(self, data: TrainingData) -> None:
        """Keeps the images, their masks where there are any, and the defect-free ones."""
        super().fit(data)
        clean = data.labels == (-1 if data.background_label is None else data.background_label)
        self.kept = {"items": data.items[~clean].cpu(), "labels": data.labels[~clean].cpu()}
        if data.masks is not None and bool(data.masks.any()):
            self.kept["masks"] = data.masks[~clean].cpu()
        scenes = [data.items[clean], *([] if data.backgrounds is None else [data.backgrounds])]
        if sum(map(len, scenes)):
            self.kept["backgrounds"] = torch.cat([part.cpu() for part in scenes])

    @torch.no_grad()
    def sample(self, label: int, count: int, seed: int, *, truncation: float = 1.0, backgrounds: Tensor | None = None) -> Drawn:
        """Draws from what was kept, whatever backgrounds are given here; each source and each background is used once before any is used again.

        The mask is where the image was changed. On an image of the class itself, that image's own mask, where it is known, is added: its defect
        is still there.
        """
        seed = child_seed(seed, "sample", label)
        random = torch.Generator().manual_seed(seed)
        own = (self.kept["labels"] == label).nonzero().squeeze(1)
        assert len(own), f"no image of class {label} was kept"
        picks = Shuffle(len(own), child_seed(seed, "sources")).rows(0, count)
        sources, scenes = own[picks], self.kept.get("backgrounds")
        if scenes is not None:
            targets = Shuffle(len(scenes), child_seed(seed, "backgrounds")).rows(0, count)
        else:
            # Any image of the class but the source, unless it is the only one.
            further = torch.randint(1, max(len(own), 2), (count,), generator=random)
            targets = own[(picks + further) % len(own)]
        images, masks = [], []
        for rows in torch.arange(count).split(SAMPLE_BATCH):
            under = (self.kept["items"] if scenes is None else scenes)[targets[rows]]
            over, cover = self.paste(self.kept["items"][sources[rows]].float(), self._masks(sources[rows]), random)
            images.append(torch.lerp(under.float(), over, cover).round().clamp(0, 255).to(torch.uint8))
            changed = cover > 0 if scenes is not None else (cover > 0) | (self._masks(targets[rows]) > 0)
            masks.append(changed.to(torch.uint8) * 255)
        return Drawn(items=torch.cat(images), masks=torch.cat(masks))

    def _masks(self, rows: Tensor) -> Tensor:
        """Gives the masks of kept images, (B, 1, H, W) float32 of 0 and 1; 0 where there are none."""
        if "masks" not in self.kept:
            return torch.zeros(len(rows), 1, *self.subject.shape[1:])
        return (self.kept["masks"][rows] > 0).float()


def uniform(count: int, low: float, high: float, random: torch.Generator) -> Tensor:
    """Draws a number in [low, high) for each image: float32 (count, 1, 1, 1)."""
    return torch.rand(count, 1, 1, 1, generator=random) * (high - low) + low


def jitter_light(pictures: Tensor, most: float, random: torch.Generator) -> Tensor:
    """Changes brightness and then contrast of each of (B, C, H, W) in 0..255 by factors in [1 - most, 1 + most]."""
    pictures = pictures * uniform(len(pictures), 1.0 - most, 1.0 + most, random)
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + (pictures - mean) * uniform(len(pictures), 1.0 - most, 1.0 + most, random)).clamp(0.0, 255.0)
