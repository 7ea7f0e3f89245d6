"""The generator stage: marks in the store, continued bit for bit, and interrupted trainings taken up again."""

from collections.abc import Generator
from pathlib import Path

import pytest
import torch

from trainables.errors import SettingsError
from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.training.stage import MarkEntry, generator_key, load_sampler, train_to_mark
from trainables.progress import Progress
from trainables.recipe import GeneratorPart
from trainables.store import Store

SETTINGS = {"width": 8, "batch": 8, "latent_dim": 8, "n_critic": 2, "ema_halflife_kimg": 0.05}


def data() -> TrainingData:
    pixels = torch.randint(0, 255, (20, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return TrainingData(items=pixels, labels=torch.arange(20) % 2, num_classes=2)


def stage(store: Store, kimg: float, *, seed: int = 1, settings: dict[str, object] | None = None) -> Generator[Progress, None, MarkEntry]:
    return train_to_mark(
        GeneratorPart(family="wgan_gp", settings=settings or SETTINGS, kimg=kimg),
        data=data(),
        inputs=["pack", "split"],
        cls=None,
        seed=seed,
        precision="fp32",
        device="cpu",
        store=store,
        report_every_s=0.0,
    )


def finish(work: Generator[Progress, None, MarkEntry]) -> tuple[list[Progress], MarkEntry]:
    told = []
    while True:
        try:
            told.append(next(work))
        except StopIteration as end:
            return told, end.value


def test_a_mark_is_trained_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    told, first = finish(stage(store, 0.08))
    assert [round(progress.kimg or 0, 3) for progress in told] == [round(0.008 * step, 3) for step in range(1, 11)]
    assert not first.reused
    told, again = finish(stage(store, 0.08))
    assert told == []
    assert again.reused
    assert (again.key, again.seconds, again.costs) == (first.key, first.seconds, first.costs)
    assert set(first.costs) == {"generator_params_m", "generator_gmadds", "generator_ms_per_image", "generator_s", "generator_peak_memory_gib"}
    assert all(cost > 0 for cost in first.costs.values())


def test_a_later_mark_continues_from_the_earlier_one_bit_for_bit(tmp_path: Path) -> None:
    store, straight = Store(tmp_path / "a"), Store(tmp_path / "b")
    _, early = finish(stage(store, 0.048))
    told, late = finish(stage(store, 0.1))
    assert len(told) == 14 - 6
    _, whole = finish(stage(straight, 0.1))
    assert late.key == whole.key
    assert late.key.split("/")[0] == early.key.split("/")[0]
    assert late.entry.files == whole.entry.files
    assert late.costs["generator_s"] == pytest.approx(early.seconds + late.seconds)
    # A mark between two that are there comes from the one before it.
    told, between = finish(stage(store, 0.08))
    assert len(told) == 10 - 6
    assert between.entry.files == finish(stage(Store(tmp_path / "c"), 0.08))[1].entry.files


def test_an_interrupted_training_is_taken_up_where_it_was_left(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    work = stage(store, 0.08)
    for _ in range(4):
        next(work)
    work.close()
    assert store.keys("generator/" + generator()) == []
    assert list((tmp_path / "a" / "scratch").iterdir())
    told, mark = finish(stage(store, 0.08))
    assert len(told) == 10 - 4
    assert mark.entry.files == finish(stage(Store(tmp_path / "b"), 0.08))[1].entry.files
    assert not list((tmp_path / "a" / "scratch").iterdir())


def generator(**changes: object) -> str:
    arguments = {
        "inputs": ["pack", "split"],
        "cls": None,
        "shape": (1, 32, 32),
        "num_classes": 2,
        "precision": "fp32",
        "seed": 1,
        "settings": SETTINGS,
        "kimg": 0.08,
        **changes,
    }
    part = GeneratorPart(family="wgan_gp", settings=arguments.pop("settings"), kimg=arguments.pop("kimg"))  # type: ignore[arg-type]
    subject = Subject(shape=arguments.pop("shape"), num_classes=arguments.pop("num_classes"))  # type: ignore[arg-type]
    return generator_key(part, subject, **arguments)  # type: ignore[arg-type]


def test_the_key_leaves_the_mark_out_and_nothing_else() -> None:
    assert generator() == generator(kimg=5.0)
    assert generator() == generator(settings={**SETTINGS, "gp_lambda": 10.0})
    changes = [
        {"inputs": ["pack", "other"]},
        {"cls": "scratches"},
        {"shape": (1, 64, 64)},
        {"shape": (3, 32, 32)},
        {"num_classes": 3},
        {"precision": "bf16"},
        {"seed": 2},
        {"settings": {**SETTINGS, "gp_lambda": 1.0}},
    ]
    assert len({generator(), *(generator(**change) for change in changes)}) == 1 + len(changes)


def test_the_stored_key_is_the_one_foretold(tmp_path: Path) -> None:
    _, mark = finish(stage(Store(tmp_path), 0.016))
    assert mark.key == f"{generator()}/00000002"


def test_a_mark_at_the_end_of_a_schedule_can_be_drawn_from(tmp_path: Path) -> None:
    images = data().items
    work = train_to_mark(
        GeneratorPart(
            family="pe_gan", settings={"base_width": 4, "n_res_blocks": 0, "batch": 8, "lr_decay": "linear", "horizon_kimg": 0.1}, kimg=0.1
        ),
        data=TrainingData(items=images, labels=torch.arange(20) % 2, backgrounds=images, num_classes=2),
        inputs=[],
        cls=None,
        seed=1,
        precision="fp32",
        device="cpu",
        store=Store(tmp_path),
    )
    _, mark = finish(work)
    assert mark.entry.info["kimg"] == 0.12, "whole periods end behind the mark"
    assert load_sampler(mark.entry).sample(0, 2, 0, backgrounds=images).items.shape == (2, 1, 32, 32)


def test_images_are_drawn_from_the_averaged_weights_alone(tmp_path: Path) -> None:
    _, mark = finish(stage(Store(tmp_path), 0.032))
    one, two = load_sampler(mark.entry), load_sampler(mark.entry)
    drawn = one.sample(1, 70, 4).items
    assert drawn.shape == (70, 1, 32, 32)
    assert torch.equal(drawn, two.sample(1, 70, 4).items)
    assert len(mark.entry.read("ema.safetensors")) < len(mark.entry.read("state.safetensors")) / 3


def test_unknown_settings_are_refused_before_anything_is_stored(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(SettingsError, match="gp_lamda: no such setting; did you mean gp_lambda"):
        finish(stage(store, 0.08, settings={"gp_lamda": 1.0}))
    assert list(store.entries()) == []
