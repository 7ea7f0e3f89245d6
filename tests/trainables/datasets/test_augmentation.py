"""Augmentation: on batches, repeatable, and nothing but what it says."""

import pytest
import torch

from trainables.datasets.augmentation import POLICIES, augment
from trainables.errors import SettingsError


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_shape_type_and_repeatability(policy: str, kind: torch.dtype) -> None:
    images = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8, generator=source())
    batch = images if kind == torch.uint8 else images.float() / 127.5 - 1.0
    one, two = (augment(batch, policy, source(1)) for _ in range(2))  # type: ignore[arg-type]
    assert one.shape == batch.shape and one.dtype == batch.dtype
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    if kind == torch.float32:
        assert one.min() >= -1.0 and one.max() <= 1.0
    if policy != "none":
        assert not torch.equal(one, augment(batch, policy, source(2)))  # type: ignore[arg-type]


def test_flips_reach_all_four_and_only_these() -> None:
    image = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4)
    seen = {tuple(out.flatten().tolist()) for out in augment(image.expand(200, -1, -1, -1), "flips", source())}
    assert seen == {tuple(image.flip(dims).flatten().tolist()) for dims in ([], [2], [3], [2, 3])}


def test_bytes_and_floats_are_changed_alike() -> None:
    images = torch.randint(60, 190, (4, 1, 16, 16), dtype=torch.uint8, generator=source())
    by_bytes = augment(images, "classical", source(3)).float()
    by_floats = augment(images.float() / 127.5 - 1.0, "classical", source(3))
    torch.testing.assert_close((by_floats + 1.0) * 127.5, by_bytes, rtol=0, atol=0.51)


def test_unknown_policy() -> None:
    with pytest.raises(SettingsError, match="classical"):
        augment(torch.zeros(1, 1, 4, 4), "heavy", source())  # type: ignore[arg-type]
