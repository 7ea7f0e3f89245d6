"""What the image-to-image families share: mirrored backgrounds, the schedule, drawing defects, and backgrounds made of defects.

`cyclegan`, `stargan` and `pe_gan` build on it.
"""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from trainables.errors import SettingsError
from trainables.generators.bases.model import SAMPLE_BATCH, GeneratorModel, adam, read_betas, to_pixels, to_signed
from trainables.generators.bases.subject import Drawn, TrainingData
from trainables.generators.training.loop import Shuffle
from trainables.scores.distances import floors, frechet, kid
from trainables.scores.names import distance_names
from trainables.seeds import child_seed

COMPARED = 256
"""Images of a side at most, where generated backgrounds are measured."""
SHOWN = 8
"""Images of a side, where they are shown."""


def mirror(images: Tensor, random: torch.Generator) -> Tensor:
    """Mirrors each image left to right and top to bottom, each with probability one half."""
    for axis in (3, 2):
        turned = torch.rand(len(images), 1, 1, 1, generator=random, device=images.device) < 0.5
        images = torch.where(turned, images.flip(axis), images)
    return images


class ImageToImageModel(GeneratorModel):
    """A family that puts defects on backgrounds, and may take them away again.

    Of its Config it reads lr, betas, mirror_backgrounds, lr_decay, horizon_kimg and, where it is there, decay_start.
    """

    needs_backgrounds = True
    sizes_px = (32, 64, 128, 256)

    @abstractmethod
    def produce(self, scenes: Tensor, label: int) -> Tensor:
        """Puts defects of a class on backgrounds (B, C, H, W) in [-1, 1], with the averaged weights; the same shape and range."""

    @abstractmethod
    def eliminate(self, images: Tensor) -> Tensor:
        """Takes the defects of images (B, C, H, W) in [-1, 1] away, with the averaged weights; the same shape and range."""

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes an Adam for the generator and one for the critic."""
        betas = read_betas(self.config.betas)
        return adam(self.generator.parameters(), self.config.lr, betas), adam(self.critic.parameters(), self.config.lr, betas)

    def schedule(self, step: int) -> None:
        """Sets the learning rate of this step: a linear decay begins at half of the horizon unless `decay_start` says otherwise."""
        left = 1.0
        start = getattr(self.config, "decay_start", 0.5)
        if self.config.lr_decay == "linear" and start < 1:
            shown = step * self.images_per_step / 1000
            left = max(0.0, min(1.0, (1.0 - shown / self.config.horizon_kimg) / (1.0 - start)))
        for group in (*self.optimizer_g.param_groups, *self.optimizer_d.param_groups):
            group["lr"] = self.config.lr * left

    def scenes(self, backgrounds: Tensor, random: torch.Generator) -> Tensor:
        """Turns uint8 backgrounds into float32 in [-1, 1], mirrored at random where the settings say so."""
        return mirror(to_signed(backgrounds), random) if self.config.mirror_backgrounds else to_signed(backgrounds)

    @torch.no_grad()
    def sample(self, label: int, count: int, seed: int, *, truncation: float = 1.0, backgrounds: Tensor | None = None) -> Drawn:
        """Puts defects of one class on backgrounds, each of which is used once before any is used again; it has no latent to truncate."""
        if backgrounds is None or len(backgrounds) == 0:
            raise SettingsError(f"{type(self).__name__} draws defects on backgrounds and was given none: set data.backgrounds to folder or crops")
        seed = child_seed(seed, "sample", label)
        random = torch.Generator().manual_seed(seed)
        rows = Shuffle(len(backgrounds), seed).rows(0, count)
        parts = []
        for chosen in rows.split(SAMPLE_BATCH):
            scenes = self.scenes(backgrounds[chosen.to(backgrounds.device)].cpu(), random).to(self.device)
            with self.autocast():
                parts.append(to_pixels(self.produce(scenes, label)).cpu())
        return Drawn(items=torch.cat(parts))

    @torch.no_grad()
    def extra_scores(self, data: TrainingData, seed: int, *, features: Callable[[Tensor], Tensor], extractor: str) -> dict[str, float]:
        """Measures backgrounds made of training defects against real ones; see `GeneratorModel.extra_scores`.

        Returns:
            KID and Frechet distance as `background_kid_<extractor>` and so on, and where there are 4 real backgrounds the floor of each: the
            distance between halves of these. Nothing, where there are fewer than 2 images on either side.
        """
        real, defects = self._cleared(data, seed, COMPARED)
        if min(len(real), len(defects)) < 2:
            return {}
        one, other = features(real), features(self._made_clean(defects))
        names = [f"background_{name}" for name in distance_names(extractor)]
        found = dict(zip(names, (kid(one, other), frechet(one, other)), strict=True))
        if len(real) >= 4:
            found |= {f"{name}_floor": value for name, value in zip(names, floors(one), strict=True)}
        return found

    @torch.no_grad()
    def extra_pictures(self, data: TrainingData, seed: int) -> dict[str, Tensor]:
        """Shows the elimination: training defects, what is left of each of them, and real backgrounds; see `GeneratorModel.extra_pictures`."""
        real, defects = self._cleared(data, seed, SHOWN)
        columns = min(len(real), len(defects))
        if columns == 0:
            return {}
        return {"elimination": torch.stack([defects[:columns], self._made_clean(defects[:columns]), real[:columns]])}

    def _cleared(self, data: TrainingData, seed: int, most: int) -> tuple[Tensor, Tensor]:
        """Takes at most so many real backgrounds, and training defects of all classes in turns: uint8 on the CPU."""
        assert data.backgrounds is not None, "the loop refuses a training without backgrounds"
        rows = Shuffle(len(data.labels), child_seed(seed, "defects")).rows(0, len(data.labels))
        rows = rows[data.labels[rows] != data.background_label] if data.background_label is not None else rows
        labels = data.labels[rows]
        turn = torch.zeros(len(rows), dtype=torch.int64)
        for label in labels.unique():
            turn[labels == label] = torch.arange(int((labels == label).sum()))
        rows = rows[turn.argsort(stable=True)][:most]
        scenes = Shuffle(len(data.backgrounds), child_seed(seed, "scenes")).rows(0, min(most, len(data.backgrounds)))
        return data.backgrounds[scenes].cpu(), data.items[rows].cpu()

    def _made_clean(self, images: Tensor) -> Tensor:
        """Takes the defects of uint8 images away."""
        parts = []
        for some in images.split(SAMPLE_BATCH):
            with self.autocast():
                parts.append(to_pixels(self.eliminate(to_signed(some.to(self.device)))).cpu())
        return torch.cat(parts)

    def probe(self) -> tuple[Callable[[Tensor], Tensor], tuple[int, ...]]:
        """Gives the averaged generator as a function of images."""
        return lambda images: self.produce(images, 0), self.subject.shape
