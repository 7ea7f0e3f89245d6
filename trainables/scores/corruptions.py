"""What images are disturbed by to see how an inspector bears it, in five severities. Called by `measures.robustness` and `scores.sensitivity`.

The SDG-GAN paper tells of blur, noise, extreme light and scratches laid over, without magnitudes; those here are systems.md 2.6's. Those of salt and
pepper and of the gradient attack, which it has not, are ours. Lengths in pixels are those of the images as the inspector sees them.

Every corruption is a pure function of (images, severity, generator): images (N, C, H, W) uint8 on any device, severity 0 (the images as they are) to
5. As many random numbers are drawn at every severity, so that with equal seeds a severer picture is the milder one, further gone.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

SEVERITIES = (0, 1, 2, 3, 4, 5)

Corruption = Callable[[Tensor, int, torch.Generator], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
"""Takes floats (B, C, H, W) in -1..1 and the rows (B,) int64 that they have in the whole set; gives the scalar that the attack raises. The inspector
must be in evaluation mode, so that no image's gradient depends on the others."""

BLUR_SIGMA_PX = (0.5, 1.0, 2.0, 3.0, 4.0)
NOISE_SIGMA = (5.0, 10.0, 20.0, 30.0, 40.0)
"""Grey levels of 255."""
SALT_AND_PEPPER = (0.01, 0.02, 0.05, 0.10, 0.20)
"""Share of pixels that are replaced."""
BRIGHTNESS = tuple(2.5 ** (severity / 5) for severity in SEVERITIES[1:])
"""An image is multiplied or divided by this: 0.4 to 2.5 at the severest."""
SCRATCHES = (1, 2, 4, 6, 8)
"""Lines laid over an image."""
GRADIENT_STEP = (1, 2, 4, 8, 16)
"""Grey levels of 255 by which every pixel is moved."""
SCRATCH_OPACITY = 0.8
SCRATCH_WIDTH = 1 / 128
"""Share of the image's side; a pixel at least."""
CHUNK = 128
"""Images that are worked on at a time, in floats."""
GRADIENT_CHUNK = 16
"""The same, where a network's gradient is taken: it holds what all its layers said."""


def blur(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Blurs with a Gaussian of 0.5 to 4 px, cut off at three deviations; edges are mirrored. Draws nothing."""
    if _untouched(severity):
        return images

    def work(values: Tensor, rows: slice) -> Tensor:
        for axis in (2, 3):
            values = _blur_along(values, BLUR_SIGMA_PX[severity - 1], axis)
        return values

    return _in_chunks(images, work)


def _blur_along(values: Tensor, sigma: float, axis: int) -> Tensor:
    # A mirror reaches no further than the image.
    reach = min(round(3 * sigma), values.shape[axis] - 1)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=values.device) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    flat = values.movedim(axis, 3)
    shape = flat.shape
    lines = F.pad(flat.reshape(-1, 1, shape[3]), (reach, reach), mode="reflect")
    return F.conv1d(lines, kernel[None, None]).reshape(shape).movedim(3, axis)


def noise(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Adds Gaussian noise of 5 to 40 grey levels, its own in every pixel and channel."""
    if _untouched(severity):
        return images

    def work(values: Tensor, rows: slice) -> Tensor:
        return values + NOISE_SIGMA[severity - 1] * torch.randn(values.shape, generator=generator, device=generator.device).to(values.device)

    return _in_chunks(images, work)


def salt_and_pepper(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Makes 1 to 20 percent of the pixels black or white, in all channels at once."""
    if _untouched(severity):
        return images

    def work(values: Tensor, rows: slice) -> Tensor:
        count, _, height, width = values.shape
        place, shade = torch.rand(2, count, 1, height, width, generator=generator, device=generator.device).to(values.device)
        return torch.where(place < SALT_AND_PEPPER[severity - 1], (shade < 0.5).float() * 255.0, values)

    return _in_chunks(images, work)


def brightness(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Multiplies or divides each image, by the toss of a coin, by 1.2 to 2.5."""
    if _untouched(severity):
        return images
    brighter = torch.rand(len(images), 1, 1, 1, generator=generator, device=generator.device) < 0.5
    factor = BRIGHTNESS[severity - 1]
    factors = torch.where(brighter, factor, 1.0 / factor)
    return _in_chunks(images, lambda values, rows: values * factors[rows].to(values.device))


def scratches(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Lays 1 to 8 thin bright or dark lines over each image, a third of its side to the whole of it long, in any direction."""
    if _untouched(severity):
        return images
    height, width = images.shape[2:]
    # Down, across, direction, length, shade of each line that the severest image has.
    drawn = torch.rand(len(images), SCRATCHES[-1], 5, generator=generator, device=generator.device)
    down = torch.arange(height, dtype=torch.float32, device=images.device)[:, None] + 0.5
    across = torch.arange(width, dtype=torch.float32, device=images.device)[None, :] + 0.5
    side = float(max(height, width))
    half_width = max(1.0, side * SCRATCH_WIDTH) / 2

    def work(values: Tensor, rows: slice) -> Tensor:
        for line in range(SCRATCHES[severity - 1]):
            y, x, turn, length, shade = drawn[rows, line].to(values.device).T[:, :, None, None]
            dy, dx = down - y * height, across - x * width
            sine, cosine = (turn * torch.pi).sin(), (turn * torch.pi).cos()
            beyond = ((dy * sine + dx * cosine).abs() - side * (1 / 3 + 2 / 3 * length) / 2).clamp(min=0)
            distance = torch.hypot(dy * cosine - dx * sine, beyond)
            cover = (SCRATCH_OPACITY * (half_width + 0.5 - distance).clamp(0, 1))[:, None]
            values = values + cover * ((shade < 0.5).float()[:, None] * 255.0 - values)
        return values

    return _in_chunks(images, work)


def gradient(images: Tensor, severity: int, generator: torch.Generator, *, loss: Loss) -> Tensor:
    """Moves every pixel by 1 to 16 grey levels to where the loss rises (the fast gradient sign method, Goodfellow et al. 2015). Draws nothing."""
    if _untouched(severity):
        return images

    def work(values: Tensor, rows: slice) -> Tensor:
        inputs = (values / 127.5 - 1.0).requires_grad_()
        with torch.enable_grad():
            risen = loss(inputs, torch.arange(rows.start, rows.start + len(values), device=values.device))
        return values + GRADIENT_STEP[severity - 1] * torch.autograd.grad(risen, inputs)[0].sign()

    return _in_chunks(images, work, GRADIENT_CHUNK)


def corruptions(loss: Loss) -> dict[str, Corruption]:
    """Gives all corruptions, by the names of `names.CORRUPTIONS` and in their order.

    Args:
        loss: what the gradient attack raises.
    """
    return {
        "blur": blur,
        "noise": noise,
        "salt_and_pepper": salt_and_pepper,
        "brightness": brightness,
        "scratches": scratches,
        "gradient": partial(gradient, loss=loss),
    }


def _untouched(severity: int) -> bool:
    assert severity in SEVERITIES, severity
    return severity == 0


def _in_chunks(images: Tensor, work: Callable[[Tensor, slice], Tensor], chunk: int | None = None) -> Tensor:
    """Works on floats of 0..255, some images at a time, and rounds what comes out to grey levels."""
    done, chunk = [], chunk or CHUNK
    for start in range(0, len(images), chunk):
        rows = slice(start, start + chunk)
        done.append(work(images[rows].float(), rows).clamp(0, 255).round().to(torch.uint8))
    return torch.cat(done) if done else images
