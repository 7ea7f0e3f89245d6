"""Self-attention over the places of a map, which `fastgan` and `flow_unet` offer at low resolution."""

from torch import Tensor, nn
from torch.nn import functional

HEAD_WIDTH = 32
"""Channels of one head."""
FIRST_SHARE = 0.01
"""Scale of the weights that lead back into the map at first: a block that begins as nearly the identity trains from the start."""


def group_norm(channels: int) -> nn.GroupNorm:
    """Makes a group norm over groups of at least four channels, at most 32 of them (Wu and He 2018)."""
    groups = max(1, min(32, channels // 4))
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


class SelfAttention(nn.Module):
    """Softmax attention in heads of 32 channels (Vaswani et al. 2017), normed first and added to the map.

    It has no second derivative where torch fuses it, so it is no part of a critic under a penalty.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // HEAD_WIDTH)
        while channels % self.heads:
            self.heads -= 1
        self.norm = group_norm(channels)
        self.ask = nn.Conv2d(channels, 3 * channels, 1)
        self.answer = nn.Conv2d(channels, channels, 1)
        shrink(self.answer)

    def forward(self, maps: Tensor) -> Tensor:
        """Keeps the shape (B, C, H, W)."""
        count, channels, height, width = maps.shape
        asked = self.ask(self.norm(maps)).permute(0, 2, 3, 1)
        query, key, value = asked.reshape(count, height * width, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(1, 2).reshape(count, height, width, channels).permute(0, 3, 1, 2)
        out: Tensor = maps + self.answer(mixed)
        return out


def shrink(layer: nn.Conv2d) -> None:
    """Scales a fresh layer down by `FIRST_SHARE`; its bias becomes 0."""
    layer.weight.data.mul_(FIRST_SHARE)
    assert layer.bias is not None, "such a layer has a bias"
    nn.init.zeros_(layer.bias)
