"""A small network that lays a masked defect over a defect-free image, so that image and mask come together; after DFMGAN's idea (Duan et al. 2023).

DFMGAN adds a residual under a mask to the features of a StyleGAN2 that was trained on defect-free images. Here the residual is added to the pixels:
image = background + mask x residual. Where the mask is 0 the image is its background exactly. The network, its losses and its sizes are our own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import SettingsError
from trainables.generators.bases.adversarial import AdversarialModel
from trainables.generators.bases.image_to_image import mirror
from trainables.generators.bases.model import SAMPLE_BATCH, adam, check_limits, read_betas, to_pixels, to_signed
from trainables.generators.bases.subject import Batch, Drawn
from trainables.generators.networks.layers import initialise_critic
from trainables.generators.networks.residual import GROUP, PairCritic, ResidualGenerator
from trainables.generators.training.diffaugment import Policy, diffaugment
from trainables.generators.training.loop import Shuffle
from trainables.seeds import child_seed

LEAST_SHARE = 0.1
"""Part of the free area that a mask must cover where nobody knows the real one: an image of a defect shows one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DefectResidualConfig:
    """Settings of the masked defect residual."""

    background: Literal["real", "generated"] = "real"
    """What defects are laid over: the study's defect-free images, which serves best where there are few; or, as DFMGAN, those of a branch that learns
    them."""
    freeze_background: bool = True
    """Keeps what defects teach away from the generated background, as DFMGAN does. Without meaning for real ones."""
    mirror_backgrounds: bool = True
    """Mirrors backgrounds at random, in training and when drawing, so that few of them give more images."""
    latent_dim: int = 64
    """Length of the latent of the defect, and of that of a generated background."""
    width: int = 32
    """Channels of the widest map; the others have up to eight times as many."""
    batch: int = 32
    """Real images per critic step, half of them defects and half backgrounds."""
    lr: float = 5e-4
    """Learning rate of both networks."""
    betas: Literal["0,0.99", "0,0.9", "0.5,0.9", "0.5,0.999"] = "0,0.99"
    """Adam coefficients; StyleGAN2's."""
    adversarial_loss: Literal["r1_logistic", "wgan_gp", "rpgan"] = "r1_logistic"
    """StyleGAN2's loss, which DFMGAN trains under; or, for comparison, WGAN-GP's, or R3GAN's relativistic one."""
    r1_gamma: float = 0.5
    """Weight of R1, and under rpgan of R2."""
    gp_lambda: float = 10.0
    """Weight of the gradient penalty under wgan_gp."""
    gp_interval: int = 4
    """Critic steps between penalties; each is then weighted by as many."""
    n_critic: int = 1
    """Critic steps for each generator step."""
    mask_l1: float = 0.1
    """Weight of the mask's area beyond `mask_area`, and of what it lacks to a tenth of it; only for images whose real mask nobody knows."""
    mask_area: float = 0.1
    """Share of the picture that such a mask may cover freely."""
    mask_smooth: float = 0.1
    """Weight of the mean difference between neighbouring pixels of such a mask."""
    diffaug: Policy = "color,translation,cutout"
    """DiffAugment's changes to what the critic sees; image and mask are moved and cut alike, colours are the image's alone."""
    class_mode: Literal["conditional", "per_class", "pooled"] = "conditional"
    """One model that is told the class, one for each, or one that is not told; DFMGAN trains one for each."""
    ema_halflife_kimg: float = 10.0
    """Half-life of the weight average that is evaluated; StyleGAN2's."""

    def __post_init__(self) -> None:
        check_limits(
            self,
            above_0=["lr", "mask_area"],
            at_least_0=["r1_gamma", "gp_lambda", "mask_l1", "mask_smooth", "ema_halflife_kimg"],
            at_least_1=["latent_dim", "width", "gp_interval", "n_critic"],
        )
        problems = []
        if self.batch < 2 or self.batch % 2:
            problems.append(f"batch: {self.batch} is not an even number of at least 2: half are defects and half backgrounds")
        if not self.mask_area <= 1.0:
            problems.append(f"mask_area: {self.mask_area} is above 1")
        if self.width % GROUP:
            problems.append(f"width: {self.width} is not a multiple of {GROUP}")
        if problems:
            raise SettingsError("; ".join(problems))


