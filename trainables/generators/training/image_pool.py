"""Synthetic images of earlier steps, which a critic is shown again so that it does not forget them. Used by `cyclegan`."""

import torch
from torch import Tensor


class ImagePool:
    """Synthetic images of earlier steps (Shrivastava et al. 2017): half of what a critic is shown comes from here, once the pool is full."""

    def __init__(self, size: int, shape: tuple[int, ...], device: torch.device) -> None:
        self.images = torch.zeros(size, *shape, device=device)
        """float32 (size, C, H, W); the first `filled` of them mean something."""
        self.filled = 0

    def exchange(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Keeps and shows new images until it is full; then, with probability one half each, shows an old one whose place the new one takes.

        Args:
            images: float32 (B, C, H, W) without a graph, B at most the pool's size.
            random: decides; the images of one batch meet different places.

        Returns:
            (B, C, H, W), never the tensor that was given.
        """
        shown = images.clone()
        size = len(self.images)
        if size == 0:
            return shown
        new = min(size - self.filled, len(images))
        if new:
            self.images[self.filled : self.filled + new] = images[:new]
            self.filled += new
        if new < len(images):
            rest = images[new:]
            places = torch.randperm(size, generator=random, device=images.device)[: len(rest)]
            swaps = torch.rand(len(rest), 1, 1, 1, generator=random, device=images.device) < 0.5
            old = self.images[places]
            shown[new:] = torch.where(swaps, old, rest)
            self.images[places] = torch.where(swaps, rest, old)
        return shown
