"""The families that learn nothing: what is pasted comes from the class's own images, and the mask says where."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from trainables.generators.bases.pasting import PastingModel
from trainables.generators.bases.subject import Drawn, TrainingData
from trainables.generators.cutpaste import CutPaste, CutPasteConfig, random_place, random_shapes, soften
from trainables.generators.perlin import Perlin, PerlinConfig, perlin_noise

SIDE = 32
PLAIN = CutPasteConfig(jitter=0.0, resize=0.0, rotation_deg=0.0, blend=0.0)
FAMILIES = [(CutPaste, CutPasteConfig()), (Perlin, PerlinConfig())]


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(*, classes: int = 2, per_class: int = 4, backgrounds: int = 5, masks: bool = True, channels: int = 1) -> TrainingData:
    """Images of class k hold levels 100 (k + 1) + 0..19 alone, backgrounds 0..19; the defect is a block of 6 x 8 pixels."""
    count = classes * per_class
    labels = torch.arange(count) % classes
    items = torch.randint(20, (count, channels, SIDE, SIDE), generator=random()) + 100 * (labels + 1)[:, None, None, None]
    where = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.uint8)
    where[:, :, 10:16, 4:12] = 255
    scenes = torch.randint(20, (max(backgrounds, 1), channels, SIDE, SIDE), generator=random(1))
    return TrainingData(
        items=items.to(torch.uint8),
        labels=labels,
        masks=where if masks else None,
        backgrounds=scenes.to(torch.uint8) if backgrounds else None,
        num_classes=classes,
    )


def fitted(kind: type[PastingModel], config: object, given: TrainingData) -> PastingModel:
    model = kind(config, given.subject)
    model.fit(given)
    return model


def under(drawn: Drawn, given: Tensor) -> Tensor:
    """Finds for each image the one of `given` that it equals outside of its mask, and that it differs from everywhere within."""
    assert drawn.masks is not None
    same = drawn.items[:, None] == given[None]
    as_said = (same.all(dim=2, keepdim=True) == (drawn.masks == 0)[:, None]).flatten(2).all(dim=2)
    assert (as_said.sum(dim=1) == 1).all()
    return as_said.int().argmax(dim=1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kind", "config"), FAMILIES)
def test_outside_of_the_mask_an_image_is_a_background_and_within_it_is_not(kind: type[PastingModel], config: object, channels: int) -> None:
    given = data(channels=channels)
    drawn = fitted(kind, config, given).sample(1, 20, 3)
    assert given.backgrounds is not None and drawn.masks is not None
    assert drawn.masks.shape == (20, 1, SIDE, SIDE) and set(drawn.masks.unique().tolist()) == {0, 255}
    assert (drawn.masks > 0).flatten(1).any(dim=1).all(), "every image shows something"
    counts = under(drawn, given.backgrounds).bincount(minlength=5)
    assert counts.tolist() == [4] * 5, "no background is used twice before all were used"


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize(("kind", "config"), [(CutPaste, replace(CutPasteConfig(), jitter=0.0)), (Perlin, PerlinConfig(jitter=0.0))])
def test_a_class_never_borrows_from_another(kind: type[PastingModel], config: object, masks: bool) -> None:
    for backgrounds in (5, 0):
        given = data(masks=masks, backgrounds=backgrounds)
        model = fitted(kind, config, given)
        assert int(model.sample(0, 30, 1).items.max()) < 120, "levels of 200 and more are the other class's"
        only = given.labels == 1
        own_masks = given.masks[only] if given.masks is not None else None
        alone = fitted(kind, config, replace(given, items=given.items[only], labels=given.labels[only], masks=own_masks))
        one, two = model.sample(1, 10, 2), alone.sample(1, 10, 2)
        assert torch.equal(one.items, two.items), "images of other classes change nothing"


def test_pasted_pixels_are_those_of_the_patch() -> None:
    given = data()
    drawn = fitted(CutPaste, PLAIN, given).sample(0, 12, 7)
    assert drawn.masks is not None
    patches = {bytes(image[0, 10:16, 4:12].flatten().tolist()) for image in given.items[given.labels == 0]}
    seen, places = [], set()
    for image, mask in zip(drawn.items, drawn.masks, strict=True):
        rows, columns = mask[0].any(dim=1).nonzero().flatten(), mask[0].any(dim=0).nonzero().flatten()
        assert int((mask > 0).sum()) == len(rows) * len(columns) == 6 * 8
        seen.append(bytes(image[0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].flatten().tolist()))
        places.add((int(rows[0]), int(columns[0])))
    assert set(seen) == patches and all(seen.count(patch) == 3 for patch in patches), "each patch is used once before any is used again"
    assert len(places) > 6


def test_without_backgrounds_other_images_of_the_class_serve_and_keep_their_own_mask() -> None:
    given = data(backgrounds=0)
    drawn = fitted(CutPaste, PLAIN, given).sample(0, 12, 7)
    assert drawn.masks is not None
    own = given.items[given.labels == 0]
    assert (drawn.masks[:, :, 10:16, 4:12] == 255).all(), "the defect that was there is still there"
    same = ((drawn.items[:, None] == own[None]) | (drawn.masks > 0)[:, None]).flatten(2).all(dim=2)
    assert (same.sum(dim=1) == 1).all()
    assert not (drawn.items[:, None] == own[None]).flatten(2).all(dim=2).any(), "an image is never pasted onto itself"


def test_a_defect_free_class_serves_as_backgrounds() -> None:
    given = replace(data(classes=3, backgrounds=0), background_label=2)
    model = fitted(CutPaste, PLAIN, given)
    under(model.sample(0, 8, 0), given.items[given.labels == 2])
    assert set(model.kept["labels"].tolist()) == {0, 1}


@pytest.mark.parametrize(("kind", "config"), FAMILIES)
def test_draws_follow_from_what_is_kept_class_and_seed(kind: type[PastingModel], config: object) -> None:
    given = data()
    one, two = fitted(kind, config, given), fitted(kind, config, given)
    two.seed = 99
    first, again, other = one.sample(1, 9, 4), two.sample(1, 9, 4, backgrounds=given.items), one.sample(1, 9, 5)
    assert torch.equal(first.items, again.items) and first.masks is not None and again.masks is not None
    assert torch.equal(first.masks, again.masks)
    assert not torch.equal(first.items, other.items)
    assert all(kept.dtype in (torch.uint8, torch.int64) for kept in one.kept.values())
    assert sum(kept.numel() for kept in one.kept.values()) <= given.items.numel() * 2 + 5 * SIDE**2 + len(given.labels)


@pytest.mark.parametrize("area", [0.05, 0.3])
def test_rectangles_cover_the_share_they_were_asked_for(area: float) -> None:
    shapes, scars = random_shapes(400, 64, area=area, kind="rectangle", random=random())
    shares = shapes.mean(dim=(1, 2, 3))
    assert not scars.any()
    assert 0.015 < shares.min() < 0.03 and 0.85 * area < shares.max() < 1.1 * area
    shapes, scars = random_shapes(400, 256, area=area, kind="scar", random=random())
    long, wide = shapes.any(dim=3).sum(dim=2), shapes.any(dim=2).sum(dim=2)
    assert scars.all() and (long.min(), long.max()) == (10, 25) and (wide.min(), wide.max()) == (2, 16)
    _, scars = random_shapes(400, 64, area=area, kind="both", random=random())
    assert 0.4 < scars.float().mean() < 0.6


def test_a_patch_lands_wholly_within_the_picture_however_it_is_turned() -> None:
    cut = torch.zeros(200, 1, SIDE, SIDE)
    cut[:, :, 3:30, 8:20] = 1.0
    turn = (torch.rand(200, 1, 1, 1, generator=random()) - 0.5) * 6.28
    place = random_place(cut, turn, torch.full((200, 1, 1, 1), 1.5), random(1))
    moved = torch.nn.functional.grid_sample(cut, place, align_corners=False)
    share = moved.sum(dim=(1, 2, 3)) / cut.sum(dim=(1, 2, 3))
    turned_by = turn.flatten()
    reach = torch.maximum(12 * turned_by.cos().abs() + 27 * turned_by.sin().abs(), 12 * turned_by.sin().abs() + 27 * turned_by.cos().abs())
    assert torch.allclose(share, (SIDE / reach).clamp(max=1.5).square(), rtol=0.04)


def test_a_soft_edge_falls_evenly_and_leaves_the_shape_whole() -> None:
    shape = torch.zeros(1, 1, 9, 9)
    shape[..., 4, 4] = 1.0
    assert torch.allclose(soften(shape, 2)[0, 0, 4], torch.tensor([0, 0, 1 / 3, 2 / 3, 1, 2 / 3, 1 / 3, 0, 0]))
    assert torch.equal(soften(shape, 0), shape)


def test_a_thin_defect_survives_shrinking() -> None:
    given = data()
    assert given.masks is not None
    given.masks.zero_()
    given.masks[:, :, :, 7] = 255
    drawn = fitted(CutPaste, CutPasteConfig(resize=1.0, rotation_deg=90.0, blend=0.0), given).sample(0, 40, 0)
    assert drawn.masks is not None and ((drawn.masks > 0).flatten(1).sum(dim=1) >= SIDE // 5).all()


def test_perlin_noise_is_zero_at_corners_and_within_its_range() -> None:
    one, turn = torch.ones(50, dtype=torch.int64), torch.zeros(50)
    noise = perlin_noise(64, 8 * one, 4 * one, turn, random())
    assert noise.shape == (50, 64, 64) and noise.abs().max() <= 1.0 and noise.abs().max() > 0.7
    assert noise.mean().abs() < 0.02
    # Pixels lie half a pixel from the corners of cells of 8 by 16 of them, where the noise is nearly 0; amid cells it is not.
    corners, middles = noise[:, 7::8, 15::16], noise[:, 3::8, 7::16]
    assert corners.abs().max() < 0.2 < middles.abs().mean()


def test_the_changed_area_follows_the_threshold() -> None:
    given = data()
    shares = []
    for threshold in (0.1, 0.3, 0.5, 0.9):
        masks = fitted(Perlin, PerlinConfig(threshold=threshold), given).sample(0, 128, 0).masks
        assert masks is not None
        shares.append((masks > 0).float().mean(dim=(1, 2, 3)))
    areas = [float(share.mean()) for share in shares]
    assert areas == sorted(areas, reverse=True) and 0.3 < areas[0] < 0.5 and areas[-1] < 0.05
    assert shares[-1].min() >= 0.02 - 1 / SIDE**2, "where nothing is above the threshold, the highest places are shown"


def test_opacity_bounds_how_much_the_texture_covers() -> None:
    given = replace(
        data(), items=torch.full((8, 1, SIDE, SIDE), 200, dtype=torch.uint8), backgrounds=torch.zeros(3, 1, SIDE, SIDE, dtype=torch.uint8)
    )
    drawn = fitted(Perlin, PerlinConfig(opacity=0.5, jitter=0.0), given).sample(0, 64, 0)
    assert drawn.masks is not None
    levels = drawn.items[drawn.masks > 0]
    assert 20 <= int(levels.min()) < 30 and 90 < int(levels.max()) <= 100
