"""What the image-to-image families share: mirroring, the schedule, and backgrounds made of defects, measured and shown."""

import pytest
import torch
from torch import Tensor

from trainables.errors import SettingsError
from trainables.generators.bases.image_to_image import ImageToImageModel, mirror
from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.cyclegan import CycleGan, CycleGanConfig
from trainables.generators.pe_gan import PeGan, PeGanConfig
from trainables.generators.stargan import StarGan, StarGanConfig
from trainables.generators.training.stage import resolve
from trainables.recipe import GeneratorPart
from trainables.scores.distances import floors, frechet, kid


def test_mirrored_images_are_one_of_four() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    turned = mirror(image.expand(200, -1, -1, -1), torch.Generator().manual_seed(0))
    four = [image, image.flip(3), image.flip(2), image.flip(2, 3)]
    shares = [sum(bool(torch.equal(one, option[0])) for one in turned) / 200 for option in four]
    assert sum(shares) == 1.0
    assert min(shares) > 0.15


def test_a_linear_decay_reaches_nothing_at_its_horizon_and_no_mark_lies_beyond() -> None:
    settings = {"lr_decay": "linear", "horizon_kimg": 0.016, "batch": 4, "base_width": 8, "n_res_blocks": 1}
    part = GeneratorPart(family="pe_gan", settings=settings, kimg=0.016)
    family, config = resolve(part)
    model = family(config, Subject(shape=(1, 32, 32), num_classes=3))
    rates = []
    for step in range(6):
        model.schedule(step)
        rates.append([group["lr"] / config.lr for group in (*model.optimizer_g.param_groups, *model.optimizer_d.param_groups)])
    assert rates == [pytest.approx([rate] * 2) for rate in (1.0, 1.0, 1.0, 0.5, 0.0, 0.0)]
    with pytest.raises(SettingsError, match="horizon"):
        resolve(GeneratorPart(family="pe_gan", settings=settings, kimg=0.02))
    resolve(GeneratorPart(family="pe_gan", settings={**settings, "lr_decay": "none"}, kimg=0.02))


def test_without_a_decay_the_rate_stays() -> None:
    model = PeGan(PeGanConfig(base_width=8, n_res_blocks=1, horizon_kimg=0.016), Subject(shape=(1, 32, 32), num_classes=3))
    model.schedule(1000)
    assert model.optimizer_g.param_groups[0]["lr"] == 1e-4


def scenes_and_defects(count: int = 40, backgrounds: int = 20) -> TrainingData:
    random = torch.Generator().manual_seed(0)
    defects = torch.randint(0, 255, (count, 1, 32, 32), generator=random, dtype=torch.uint8)
    scenes = torch.randint(100, 140, (backgrounds, 1, 32, 32), generator=random, dtype=torch.uint8)
    return TrainingData(items=defects, labels=torch.arange(count) % 20 // 15, backgrounds=scenes, num_classes=2)


def features(images: Tensor) -> Tensor:
    """Means of quarters of each image."""
    return images.float().reshape(len(images), 2, 16, 2, 16).mean(dim=(2, 4)).flatten(1) / 50


def models() -> list[ImageToImageModel]:
    tiny, two = {"base_width": 4, "n_res_blocks": 0, "batch": 2}, Subject(shape=(1, 32, 32), num_classes=2)
    return [
        PeGan(PeGanConfig(**tiny), two),
        StarGan(StarGanConfig(**tiny), two),
        CycleGan(CycleGanConfig(**tiny), Subject(shape=(1, 32, 32))),
    ]


def test_backgrounds_made_of_defects_are_measured_against_real_ones() -> None:
    data = scenes_and_defects()
    for model in models():
        model.eliminate = lambda images: images  # type: ignore[method-assign]
        found = model.extra_scores(data, 3, features=features, extractor="random")
        one, other = features(data.backgrounds), features(data.items)  # type: ignore[arg-type]
        # All of them take part, so that their order is of no account.
        assert found["background_kid_random"] == pytest.approx(kid(one, other), rel=1e-4)
        assert found["background_frechet_random"] == pytest.approx(frechet(one, other), rel=1e-4)
        assert list(found) == ["background_kid_random", "background_frechet_random", "background_kid_random_floor", "background_frechet_random_floor"]
        assert set(model.extra_scores(data, 3, features=features, extractor="inception")) >= {"background_kid_inception", "background_fid"}


def test_the_floor_of_generated_backgrounds_is_that_of_real_ones() -> None:
    model, data = models()[0], scenes_and_defects()
    model._cleared = lambda data, seed, most: (data.backgrounds, data.items)  # type: ignore[method-assign, assignment]
    found = model.extra_scores(data, 3, features=features, extractor="random")
    assert (found["background_kid_random_floor"], found["background_frechet_random_floor"]) == floors(features(data.backgrounds))  # type: ignore[arg-type]


def test_too_few_backgrounds_are_shown_and_not_measured() -> None:
    one = scenes_and_defects(backgrounds=1)
    for model in models():
        assert model.extra_scores(one, 3, features=features, extractor="random") == {}
        assert model.extra_pictures(one, 3)["elimination"].shape == (3, 1, 1, 32, 32)
    three = scenes_and_defects(backgrounds=3)
    assert "background_kid_random_floor" not in models()[0].extra_scores(three, 3, features=features, extractor="random")


def test_the_elimination_is_shown_below_its_defects_and_above_real_backgrounds() -> None:
    data = scenes_and_defects()
    where = {image.numpy().tobytes(): int(label) for image, label in zip(data.items, data.labels, strict=True)}
    for model in models():
        sheet = model.extra_pictures(data, 3)["elimination"]
        assert sheet.shape == (3, 8, 1, 32, 32) and sheet.dtype == torch.uint8
        assert torch.equal(sheet, model.extra_pictures(data, 3)["elimination"])
        assert not torch.equal(sheet, model.extra_pictures(data, 4)["elimination"])
        # Classes take turns, the rare one too.
        labels = [where[image.numpy().tobytes()] for image in sheet[0]]
        assert [sorted(labels[i : i + 2]) for i in range(0, 8, 2)] == [[0, 1]] * 4
        with torch.no_grad():
            made = model.eliminate(sheet[0].float() / 127.5 - 1)
        torch.testing.assert_close(sheet[1].float() / 127.5 - 1, made, atol=0.01, rtol=0)
        assert {image.numpy().tobytes() for image in sheet[2]} <= {image.numpy().tobytes() for image in data.backgrounds}  # type: ignore[union-attr]


def test_production_alone_has_no_elimination_to_show() -> None:
    model = PeGan(PeGanConfig(base_width=4, n_res_blocks=0, both_directions="production_only"), Subject(shape=(1, 32, 32), num_classes=2))
    assert model.extra_scores(scenes_and_defects(), 3, features=features, extractor="random") == {}
    assert model.extra_pictures(scenes_and_defects(), 3) == {}
