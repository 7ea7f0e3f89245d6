"""A class that is added to a data set: what was learned of the others is found again, whatever the new one shows."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables import steps
from trainables.datasets.packs import Pack, fingerprint, pack_dataset, pack_key
from trainables.datasets.procedural import draw
from trainables.datasets.settings import DataSettings
from trainables.datasets.splits import PARTS, split
from trainables.errors import DatasetError
from trainables.progress import Progress, Scores
from trainables.recipe import Amount, GeneratorPart, InspectorPart, Recipe, ScorePart, SynthesisPart
from trainables.store import Store
from trainables.trial import run_trial

FCN = InspectorPart(kind="fcn", settings={"width": 4, "min_steps": 2, "epochs": 1, "batch": 16})
DCGAN = GeneratorPart(family="dcgan", kimg=0.032, settings={"width": 4, "batch": 16, "latent_dim": 8, "class_mode": "per_class"})
CYCLEGAN = GeneratorPart(family="cyclegan", kimg=0.004, settings={"base_width": 4, "n_res_blocks": 1, "batch": 4, "pool_size": 4})
OLD = ("defect_free", "inclusion", "scratches")


def write(folder: Path, cls: str, seed: int, *, shows: str | None = None) -> Path:
    path = folder / cls / f"{seed:03d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw(shows or cls, size_px=32, seed=seed).pixels).save(path)
    return path


def add_class(folder: Path) -> None:
    for seed in range(500, 508):
        write(folder, "patches", seed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, cls in enumerate(OLD):
        for i in range(8):
            write(tmp_path / "images", cls, 100 * number + i)
    return tmp_path / "images"


def settings(folder: Path, **changes: object) -> DataSettings:
    return replace(DataSettings(dataset="image_folder", path=str(folder), size_px=16), **changes)  # type: ignore[arg-type]


def run(data: DataSettings, store: Store, generator: GeneratorPart = DCGAN) -> Scores:
    recipe = Recipe(
        data=data,
        fingerprint=fingerprint(data),
        generator=generator,
        synthesis=SynthesisPart(amount=Amount(kind="per_class", value=4)),
        inspector=FCN,
        scores=ScorePart(extractor="random", inspector=FCN),
    )
    trial: Iterator[Progress | Scores] = run_trial(recipe, store)
    *_, last = trial
    assert isinstance(last, Scores)
    return last


def used(scores: Scores, stage: str) -> dict[str | None, tuple[str, bool]]:
    """Key, and whether it was found, of each class's stage."""
    return {use.cls: (use.key, use.reused) for use in scores.stages if use.stage == stage}


def trainings(store: Store) -> int:
    """Generators that the store has a mark of."""
    return len({entry.stage for entry in store.entries() if entry.stage.startswith("generator/")})


def parts_of(pack: Pack, data: DataSettings, fold: int | None = None) -> dict[str, str]:
    """Image of an old class -> the part of the split it lies in."""
    made = split(pack, data, fold)
    return {pack.paths[row]: part for part in PARTS for row in getattr(made, part) if pack.classes[pack.labels[row]] in OLD}


@pytest.mark.parametrize("added", [(), ("patches",)])
def test_only_the_generator_of_the_added_class_is_trained(folder: Path, tmp_path: Path, added: tuple[str, ...]) -> None:
    store = Store(tmp_path / "store")
    before = run(settings(folder), store)
    assert trainings(store) == 2 and not any(reused for _, reused in used(before, "generator").values())
    textures = set(store.keys("textures"))
    add_class(folder)
    after = run(settings(folder, added=added), store)
    assert after.classes == ["inclusion", "patches", "scratches", "defect_free"]
    assert trainings(store) == 3, "one more, that of the added class"
    for stage in ("generator", "pool"):
        was, now = used(before, stage), used(after, stage)
        assert {cls: now[cls] for cls in was} == {cls: (key, True) for cls, (key, _) in was.items()}
        assert now["patches"][1] is False
    assert used(after, "inspector")[None][1] is False, "the inspector has one class more to tell apart"
    assert len(set(store.keys("textures")) - textures) == 2, "of real and of synthetic images of the added class alone"
    again = run(settings(folder, added=added), store)
    assert trainings(store) == 3 and again.values == after.values


def test_a_model_of_all_classes_is_trained_anew(folder: Path, tmp_path: Path) -> None:
    store, joint = Store(tmp_path / "store"), replace(DCGAN, settings={**DCGAN.settings, "class_mode": "conditional"})
    before = used(run(settings(folder), store, joint), "generator")
    add_class(folder)
    after = used(run(settings(folder, added=("patches",)), store, joint), "generator")
    assert trainings(store) == 2 and before[None][0] != after[None][0] and not after[None][1]


@pytest.mark.parametrize("generator", [DCGAN, CYCLEGAN])
def test_stores_that_know_a_training_by_its_whole_data_set_keep_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generator: GeneratorPart
) -> None:
    store, shown = Store(tmp_path / "store"), steps._shown
    data = settings(folder, backgrounds="folder", size_px=16 if generator is DCGAN else 32)
    with monkeypatch.context() as patch:
        patch.setattr(steps, "_shown", lambda *given: {cls: replace(own, inputs=given[2], formerly=None) for cls, own in shown(*given).items()})
        before = run(data, store, generator)
    count = trainings(store)
    after = run(data, store, generator)
    assert trainings(store) == count == 2
    for stage in ("generator", "pool"):
        assert used(after, stage) == {cls: (key, True) for cls, (key, _) in used(before, stage).items()}
    fresh = run(data, Store(tmp_path / "fresh"), generator)
    assert {key for key, _ in used(fresh, "generator").values()}.isdisjoint(key for key, _ in used(before, "generator").values())
    costs = {name for name in fresh.values if name.endswith(("_s", "_ms", "_p50", "_p95", "_per_image", "_per_second", "_gib"))}
    assert all(fresh.values[name] == before.values[name] for name in before.values if name not in costs), "another name of the same images"