class DefectResidual(AdversarialModel):
    """Two games where backgrounds are generated, one where they are real; each is `AdversarialModel`'s.

    The critic of defects sees each image with its mask beside it. Where nobody knows the real mask, both masks are shown as 0, and the synthetic one
    is held small and smooth instead.
    """

    makes = "images and masks"
    needs_backgrounds = True
    sizes_px = (32, 64, 128, 256)
    VERSION = 2
    Config: ClassVar[type[Any]] = DefectResidualConfig
    config: DefectResidualConfig
    generator: ResidualGenerator
    ema: ResidualGenerator

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes the generator with torch's own weights, which its norms rescale, and critics without norm by He."""
        generated, width = self.config.background == "generated", self.config.width
        generator = ResidualGenerator(latent_dim=self.config.latent_dim, width=width, generated=generated, subject=self.subject)
        critic = PairCritic(width=width, generated=generated, subject=self.subject)
        initialise_critic(critic)
        return generator, critic

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes an Adam for each network."""
        betas = read_betas(self.config.betas)
        return adam(self.generator.parameters(), self.config.lr, betas), adam(self.critic.parameters(), self.config.lr, betas)

    @property
    def batch_size(self) -> int:
        """Defect images per step."""
        return self.config.batch // 2

    @property
    def backgrounds_per_step(self) -> int:
        """Backgrounds per step."""
        return self.config.batch // 2

    def latent(self, count: int, random: torch.Generator) -> Tensor:
        """Draws latents N(0, 1), float32 (count, latent_length)."""
        return torch.randn(count, self.generator.latent_length, generator=random, device=random.device)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Does a critic step of each game, and a generator step of each at the end of a round."""
        assert batch.backgrounds is not None, "the loop refuses a training without backgrounds"
        random, labels = self.random(step), batch.labels
        scenes = to_signed(batch.backgrounds)
        scenes = mirror(scenes, random) if self.config.mirror_backgrounds else scenes
        masks = torch.zeros_like(scenes[:, :1]) if batch.masks is None else (batch.masks > 0).float()
        known = masks.amax(dim=(1, 2, 3), keepdim=True)
        real = torch.cat([to_signed(batch.real), masks], dim=1).contiguous(memory_format=torch.channels_last)
        moves = (step + 1) % self.n_critic == 0
        told: dict[str, Tensor] = {}
        z = self.latent(len(real), random)
        if self.config.background == "generated":
            told |= self._background_turn(z, scenes, labels, random, step, moves=moves)
        with torch.set_grad_enabled(moves), self.autocast():
            images, mask = self.generator(z, labels, self._scenes(z, scenes))
        # One pass serves both networks; the critic's step comes between it and its way back, as in every GAN.
        fake = torch.cat([images, mask * known], dim=1).contiguous(memory_format=torch.channels_last)
        told |= self.critic_step(real, fake.detach(), labels, random, step) | {"mask_area": (mask.detach() > 0).float().mean()}
        if moves:
            told |= self.generator_step(real, fake, labels, random, step, cost=self._prior(mask, known))
            self.average(step, self.images_per_step * self.n_critic)
        return told

    def _scenes(self, z: Tensor, scenes: Tensor) -> Tensor:
        """Gives what defects are laid over: real backgrounds, or generated ones, with or without their graph."""
        if self.config.background == "real":
            return scenes
        made = self.generator.scene(z)
        return made.detach() if self.config.freeze_background else made

    def _background_turn(self, z: Tensor, scenes: Tensor, labels: Tensor, random: torch.Generator, step: int, *, moves: bool) -> dict[str, Tensor]:
        """Plays the game of backgrounds."""
        with torch.set_grad_enabled(moves), self.autocast():
            fake = self.generator.scene(z)
        told = self.critic_step(scenes, fake.detach(), labels, random, step)
        if moves:
            told |= self.generator_step(scenes, fake, labels, random, step)
        return {f"{name}_background": value for name, value in told.items()}

    def _prior(self, mask: Tensor, known: Tensor) -> Tensor:
        """Says what a mask costs that is compared with no real one: an area beyond the free share or of next to nothing, and its edges."""
        # What counts is where the image is changed, however little: else the mask would be faint and everywhere.
        changed = mask + ((mask > 0).float() - mask).detach()
        share = changed.mean(dim=(1, 2, 3)) / self.config.mask_area
        area = functional.relu(share - 1.0) + functional.relu(1.0 - share / LEAST_SHARE)
        edges = (changed.diff(dim=2).abs().mean(dim=(1, 2, 3)) + changed.diff(dim=3).abs().mean(dim=(1, 2, 3))) / 2
        costs = self.config.mask_l1 * area + self.config.mask_smooth * edges
        return (costs * (1.0 - known.flatten())).mean()

    def augment(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Changes images before the critic sees them; a mask beside them keeps its values, and is moved and cut as they are."""
        channels = self.subject.channels
        names = self.config.diffaug.split(",")
        if "color" in names:
            images = torch.cat([diffaugment(images[:, :channels], "color", random), images[:, channels:]], dim=1)
        for policy in ("translation", "cutout"):
            images = diffaugment(images, policy, random) if policy in names else images
        return images

    @torch.no_grad()
    def sample(self, label: int, count: int, seed: int, *, truncation: float = 1.0, backgrounds: Tensor | None = None) -> Drawn:
        """Draws defects of one class and where they are; real backgrounds are each used once before any is used again."""
        generated = self.config.background == "generated"
        if not generated and (backgrounds is None or len(backgrounds) == 0):
            raise SettingsError("defect_residual draws defects on backgrounds and was given none: set data.backgrounds to folder or crops")
        seed = child_seed(seed, "sample", label)
        random = torch.Generator().manual_seed(seed)
        z = self.latent(count, random).to(self.device) * truncation
        labels = torch.full((count,), label, device=self.device)
        order = Shuffle(len(backgrounds), seed).rows(0, count) if backgrounds is not None and not generated else None
        images, masks = [], []
        for rows in torch.arange(count).split(SAMPLE_BATCH):
            if backgrounds is not None and order is not None:
                chosen = to_signed(backgrounds[order[rows].to(backgrounds.device)].cpu())
                scenes = (mirror(chosen, random) if self.config.mirror_backgrounds else chosen).to(self.device)
            with self.autocast():
                under = self.ema.scene(z[rows]) if order is None else scenes
                image, mask = self.ema(z[rows], labels[rows], under)
            images.append(to_pixels(image).cpu())
            masks.append(((mask > 0).to(torch.uint8) * 255).cpu().contiguous())
        return Drawn(items=torch.cat(images), masks=torch.cat(masks))

    def probe(self) -> tuple[Callable[[Tensor], Tensor], tuple[int, ...]]:
        """Gives the averaged generator as a function of latents; real backgrounds, which cost nothing, are grey there."""

        def produce(z: Tensor) -> Tensor:
            grey = torch.zeros(len(z), *self.subject.shape, device=z.device)
            scenes = self.ema.scene(z) if self.config.background == "generated" else grey
            images: Tensor = self.ema(z, torch.zeros(len(z), dtype=torch.int64, device=z.device), scenes)[0]
            return images

        return produce, (self.generator.latent_length,)
