"""Splits: by class, by group, nested in the budget."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.datasets.packs import Pack
from trainables.datasets.settings import DataSettings
from trainables.datasets.splits import Split, split
from trainables.errors import DatasetError, SettingsError


def fake_pack(labels: list[int], groups: list[int] | None = None, published: list[str] | None = None, classes: int | None = None) -> Pack:
    n = len(labels)
    count = classes if classes is not None else max(labels) + 1
    return Pack(
        key="k",
        classes=tuple(f"c{i}" for i in range(count)),
        images=np.zeros((n, 1, 16, 16), np.uint8),
        labels=np.array(labels, dtype=np.int64),
        masks=None,
        has_mask=np.zeros(n, bool),
        groups=np.array(groups if groups is not None else range(n), dtype=np.int64),
        defect_free=np.array(labels) < 0,
        paths=[f"{i}" for i in range(n)],
        hashes=[f"{i}" for i in range(n)],
        published=np.array(published or [""] * n, dtype=np.str_),
        boxes=[np.zeros((0, 4), np.float32)] * n,
        sizes=np.full((n, 2), 16, np.int64),
    )


def parts(made: Split) -> list[set[int]]:
    return [set(made.train.tolist()), set(made.val.tolist()), set(made.test.tolist())]


def straddling(pack: Pack, made: Split) -> set[int]:
    """Groups that lie on the training side and in validation or test, or in both of these."""
    trained, val, test = (set(pack.groups[rows].tolist()) for rows in (np.union1d(made.train, made.backgrounds), made.val, made.test))
    return (trained & val) | (trained & test) | (val & test)


def test_fractions_by_class_and_no_overlap() -> None:
    pack = fake_pack([0] * 50 + [1] * 20)
    made = split(pack, DataSettings())
    assert made.counts == {"c0": {"train": 30, "val": 10, "test": 10}, "c1": {"train": 12, "val": 4, "test": 4}}
    train, val, test = parts(made)
    assert not train & val and not train & test and not val & test and len(train | val | test) == 70
    assert split(pack, DataSettings()).key == made.key != split(pack, DataSettings(split_seed=1)).key


def test_groups_never_straddle() -> None:
    rng = np.random.default_rng(0)
    for trial in range(20):
        labels = rng.integers(0, 3, 90)
        groups = rng.integers(0, 30, 90)
        pack = fake_pack(labels.tolist(), groups.tolist())
        made = split(pack, DataSettings(split_seed=trial))
        assert not straddling(pack, made)
        assert made.leaked == {"val": 0, "val_exact": 0, "test": 0, "test_exact": 0} and made.leak == ""


def test_budget_is_nested_and_leaves_validation_and_test_alone() -> None:
    pack = fake_pack([0] * 50 + [1] * 20)
    few, more, fewest = (split(pack, DataSettings(images_per_class=n)) for n in (5, 10, "fewest"))
    assert set(few.train.tolist()) < set(more.train.tolist()) < set(fewest.train.tolist())
    assert few.counts["c0"] == {"train": 5, "val": 10, "test": 10} and fewest.counts["c0"]["train"] == 12 == fewest.counts["c1"]["train"]
    np.testing.assert_array_equal(few.test, more.test)
    inside = split(pack, DataSettings(images_per_class=10, val_from_budget=True))
    assert inside.counts["c1"] == {"train": 8, "val": 2, "test": 4}
    np.testing.assert_array_equal(inside.test, more.test)


@pytest.mark.parametrize(
    ("pack", "wanted", "message"),
    [
        (fake_pack([0] * 9), DataSettings(), "one class only"),
        (fake_pack([0] * 9 + [1]), DataSettings(), "c1: 1 image;"),
        (fake_pack([0] * 4 + [1] * 4, [0, 1, 2, 3, 4, 4, 4, 5]), DataSettings(), "only 2 different pictures"),
        (fake_pack([0] * 9 + [1] * 9), DataSettings(images_per_class=8), "At most 5"),
        (fake_pack([0] * 9 + [1] * 9), DataSettings(protocol="paper"), "published split"),
    ],
)
def test_what_cannot_be_split_is_said(pack: Pack, wanted: DataSettings, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        split(pack, wanted)


def test_paper_protocol_follows_the_publisher() -> None:
    published = (["train"] * 6 + ["val"] * 2 + ["test"] * 2) * 2
    made = split(fake_pack([0] * 10 + [1] * 10, [0] * 20, published), DataSettings(protocol="paper"))
    assert made.counts["c1"] == {"train": 6, "val": 2, "test": 2}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_pack_that_can_be_split_is_split_whole(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.lists(st.integers(1, 12), min_size=3, max_size=15), min_size=2, max_size=4))
    labels = [label for label, groups in enumerate(sizes) for size in groups for _ in range(size)]
    groups = [100 * label + number for label, own in enumerate(sizes) for number, size in enumerate(own) for _ in range(size)]
    val, test = data.draw(st.sampled_from([(0.2, 0.2), (0.1, 0.3), (0.4, 0.4)]))
    made = split(fake_pack(labels, groups), DataSettings(val_fraction=val, test_fraction=test, split_seed=data.draw(st.integers(0, 99))))
    train, held_out, judged = parts(made)
    assert sorted([*train, *held_out, *judged]) == list(range(len(labels)))
    seen = [{groups[i] for i in part} for part in (train, held_out, judged)]
    assert sum(map(len, seen)) == len(set(groups))
    assert all(count > 0 for counts in made.counts.values() for count in counts.values())


def test_the_leak_of_a_published_split_is_counted() -> None:
    published = (["train"] * 6 + ["val"] * 2 + ["test"] * 2) * 2
    groups = [0, 1, 2, 3, 4, 5, 0, 6, 1, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 10]
    pack = fake_pack([0] * 10 + [1] * 10, groups, published)
    pack = replace(pack, hashes=[*pack.hashes[:19], pack.hashes[10]])
    made = split(pack, DataSettings(protocol="paper"))
    assert made.leaked == {"val": 1, "val_exact": 0, "test": 2, "test_exact": 1}
    assert made.leak == (
        "pictures that are trained on are seen again in 2 of 4 test images (50.0 %), 1 of them pixel for pixel"
        " and in 1 of 4 validation images (25.0 %)"
    )
    few = split(pack, DataSettings(protocol="paper", images_per_class=2))
    trained = set(pack.groups[few.train].tolist())
    assert few.leaked["test"] == sum(group in trained for group in pack.groups[few.test].tolist())


def test_backgrounds_beside_the_classes_are_on_the_training_side_of_a_leak() -> None:
    published = ["train", "test"] * 5 + ["val", "test"] + ["train"]
    pack = fake_pack([0, 0] * 3 + [1, 1] * 3 + [-1], [*range(12), 11], published, classes=2)
    assert split(pack, DataSettings(protocol="paper")).leaked["test"] == 1


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_folds_test_on_every_image_once_and_nothing_straddles(data: st.DataObject) -> None:
    folds = data.draw(st.integers(3, 5))
    sizes = data.draw(st.lists(st.lists(st.integers(1, 6), min_size=folds, max_size=10), min_size=2, max_size=3))
    labels = [label for label, own in enumerate(sizes) for size in own for _ in range(size)]
    groups = [100 * label + number for label, own in enumerate(sizes) for number, size in enumerate(own) for _ in range(size)]
    pack = fake_pack([*labels, -1, -1], [*groups, 900, 900], classes=len(sizes))
    wanted = DataSettings(folds=folds, val_fraction=0.15, split_seed=data.draw(st.integers(0, 99)))
    made = [split(pack, wanted, fold) for fold in range(folds)]
    assert sorted(i for one in made for i in one.test.tolist()) == list(range(len(labels)))
    for one in made:
        train, val, test = parts(one)
        assert sorted([*train, *val, *test]) == list(range(len(labels)))
        assert not straddling(pack, one) and not any(one.leaked.values())
        assert all(count > 0 for counts in one.counts.values() for count in counts.values())
        assert len(one.backgrounds) in (0, 2)
    for label, own in enumerate(sizes):
        each = [one.counts[f"c{label}"]["test"] for one in made]
        assert max(each) - min(each) <= max(own)


def test_folds_are_even_and_a_pure_function_of_the_settings() -> None:
    pack = fake_pack([0] * 50 + [1] * 23)
    wanted = DataSettings(folds=5, split_seed=3)
    made = [split(pack, wanted, fold) for fold in range(5)]
    assert [one.counts["c0"] for one in made] == [{"train": 30, "val": 10, "test": 10}] * 5
    assert sorted(one.counts["c1"]["test"] for one in made) == [4, 4, 5, 5, 5]
    assert {one.counts["c1"]["val"] for one in made} == {5}
    assert max(len(one.test) for one in made) - min(len(one.test) for one in made) <= 1
    again = split(pack, wanted, 2)
    np.testing.assert_array_equal(again.train, made[2].train)
    assert again.key == made[2].key and len({one.key for one in made}) == 5
    assert split(pack, wanted).key == made[0].key != split(pack, replace(wanted, folds=4)).key
    np.testing.assert_array_equal(split(pack, replace(wanted, val_fraction=0.4), 2).test, again.test)
    assert not np.array_equal(split(pack, replace(wanted, split_seed=4), 2).test, again.test)
    assert split(pack, DataSettings()).key == split(pack, DataSettings(), 0).key


def test_budgets_are_nested_within_a_fold() -> None:
    pack = fake_pack([0] * 50 + [1] * 40, [*range(50), *range(100, 140)])
    for fold in range(4):
        made = [split(pack, DataSettings(folds=4, images_per_class=n), fold) for n in (2, 5, 10, 20, "all")]
        for few, more in pairwise(made):
            assert set(few.train.tolist()) < set(more.train.tolist())
            np.testing.assert_array_equal(few.test, more.test)
            np.testing.assert_array_equal(few.val, more.val)


def test_a_fold_without_a_class_is_refused_by_name() -> None:
    pack = fake_pack([0] * 9 + [1] * 9 + [2] * 4, [*range(9), 20, 20, 20, *range(21, 27), 30, 30, 31, 32])
    with pytest.raises(DatasetError, match=r"folds without a class:\n  c2: none in fold \d, \d \(4 images of 3 different pictures\)\n.*fewer folds"):
        split(pack, DataSettings(folds=5))
    for fold in range(3):
        assert split(pack, DataSettings(folds=3), fold).counts["c2"]["test"] > 0
    two = fake_pack([0] * 9 + [1] * 2)
    with pytest.raises(DatasetError, match=r"c1: none to (train|validate) on in fold 1 \(2 images of 2 different pictures\)\n.*choose more folds"):
        split(two, DataSettings(folds=2), 1)


@pytest.mark.parametrize(("folds", "fold"), [(0, 1), (3, 3), (3, -1)])
def test_folds_that_do_not_exist(folds: int, fold: int) -> None:
    with pytest.raises(SettingsError, match=rf"fold {fold}: data\.folds is {folds}"):
        split(fake_pack([0] * 9 + [1] * 9), DataSettings(folds=folds), fold)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"folds": 1}, "neither 0"),
        ({"folds": -2}, "neither 0"),
        ({"folds": 2, "val_fraction": 0.5}, "a fold \\(1/2\\)"),
        ({"folds": 5, "protocol": "paper"}, "cross-validation is strict"),
    ],
)
def test_settings_of_folds(wanted: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        DataSettings(**wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize("folds", [0, 3])
def test_good_and_defective_images_of_one_class_are_split_evenly(folds: int) -> None:
    pack = fake_pack([0] * 60 + [1] * 60)
    pack = replace(pack, defect_free=np.tile(np.arange(60) >= 12, 2))
    made = split(pack, DataSettings(folds=folds, val_fraction=0.25, test_fraction=0.25))
    for part in (made.val, made.test):
        for label in (0, 1):
            own = part[pack.labels[part] == label]
            assert 2 <= (~pack.defect_free[own]).sum() <= 4 < pack.defect_free[own].sum()
