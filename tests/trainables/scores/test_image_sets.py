"""Scores of whole sets of synthetic images: their names, their means over classes, what they are read against, and what is capped."""

from pathlib import Path

import pytest
import torch

from trainables.scores import textures
from trainables.scores.image_sets import COMPARED, evenly, inception_scores, memorisation_scores, texture_scores
from trainables.scores.memorisation import memorisation
from trainables.scores.names import EXTRACTORS, TASK_SCORES, class_set_names, score_names, set_score_names
from trainables.scores.textures import stored_textures, texture_distances, texture_floors, texture_statistics
from trainables.store import Store


def noise(count: int, seed: int, spread: float = 30.0) -> torch.Tensor:
    drawn = 128 + spread * torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    return drawn.clamp(0, 255).to(torch.uint8)


def gaussian(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def test_textures_are_compared_class_by_class_beside_their_floors() -> None:
    real = {"a": texture_statistics(noise(8, 0)), "b": texture_statistics(noise(8, 1, 60.0))}
    made = {"a": texture_statistics(noise(5, 2)), "b": texture_statistics(noise(5, 3))}
    found = texture_scores(real, made, split="test")
    assert found["test_texture_lbp.a"] == texture_distances(real["a"], made["a"]).lbp
    assert found["test_texture_glcm_floor.b"] == texture_floors(real["b"]).glcm
    assert found["test_texture_spectrum"] == pytest.approx((found["test_texture_spectrum.a"] + found["test_texture_spectrum.b"]) / 2)  # type: ignore[operator]
    assert found["test_texture_spectrum.b"] > 3 * found["test_texture_spectrum.a"]  # type: ignore[operator]
    assert texture_scores(real, {"a": made["a"]})["val_texture_lbp"] is None, "a class that a filter refuses improves no mean"


def test_classes_with_too_few_real_images_stand_out_of_the_mean() -> None:
    real = {"a": texture_statistics(noise(3, 0)), "b": texture_statistics(noise(1, 1))}
    found = texture_scores(real, {cls: texture_statistics(noise(4, 2)) for cls in real})
    assert found["val_texture_lbp"] == found["val_texture_lbp.a"] and found["val_texture_lbp.b"] is None
    assert found["val_texture_lbp_floor"] is None, "three images have no halves of two"


def test_copies_stand_above_what_held_out_images_reach() -> None:
    training, held_out = {"a": gaussian(40, 0)}, {"a": gaussian(30, 1)}
    found = memorisation_scores(training, {"a": training["a"] + 1e-3}, held_out, extractor="random")
    assert found["val_memorisation_random"] == found["val_memorisation_random.a"] == 1.0
    assert found["val_memorisation_random_floor"] == memorisation(training["a"], held_out["a"]) < 0.8
    assert memorisation_scores(training, {}, held_out, extractor="random")["val_memorisation_random"] is None


def test_the_inception_score_counts_classes_alike_and_stands_beside_that_of_real_images() -> None:
    sure = torch.eye(3)
    made = {"a": sure[[0]].expand(40, 3), "b": sure[[1]].expand(5, 3), "c": sure[[2]].expand(9, 3)}
    real = {"a": sure[[0]].expand(4, 3), "b": sure[[0]].expand(4, 3), "c": sure[[0]].expand(4, 3)}
    found = inception_scores(made, real, extractor="inspector")
    assert found["val_inception_score_inspector"] == pytest.approx(3.0)
    assert found["val_inception_score_inspector_real"] == pytest.approx(1.0)
    assert inception_scores({"a": made["a"]}, real, extractor="inspector")["val_inception_score_inspector"] is None


def test_caps_take_from_all_over_a_set() -> None:
    rows = evenly(torch.arange(1000), COMPARED)
    assert len(rows) == COMPARED and rows[0] == 0 and rows[-1] == 999 and len(rows.unique()) == COMPARED
    assert torch.equal(evenly(torch.arange(9), 9), torch.arange(9))


def test_the_textures_of_a_set_are_described_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(4, 0)
    first = stored_textures(images, name="val.a", inputs=["split"], store=Store(tmp_path))
    monkeypatch.setattr(textures, "texture_statistics", lambda images: pytest.fail("they are there already"))
    again = stored_textures(images, name="val.a", inputs=["split"], store=Store(tmp_path))
    assert all(torch.equal(getattr(first, name), getattr(again, name)) for name in ("spectra", "patterns", "properties"))


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_names_list_what_can_be_measured(extractor: str) -> None:
    for task in TASK_SCORES:
        names = score_names(extractor, task=task, classes=("a",))
        scored = any(name.startswith("val_inception_score") for name in names)
        assert scored == (task != "zero_shot" and (extractor == "inception" or (extractor == "inspector" and task == "classify")))
        assert ("val_texture_lbp.a" in names) == (f"val_memorisation_{extractor}.a" in names) == (task != "zero_shot")
    assert not [name for name in score_names(extractor, split="test") if "memorisation" in name or "inception_score" in name]
    assert set(set_score_names(extractor)) - set(class_set_names(extractor)) <= {f"inception_score_{extractor}"}
