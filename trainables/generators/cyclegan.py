"""CycleGAN (Zhu et al. 2017): two generators, background to defect and back, and a critic of each side. A model for each class.

PE-GAN's baseline. Its paper states no settings; these are those of the CycleGAN authors' code, where an epoch is read as PE-GAN's 1,000 backgrounds.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import SettingsError
from trainables.generators.bases.image_to_image import ImageToImageModel
from trainables.generators.bases.model import check_limits, millions, to_signed
from trainables.generators.bases.subject import Batch
from trainables.generators.networks.layers import initialise
from trainables.generators.networks.translators import Norm, Translator, image_norm, in_layout_of
from trainables.generators.training.diffaugment import Policy, diffaugment
from trainables.generators.training.image_pool import ImagePool
from trainables.generators.training.losses import PENALISED, autograd_slope, critic_loss, generator_loss, slope_penalty

LOAD_SCALE = 286 / 256
"""How much larger than its crop an image is made, in the authors' code."""
BLOCKS = {256: 9}
"""Residual blocks by side in pixels, where they are chosen by it; 6 at smaller ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CycleGanConfig:
    """Settings of CycleGAN (section 4 and appendix 7 of its paper, and the authors' code)."""

    lr: float = 2e-4
    """Learning rate of all networks."""
    betas: Literal["0.5,0.999", "0.5,0.9", "0.9,0.99", "0,0.9"] = "0.5,0.999"
    """Adam coefficients."""
    lambda_cyc: float = 10.0
    """Weight of the way there and back, in both directions."""
    lambda_idt: float = 0.5
    """Weight, in units of `lambda_cyc`, of leaving alone what is there already; 0 leaves that pass out."""
    adversarial_loss: Literal["lsgan", "hinge", "rpgan"] = "lsgan"
    """What the patch scores are trained with."""
    r1_gamma: float = 1.0
    """Weight of R1 and R2, with rpgan."""
    pool_size: int = 50
    """Synthetic images of each side that are kept to be shown to the critic later; 0 shows it the newest alone."""
    batch: int = 1
    """Images of each side per step."""
    base_width: int = 64
    """Channels after the first convolution of all networks."""
    n_res_blocks: int | Literal["auto"] = "auto"
    """Residual blocks; auto has 9 at 256 px and 6 below."""
    norm: Norm = "instance"
    """In all networks. The authors' instance norm takes the brightness and contrast of each image away, at every layer; layer norm, for comparison,
    does not, which surfaces of changing brightness ask for."""
    jitter: bool = True
    """Shows images enlarged by 286 / 256, cropped at random and mirrored left to right at random, of both sides."""
    mirror_backgrounds: bool = True
    """Mirrors backgrounds at random, in training and when drawing, so that few of them give more images."""
    diffaug: Policy = "none"
    """Changes to real and synthetic images before the critics see them (DiffAugment)."""
    lr_decay: Literal["none", "linear"] = "linear"
    """linear takes the learning rate to 0 from `decay_start` to the horizon."""
    decay_start: float = 0.5
    """Share of the horizon after which the learning rate falls; 100 of 200 epochs."""
    horizon_kimg: float = 400.0
    """Where a linear decay ends: 200 epochs of 1,000 backgrounds and as many defects."""
    class_mode: Literal["per_class"] = "per_class"
    """A model for each class."""
    ema_halflife_kimg: float = 0.0
    """Half-life of the weight average that is evaluated; 0 evaluates the weights as they are."""

    def __post_init__(self) -> None:
        weights = ["lambda_cyc", "lambda_idt", "r1_gamma", "pool_size", "ema_halflife_kimg", "decay_start"]
        check_limits(self, above_0=["lr", "horizon_kimg"], at_least_0=weights, at_least_1=["batch", "base_width"])
        if self.decay_start > 1:
            raise SettingsError(f"decay_start: {self.decay_start} is beyond the horizon; it is a share, from 0 to 1")
        if self.n_res_blocks != "auto" and self.n_res_blocks < 0:
            raise SettingsError(f"n_res_blocks: {self.n_res_blocks} is negative")
        if 0 < self.pool_size < self.batch:
            raise SettingsError(f"pool_size: {self.pool_size} cannot hold a batch of {self.batch}; 0 does without a pool")

    @property
    def horizon(self) -> float | None:
        """The last mark that the schedule of the learning rate allows, in kimg."""
        return self.horizon_kimg if self.lr_decay == "linear" else None


Sides = dict[str, Tensor]
"""Images or scores of the two sides, `defect` and `background`."""
OTHER = {"defect": "background", "background": "defect"}


class PatchCritic(nn.Module):
    """The 70 x 70 PatchGAN: three 4 x 4 convolutions of stride 2 and two of stride 1, with a norm after all but the ends."""

    def __init__(self, *, width: int, channels: int, norm: Norm = "instance") -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for now, stride in ((2 * width, 2), (4 * width, 2), (8 * width, 1)):
            layers += [nn.Conv2d(now // 2, now, 4, stride, 1, bias=False), image_norm(norm, now, affine=False), nn.LeakyReLU(0.2, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Scores each patch of images (B, C, H, W): float32 (B, 1, H / 8 - 2, W / 8 - 2), linear."""
        scores: Tensor = self.layers(in_layout_of(images, self.layers))
        return scores.float()


class CycleGan(ImageToImageModel):
    """Both directions in each step: one update of both generators, then one of both critics."""

    class_modes = ("per_class",)
    takes_vectors = False
    VERSION = 2
    Config = CycleGanConfig
    config: CycleGanConfig

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes a generator to, and a critic of, defects and backgrounds; convolutions are drawn from N(0, 0.02)."""
        width, channels, blocks, norm = self.config.base_width, self.subject.channels, self.config.n_res_blocks, self.config.norm
        if blocks == "auto":
            blocks = BLOCKS.get(self.subject.size_px, 6)

        def generator() -> nn.Module:
            return Translator(width=width, blocks=blocks, side=3, channels=channels, reflects=True, norm=norm, affine=False)

        generators = nn.ModuleDict({side: generator() for side in OTHER})
        critics = nn.ModuleDict({side: PatchCritic(width=width, channels=channels, norm=norm) for side in OTHER})
        initialise(generators)
        initialise(critics)
        shape, size = self.subject.shape, self.config.pool_size
        self.pools = {side: ImagePool(size, shape, self.device) for side in OTHER}
        return generators, critics

    @property
    def backgrounds_per_step(self) -> int:
        """Backgrounds per step: as many as defects."""
        return self.config.batch

    @property
    def _generators(self) -> dict[str, nn.Module]:
        """The generators in training, by the side that they lead to."""
        assert isinstance(self.generator, nn.ModuleDict)
        return dict(self.generator.items())

    @property
    def _critics(self) -> dict[str, nn.Module]:
        """The critics by the side that they judge."""
        assert isinstance(self.critic, nn.ModuleDict)
        return dict(self.critic.items())

    def parameters_m(self) -> float:
        """Counts the parameters of the generator that puts defects on backgrounds, in millions."""
        return millions(self._generators["defect"])

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Moves both generators, then both critics on what the pools show."""
        assert batch.backgrounds is not None, "the loop refuses a training without backgrounds"
        random = self.random(step)
        self.schedule(step)
        defects, scenes = to_signed(batch.real), self.scenes(batch.backgrounds, random)
        if self.config.jitter:
            defects, scenes = jittered(defects, random), jittered(scenes, random)
        real = {"defect": defects, "background": scenes}
        told, fakes = self._generator_step(real, random)
        told |= self._critic_step(real, {side: self.pools[side].exchange(fake, random) for side, fake in fakes.items()}, random)
        self.average(step, self.images_per_step)
        return told

    def _generator_step(self, real: Sides, random: torch.Generator) -> tuple[dict[str, Tensor], Sides]:
        """Eq. 3, with the identity loss of section 5.2; gives what was made as well, without a graph."""
        config, made, fakes, loss_adv = self.config, {}, {}, []
        self.critic.requires_grad_(False)
        self.optimizer_g.zero_grad(set_to_none=True)
        with self.autocast():
            for side, other in OTHER.items():
                # What is to be changed and what is to be left alone share a pass: norms look at each image by itself.
                inputs = torch.cat([real[other], real[side]]) if config.lambda_idt > 0 else real[other]
                made[side] = self._generators[side](inputs)
                fakes[side] = made[side][: len(real[other])]
            back = {side: self._generators[side](fakes[other]) for side, other in OTHER.items()}
            for side in OTHER:
                on_real = None
                if config.adversarial_loss == "rpgan":
                    with torch.no_grad():
                        on_real = self._critics[side](diffaugment(real[side], config.diffaug, random))
                on_fake = self._critics[side](diffaugment(fakes[side], config.diffaug, random))
                loss_adv.append(self._unhalved * generator_loss(config.adversarial_loss, on_fake, on_real))
        loss_cyc = l1_of_both(back, real)
        loss = loss_adv[0] + loss_adv[1] + config.lambda_cyc * loss_cyc
        told = {"loss_g": (loss_adv[0] + loss_adv[1]).detach(), "loss_cyc": loss_cyc.detach()}
        if config.lambda_idt > 0:
            loss_idt = l1_of_both({side: images[len(fakes[side]) :] for side, images in made.items()}, real)
            loss = loss + config.lambda_cyc * config.lambda_idt * loss_idt
            told["loss_idt"] = loss_idt.detach()
        loss.backward()
        self.optimizer_g.step()
        return told, {side: images.detach() for side, images in fakes.items()}

    def _critic_step(self, real: Sides, fakes: Sides, random: torch.Generator) -> dict[str, Tensor]:
        """Moves both critics by half of their loss, which slows them down beside the generators."""
        config, parts = self.config, []
        self.critic.requires_grad_(True)
        self.optimizer_d.zero_grad(set_to_none=True)
        told = {}
        for side, critic in self._critics.items():
            shown, fake = diffaugment(real[side], config.diffaug, random), diffaugment(fakes[side], config.diffaug, random)
            with self.autocast():
                scores = critic(torch.cat([shown, fake]))
            parts.append(self._unhalved * critic_loss(config.adversarial_loss, *scores.chunk(2)))
            if config.adversarial_loss in PENALISED:
                # The slope is that of a sum over patches. Where these hardly overlap, R1 of the sum is as many times that of one.
                weights = {"gp_lambda": 0.0, "r1_gamma": config.r1_gamma / scores[0].numel()}
                penalty = slope_penalty(config.adversarial_loss, autograd_slope(critic), shown, fake, random, **weights)
                parts.append(penalty)
                told[f"penalty_{side}"] = penalty.detach()
        loss = 0.5 * torch.stack(parts).sum()
        loss.backward()
        self.optimizer_d.step()
        return {"loss_d": loss.detach(), **told}

    @property
    def _unhalved(self) -> float:
        """What takes the half of our least squares away: the authors' are plain means of squares."""
        return 2.0 if self.config.adversarial_loss == "lsgan" else 1.0

    def produce(self, scenes: Tensor, label: int) -> Tensor:
        """Puts defects on backgrounds; see `ImageToImageModel.produce`."""
        out: Tensor = self.ema["defect"](scenes)
        return out

    def eliminate(self, images: Tensor) -> Tensor:
        """Takes the defects of images away; see `ImageToImageModel.eliminate`."""
        out: Tensor = self.ema["background"](images)
        return out

    def state(self) -> dict[str, Any]:
        """Gives everything that continues the training: the pools too."""
        pools = {side: {"images": pool.images, "filled": pool.filled} for side, pool in self.pools.items()}
        return {**super().state(), "pools": pools}

    def load(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave."""
        super().load(state)
        for side, pool in self.pools.items():
            pool.images.copy_(state["pools"][side]["images"])
            pool.filled = int(state["pools"][side]["filled"])


def l1_of_both(made: Sides, real: Sides) -> Tensor:
    """Sums the mean absolute differences of both sides: the cycle loss (eq. 2) of what came back, the identity loss of what was to stay."""
    return functional.l1_loss(made["defect"], real["defect"]) + functional.l1_loss(made["background"], real["background"])


def jittered(images: Tensor, random: torch.Generator) -> Tensor:
    """Enlarges images (B, C, H, H) in [-1, 1] by 286 / 256, crops them at random and mirrors them left to right with probability one half."""
    count, _, size, _ = images.shape
    larger = functional.interpolate(images, size=round(size * LOAD_SCALE), mode="bicubic", align_corners=False).clamp(-1, 1)
    top, left = (torch.randint(larger.shape[2] - size + 1, (count, 1, 1), generator=random, device=images.device) for _ in range(2))
    across = torch.arange(size, device=images.device)
    turned = torch.rand(count, 1, 1, generator=random, device=images.device) < 0.5
    rows = top + across[None, :, None]
    columns = left + torch.where(turned, size - 1 - across[None, None, :], across[None, None, :])
    picture = torch.arange(count, device=images.device)[:, None, None]
    return larger.permute(0, 2, 3, 1)[picture, rows, columns].permute(0, 3, 1, 2)
