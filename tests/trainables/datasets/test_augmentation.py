"""Augmentation: on batches, repeatable, and nothing but what it says."""

import pytest
import torch

from trainables.datasets.augmentation import EPOCH_FOLD, HARDENED, POLICIES, augment, augment_with, relight
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


def grey(count: int = 6, side: int = 16, kind: torch.dtype = torch.uint8) -> torch.Tensor:
    images = torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8, generator=source())
    return images if kind == torch.uint8 else images.float() / 127.5 - 1.0


def disc(count: int, side: int = 64, radius: float = 0.15) -> torch.Tensor:
    """A disc of ones in the middle, (count, 1, side, side) uint8."""
    ticks = (torch.arange(side) + 0.5) / side - 0.5
    return (ticks.view(-1, 1) ** 2 + ticks**2 < radius**2).to(torch.uint8).expand(count, 1, -1, -1)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_images_are_changed_alike_with_planes_and_without(policy: str, kind: torch.dtype) -> None:
    images, planes = grey(kind=kind), torch.zeros(6, 2, 16, 16)
    alone, beside = source(4), source(4)
    torch.testing.assert_close(augment(images, policy, alone), augment_with(images, planes, policy, beside)[0], rtol=0, atol=0)  # type: ignore[arg-type]
    assert torch.equal(alone.get_state(), beside.get_state())


@pytest.mark.parametrize("policy", POLICIES)
def test_class_numbers_stay_class_numbers(policy: str) -> None:
    planes = torch.randint(0, 3, (8, 2, 16, 16), dtype=torch.uint8, generator=source()) * 50
    _, moved = augment_with(grey(8), planes, policy, source(1))  # type: ignore[arg-type]
    assert moved is not None and moved.dtype == torch.uint8 and moved.shape == planes.shape
    assert set(moved.unique().tolist()) == {0, 50, 100}
    assert torch.equal(moved, planes) == (policy in ("none", "brightness")), "light leaves planes alone, geometry does not"


@pytest.mark.parametrize("policy", ["flips", "classical", "sdg", "sdg_hardened"])
def test_whole_pixels_move_to_the_same_places_in_images_and_planes(policy: str) -> None:
    """Planes that number the pixels say where each came from; the image's pixels, relit, keep their order of brightness along it."""
    numbers = torch.arange(256.0).view(1, 1, 16, 16).expand(6, 1, -1, -1)
    images = (numbers / 255.0 - 0.5) * 0.4
    changed, moved = augment_with(images, numbers, policy, source(2))  # type: ignore[arg-type]
    assert moved is not None
    for image, places in zip(changed, moved, strict=True):
        order = places.flatten().argsort()
        assert (image.flatten()[order].diff() >= -1e-6).all() and places.flatten()[order].unique().numel() > 100


def test_saiz_moves_marks_with_their_defects() -> None:
    marks = disc(40)
    images, moved = augment_with(marks.float() * 1.4 - 0.7, marks, "saiz", source(3))
    assert moved is not None
    seen = images > 0
    overlap = (seen & (moved == 1)).sum((1, 2, 3)) / (seen | (moved == 1)).sum((1, 2, 3))
    assert overlap.min() > 0.9
    area = moved.sum((1, 2, 3)) / marks[0].sum()
    assert 0.9 < area.min() < 1.2 and 3.3 < area.max() < 4.3, "magnified up to twice, area four times"
    assert (moved.float().argmax(3) != marks.float().argmax(3)).any(), "shifted"
    soft = augment_with(marks.float(), marks.float(), "saiz", source(3))[1]
    assert soft is not None and ((soft > 0.01) & (soft < 0.99)).any(), "floats are interpolated"


def test_saiz_turns_by_any_angle() -> None:
    """A bar through the middle, told by the angle of its longer axis."""
    bar = torch.zeros(200, 1, 65, 65)
    bar[:, :, 30:35, 15:50] = 1.0
    _, moved = augment_with(torch.zeros(200, 1, 65, 65), bar, "saiz", source(5))
    assert moved is not None
    ticks = torch.arange(65.0)
    mass = moved.sum((1, 2, 3))
    x, y = ((moved.sum(axes) * ticks).sum(1) / mass for axes in ((1, 2), (1, 3)))
    dx, dy = ticks.view(1, 1, -1) - x.view(-1, 1, 1), ticks.view(1, -1, 1) - y.view(-1, 1, 1)
    xx, yy, xy = ((moved[:, 0] * part).sum((1, 2)) / mass for part in (dx * dx, dy * dy, dx * dy))
    angles = torch.rad2deg(0.5 * torch.atan2(2 * xy, xx - yy)) % 180
    assert torch.histc(angles, bins=6, min=0, max=180).min() > 10


def test_sdg_is_what_sdg_gan_shows_its_critic() -> None:
    """Section V-A: flips both ways, then random brightness and contrast."""
    images, random = grey(kind=torch.float32), source(7)
    assert torch.equal(augment(images, "sdg", source(7)), relight(augment(images, "flips", random), random))


def test_hardening_spans_the_light_of_the_robustness_curve() -> None:
    lit = augment(torch.full((400, 1, 2, 2), 80, dtype=torch.uint8), "brightness", source()).float() / 80
    assert (lit.std((1, 2, 3)) == 0).all()
    assert 1 / HARDENED - 0.01 <= lit.min() < 0.45 and 2.3 < lit.max() <= HARDENED + 0.01
    assert 0.9 < lit[:, 0, 0, 0].median() < 1.1


def test_a_hardened_policy_sees_more_light_than_its_plain_one() -> None:
    image = torch.full((300, 1, 4, 4), 0.0)
    spread = {policy: augment(image, policy, source()).std() for policy in ("flips", "sdg", "sdg_hardened")}  # type: ignore[arg-type]
    assert spread["flips"] == 0 < spread["sdg"] < spread["sdg_hardened"]


def test_folds_belong_to_policies() -> None:
    assert set(EPOCH_FOLD) <= set(POLICIES) and EPOCH_FOLD["saiz"] == 15
