"""The networks of StyleGAN2 (Karras et al. 2020): mapping, skip generator of modulated convolutions, residual discriminator. Built by `stylegan2`.

Weights are equalised (Karras et al. 2018): kept N(0, 1) and scaled by 1 / sqrt(fan in) where they are used. Wide maps and wide weights are never
multiplied by such constants: a LeakyReLU passes positive factors on, so they wait for a blur kernel, a modulation or a sum that multiplies anyway.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.generators.bases.subject import Subject
from trainables.generators.networks.layers import ClassCode

SLOPE = 0.2
ACTIVATION_GAIN = math.sqrt(2.0)
"""What a LeakyReLU is multiplied by, to keep the power of its input."""
SMALLEST = 1e-8
"""Added below square roots and divisions."""


def map_sides(size_px: int) -> list[int]:
    """Lists the sides of the maps, from 4 to that of the image."""
    return [2**power for power in range(2, int(math.log2(size_px)) + 1)]


def to_unit_power(x: Tensor) -> Tensor:
    """Scales vectors (B, D) to a mean square of 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + SMALLEST).rsqrt()


def activate(x: Tensor) -> Tensor:
    """LeakyReLU 0.2 in place, without the gain."""
    return functional.leaky_relu(x, SLOPE, inplace=True)


class EqualLinear(nn.Module):
    """A fully connected layer with equalised weights."""

    def __init__(self, inside: int, outside: int, *, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outside, inside))
        self.bias = nn.Parameter(torch.full((outside,), bias))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, inside) to (B, outside)."""
        return torch.addmm(self.bias, x, self.weight.t(), alpha=self.weight.shape[1] ** -0.5)


class EqualConv2d(nn.Module):
    """A convolution with equalised weights, whose scale is left to what follows: its true output is `gain` times what it returns."""

    def __init__(self, inside: int, outside: int, side: int, *, stride: int = 1, padding: int = 0, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outside, inside, side, side))
        self.bias = nn.Parameter(torch.zeros(outside)) if bias else None
        self.stride, self.padding = stride, padding
        self.gain = 1.0 / math.sqrt(inside * side * side)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, inside, H, W) to (B, outside, ...), 1 / gain times too large."""
        return functional.conv2d(maps, self.weight, None if self.bias is None else self.bias / self.gain, self.stride, self.padding)


class Blur(nn.Module):
    """[1, 3, 3, 1] down and across, each channel by itself, and times a gain."""

    kernel: Tensor

    def __init__(self, channels: int, *, padding: int, gain: float = 1.0) -> None:
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8.0
        self.register_buffer("kernel", (gain * torch.outer(line, line)).expand(channels, 1, 4, 4).clone(), persistent=False)
        self.padding = padding

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, channels, H, W) to (B, channels, H + 2 padding - 3, ...)."""
        return functional.conv2d(maps, self.kernel, padding=self.padding, groups=len(self.kernel))

    def upsample(self, images: Tensor) -> Tensor:
        """Doubles (B, channels, H, W): zeros are put between pixels, which the blur fills; gain 4 and padding 1 keep brightness and size."""
        return functional.conv_transpose2d(images, self.kernel, stride=2, padding=self.padding, groups=len(self.kernel))


class Mapping(nn.Module):
    """Turns latent and class code into w: each scaled to unit power, then fully connected layers."""

    def __init__(self, *, latent_dim: int, code_width: int, w_dim: int, depth: int) -> None:
        super().__init__()
        self.embed = EqualLinear(code_width, w_dim) if code_width else None
        first = latent_dim + (w_dim if code_width else 0)
        self.layers = nn.ModuleList(EqualLinear(first if layer == 0 else w_dim, w_dim) for layer in range(depth))

    def forward(self, z: Tensor, code: Tensor) -> Tensor:
        """Maps z (B, latent_dim) and code (B, code_width) to w (B, w_dim), float32; either may be of width 0."""
        with torch.autocast(z.device.type, enabled=False):
            x = to_unit_power(z.float()) if z.shape[1] else z
            if self.embed is not None:
                x = torch.cat([x, to_unit_power(self.embed(code))], dim=1)
            for layer in self.layers:
                x = activate(layer(x)) * ACTIVATION_GAIN
            return x


class StyleConv(nn.Module):
    """A 3 x 3 convolution whose inputs are scaled by a style of w and whose outputs are scaled back to unit power; then noise, bias, LeakyReLU.

    Scaling the maps before and after one shared convolution equals scaling the weights image by image (equations 1 and 3), and is much faster.
    The gain of the LeakyReLU is left to whoever takes the maps.
    """

    def __init__(self, inside: int, outside: int, w_dim: int, *, up: bool, input_gain: float) -> None:
        super().__init__()
        self.affine = EqualLinear(w_dim, inside, bias=1.0)
        self.weight = nn.Parameter(torch.randn(*((inside, outside) if up else (outside, inside)), 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outside))
        self.blur = Blur(outside, padding=1, gain=4.0) if up else None
        self.input_gain = input_gain

    def scales(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Gives what inputs (B, inside, 1, 1) and outputs (B, outside, 1, 1) are multiplied by, float32."""
        with torch.autocast(w.device.type, enabled=False):
            style = self.affine(w)
            power = self.weight.square().sum(dim=(2, 3))
            power = power if self.blur is not None else power.t()
            back = (style.square() @ power + SMALLEST).rsqrt() * self.input_gain
        return style[:, :, None, None], back[:, :, None, None]

    def forward(self, maps: Tensor, w: Tensor, random: torch.Generator) -> Tensor:
        """Maps (B, inside, H, W) and w (B, w_dim) to (B, outside, H, W), or twice that side; `random` draws the noise."""
        style, back = self.scales(w)
        maps = maps * style.to(maps.dtype)
        if self.blur is not None:
            maps = self.blur(functional.conv_transpose2d(maps, self.weight, stride=2))
        else:
            maps = functional.conv2d(maps, self.weight, padding=1)
        maps = maps * back.to(maps.dtype)
        noise = torch.randn(len(maps), 1, *maps.shape[2:], generator=random, device=random.device).to(maps.device)
        maps += (noise * self.noise_strength).to(maps.dtype)
        maps += self.bias[:, None, None].to(maps.dtype)
        return activate(maps)