def test_what_a_model_learns_from_is_in_its_key(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    before = used(run(settings(folder), store), "generator")
    made = split(pack_dataset(settings(folder), store)[1], settings(folder))
    pack = pack_dataset(settings(folder), store)[1]
    row = next(row for row in made.train if pack.classes[pack.labels[row]] == "inclusion")
    Image.fromarray(draw("inclusion", size_px=32, seed=999).pixels).save(folder / pack.paths[row])
    after = used(run(settings(folder), store), "generator")
    assert after["scratches"] == (before["scratches"][0], True) and after["inclusion"][0] != before["inclusion"][0]


def copies_of(folder: Path, name: str, count: int) -> None:
    """Puts turned copies of a picture into the added class: more than the one that was there, so that most of the group is new."""
    pixels = np.asarray(Image.open(folder / name))
    for turn in range(count):
        Image.fromarray(np.ascontiguousarray(np.rot90(pixels, turn + 1))).save(folder / "patches" / f"copy_{turn}.png")


@pytest.mark.parametrize("part", PARTS)
def test_copies_of_earlier_pictures_move_none_of_these(folder: Path, tmp_path: Path, part: str) -> None:
    store = Store(tmp_path / "store")
    _, pack = pack_dataset(settings(folder), store)
    before = parts_of(pack, settings(folder))
    name = next(path for path, where in before.items() if where == part and path.startswith("scratches"))
    add_class(folder)
    copies_of(folder, name, 3)
    _, plain = pack_dataset(settings(folder), store)
    assert parts_of(plain, settings(folder)) != before, "unless it is told which class came later"
    data = settings(folder, added=("patches",))
    _, grown = pack_dataset(data, store)
    assert parts_of(grown, data) == before
    made = split(grown, data)
    copies = {grown.paths[row] for row in getattr(made, part)} & {f"patches/copy_{turn}.png" for turn in range(3)}
    assert len(copies) == 3 and made.leaked == {"val": 0, "val_exact": 0, "test": 0, "test_exact": 0}
    assert all(made.counts["patches"][other] > 0 for other in PARTS)


def test_folds_stay_as_they_were(folder: Path, tmp_path: Path) -> None:
    store, data = Store(tmp_path / "store"), settings(folder, folds=3)
    _, pack = pack_dataset(data, store)
    before = [parts_of(pack, data, fold) for fold in range(3)]
    add_class(folder)
    copies_of(folder, next(path for path in before[0] if path.startswith("inclusion")), 2)
    now = replace(data, added=("patches",))
    _, grown = pack_dataset(now, store)
    assert [parts_of(grown, now, fold) for fold in range(3)] == before
    tested = [grown.paths[row] for fold in range(3) for row in split(grown, now, fold).test]
    assert sorted(tested) == sorted(grown.paths), "each picture is tested on once"


def test_classes_are_added_one_after_another(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    add_class(folder)
    august = settings(folder, added=("patches",))
    _, pack = pack_dataset(august, store)
    made = split(pack, august)
    before = {part: {pack.paths[row] for row in getattr(made, part)} for part in PARTS}
    for seed in range(700, 706):
        write(folder, "crazing", seed)
    image = Image.open(folder / next(iter(sorted(path for path in before["test"] if path.startswith("patches")))))
    for turn in range(3):
        image.rotate(90 * (turn + 1)).save(folder / "crazing" / f"copy_{turn}.png")
    september = settings(folder, added=("patches", "crazing"))
    _, grown = pack_dataset(september, store)
    made = split(grown, september)
    after = {part: {grown.paths[row] for row in getattr(made, part)} for part in PARTS}
    assert {part: {path for path in paths if not path.startswith("crazing")} for part, paths in after.items()} == before
    assert {f"crazing/copy_{turn}.png" for turn in range(3)} <= after["test"]


def test_a_picture_of_two_earlier_ones_is_refused(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    add_class(folder)
    rows = ["path,group", "scratches/200.png,bar 1", "scratches/201.png,bar 2", "patches/500.png,bar 1", "patches/501.png,bar 2"]
    pixels = np.asarray(Image.open(folder / "patches" / "500.png"))
    Image.fromarray(np.ascontiguousarray(pixels[::-1])).save(folder / "patches" / "501.png")
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    data = settings(folder, groups=str(table), added=("patches",))
    with pytest.raises(DatasetError, match=r"(?s)several different pictures of the earlier ones \(2\).*patches/500.png.*without data.since"):
        pack_dataset(data, Store(tmp_path / "store"))


@pytest.mark.parametrize(
    ("added", "said"),
    [
        (("patch",), r"data.added names classes that are not there(?s:.*)patch\n(?s:.*)There are defect_free, inclusion, scratches"),
        (("scratches", "scratches"), "data.added names a class twice"),
        (OLD, "data.added names every class"),
    ],
)
def test_wrong_names_are_refused(folder: Path, tmp_path: Path, added: tuple[str, ...], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        pack_dataset(settings(folder, added=added), Store(tmp_path / "store"))


def test_a_data_set_that_did_not_grow_keeps_its_key() -> None:
    data = DataSettings()
    assert pack_key(data, "0" * 32) == pack_key(replace(data, since="july"), "0" * 32) != pack_key(replace(data, added=("a",)), "0" * 32)