class ToImage(nn.Module):
    """A 1 x 1 convolution of maps to an image, modulated but not demodulated."""

    def __init__(self, inside: int, channels: int, w_dim: int) -> None:
        super().__init__()
        self.affine = EqualLinear(w_dim, inside, bias=1.0)
        self.weight = nn.Parameter(torch.randn(inside, channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.gain = ACTIVATION_GAIN / math.sqrt(inside)

    def forward(self, maps: Tensor, w: Tensor) -> Tensor:
        """Maps (B, inside, H, W) and w (B, w_dim) to images (B, channels, H, W), float32."""
        with torch.autocast(w.device.type, enabled=False):
            weight = (self.affine(w) * self.gain)[:, :, None] * self.weight
        # Few outputs: a product over the rows of pixels needs no scaled copy of the maps.
        rows = maps.permute(0, 2, 3, 1).flatten(1, 2)
        image = torch.bmm(rows, weight.to(rows.dtype)).float() + self.bias
        return image.unflatten(1, maps.shape[2:]).permute(0, 3, 1, 2)


class StyleGenerator(nn.Module):
    """A learned 4 x 4 map, doubled up to the image; the image is the sum of what each side adds to the doubled one before (skips).

    `w_sum / w_weight` is the average w of each class, towards which truncation pulls: with several classes the mean of all would pull them together.
    """

    w_sum: Tensor
    w_weight: Tensor

    def __init__(self, *, subject: Subject, latent_dim: int, mapping_depth: int, channels: dict[int, int]) -> None:
        super().__init__()
        sides = map_sides(subject.size_px)
        self.code = ClassCode(subject)
        self.mapping = Mapping(latent_dim=latent_dim, code_width=self.code.width, w_dim=latent_dim, depth=mapping_depth)
        self.start = nn.Parameter(torch.randn(1, channels[4], 4, 4))
        layers = [StyleConv(channels[4], channels[4], latent_dim, up=False, input_gain=1.0)]
        for before, side in pairwise(sides):
            layers.append(StyleConv(channels[before], channels[side], latent_dim, up=True, input_gain=ACTIVATION_GAIN))
            layers.append(StyleConv(channels[side], channels[side], latent_dim, up=False, input_gain=ACTIVATION_GAIN))
        self.layers = nn.ModuleList(layers)
        self.images = nn.ModuleList(ToImage(channels[side], subject.channels, latent_dim) for side in sides)
        self.upsampling = Blur(subject.channels, padding=1, gain=4.0)
        self.register_buffer("w_sum", torch.zeros(subject.num_classes, latent_dim))
        self.register_buffer("w_weight", torch.zeros(subject.num_classes))

    @property
    def num_styles(self) -> int:
        """How many w an image takes: one a convolution, and the last image layer's."""
        return len(self.layers) + 1

    def map(self, z: Tensor, labels: Tensor) -> Tensor:
        """Maps z (B, latent_dim) and labels (B,) to w (B, latent_dim), float32."""
        w: Tensor = self.mapping(z, self.code(labels))
        return w

    def middle(self, labels: Tensor) -> Tensor:
        """Gives the average w of each label's class, (B, latent_dim); 0 of a class that was never shown."""
        return (self.w_sum / self.w_weight.clamp(min=SMALLEST)[:, None])[labels]

    @torch.no_grad()
    def follow(self, w: Tensor, labels: Tensor, keep: float) -> None:
        """Moves the average w of the classes shown towards the mean of w (B, latent_dim); `keep` is what a batch of all classes leaves of the old."""
        classes = len(self.w_weight)
        shown = functional.one_hot(labels, classes).float()
        counts = shown.sum(dim=0)
        kept = keep ** (counts * classes / len(labels))
        self.w_sum.mul_(kept[:, None]).add_((1.0 - kept)[:, None] * (shown.t() @ w) / counts.clamp(min=1.0)[:, None])
        self.w_weight.mul_(kept).add_(1.0 - kept)

    def synthesise(self, styles: Tensor, random: torch.Generator) -> Tensor:
        """Maps styles (B, num_styles, latent_dim) to images (B, channels, size, size), float32 around [-1, 1]; `random` draws the noise."""
        maps = self.layers[0](self.start.expand(len(styles), -1, -1, -1), styles[:, 0], random)
        image = self.images[0](maps, styles[:, 1])
        for at in range(1, len(self.images)):
            maps = self.layers[2 * at - 1](maps, styles[:, 2 * at - 1], random)
            maps = self.layers[2 * at](maps, styles[:, 2 * at], random)
            with torch.autocast(image.device.type, enabled=False):
                image = self.upsampling.upsample(image)
            image = image + self.images[at](maps, styles[:, 2 * at + 1])
        return image

    def forward(self, z: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
        """Maps z and labels to images, one w for all layers."""
        return self.synthesise(self.map(z, labels)[:, None].expand(-1, self.num_styles, -1), random)


class ResidualBlock(nn.Module):
    """Halves maps: 3 x 3, blur, 3 x 3 with stride 2, beside blur and 1 x 1 with stride 2; the sum is scaled by sqrt(1/2)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = EqualConv2d(inside, inside, 3, padding=1)
        self.second = EqualConv2d(inside, outside, 3, stride=2)
        self.skip = EqualConv2d(inside, outside, 1, stride=2, bias=False)
        # The blurs take over the gains that the convolutions and the first LeakyReLU leave; the second's sqrt(2) and the sum's sqrt(1/2) cancel.
        self.blur = Blur(inside, padding=2, gain=self.first.gain * ACTIVATION_GAIN)
        self.skip_blur = Blur(inside, padding=1, gain=self.skip.gain * math.sqrt(0.5))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, inside, H, W) to (B, outside, H / 2, W / 2)."""
        # Blurring all and then leaving out every second pixel: bf16 on CPUs has no fast depthwise convolution with a stride.
        beside = self.skip(self.skip_blur(maps))
        maps = activate(self.second(self.blur(activate(self.first(maps)))))
        return torch.add(beside, maps, alpha=self.second.gain)


def append_deviation(maps: Tensor, group: int) -> Tensor:
    """Appends to maps (B, C, H, W) a channel with the standard deviation over groups of `group` consecutive images, averaged over all of a map."""
    grouped = maps.float().unflatten(0, (-1, group))
    deviation = (grouped.var(dim=1, correction=0) + SMALLEST).sqrt().mean(dim=(1, 2, 3))
    channel = deviation.repeat_interleave(group)[:, None, None, None].expand(-1, 1, *maps.shape[2:])
    return torch.cat([maps, channel.to(maps.dtype)], dim=1)


class Discriminator(nn.Module):
    """Residual blocks down to 4 x 4, the deviation within groups of the batch, and one score; a class is told by projection.

    Groups are of consecutive images, so that real and synthetic ones may go through it in one batch.
    """

    def __init__(self, *, subject: Subject, mapping_depth: int, channels: dict[int, int], group: int) -> None:
        super().__init__()
        sides = map_sides(subject.size_px)[::-1]
        last = channels[4]
        self.group = group
        self.entry = EqualConv2d(subject.channels, channels[sides[0]], 1)
        self.blocks = nn.Sequential(*(ResidualBlock(channels[side], channels[half]) for side, half in pairwise(sides)))
        self.last = EqualConv2d(last + int(group > 1), last, 3, padding=1)
        self.dense = EqualLinear(16 * last, last)
        self.code = ClassCode(subject)
        width = self.code.width
        self.mapping = Mapping(latent_dim=0, code_width=width, w_dim=last, depth=mapping_depth) if width else None
        self.score = EqualLinear(last, last if width else 1)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores images (B, C, H, W) around [-1, 1] as their class (B,): float32 (B,), linear. B is a multiple of the group."""
        # Few weights, wide maps: here the gains go into the weights.
        gain = self.entry.gain * ACTIVATION_GAIN
        assert self.entry.bias is not None
        maps = activate(functional.conv2d(images, self.entry.weight * gain, self.entry.bias * ACTIVATION_GAIN))
        maps = self.blocks(maps)
        if self.group > 1:
            maps = append_deviation(maps, self.group)
        maps = activate(self.last(maps)).float() * (self.last.gain * ACTIVATION_GAIN)
        with torch.autocast(images.device.type, enabled=False):
            out: Tensor = self.score(activate(self.dense(maps.flatten(1))) * ACTIVATION_GAIN)
            if self.mapping is None:
                return out.squeeze(1)
            told = self.mapping(out[:, :0], self.code(labels))
            return (out * told).sum(dim=1) / math.sqrt(out.shape[1])
