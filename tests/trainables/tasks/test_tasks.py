"""What each task teaches an inspector, and takes it to have said."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from trainables.datasets.packs import Pack, pack_dataset
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.datasets.splits import split
from trainables.errors import SettingsError
from trainables.inspectors import INSPECTORS
from trainables.inspectors.base import Config, LabelledImages
from trainables.registry import pick, resolve
from trainables.store import Store
from trainables.synthesis.blocks import Chosen
from trainables.tasks import TASKS
from trainables.tasks.base import Task

DATA = DataSettings(size_px=16, procedural=ProceduralSettings(per_class=6, defect_free=6))
INSPECTED = [name for name in INSPECTORS if "<" not in name]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return pack_dataset(DATA, Store(tmp_path_factory.mktemp("store")))[1]


def task(name: str, pack: Pack) -> Task:
    made: Task = resolve(TASKS[name])(pack)  # type: ignore[index]
    return made


def taken(pack: Pack, rows: np.ndarray) -> LabelledImages:
    return LabelledImages(images=torch.from_numpy(pack.images[rows]), labels=torch.from_numpy(pack.labels[rows]))


def chosen(count: int, *, masks: bool) -> Chosen:
    images = torch.zeros(count, 1, 16, 16, dtype=torch.uint8)
    drawn = torch.zeros(count, 1, 16, 16, dtype=torch.uint8)
    drawn[:, :, :4] = 255
    return Chosen(training=images, masks=drawn if masks else None, scored=images, scored_key="k", acceptance=1.0)


@pytest.mark.parametrize("kind", INSPECTED)
def test_every_inspector_is_for_a_task_that_there_is(kind: str) -> None:
    assert pick(INSPECTORS, kind, "inspector").task in TASKS


def test_a_segmenter_is_taught_class_numbers_and_a_detector_whether_there_is_a_defect(pack: Pack) -> None:
    rows = np.array([int(np.flatnonzero(pack.labels == label)[0]) for label in range(len(pack.classes))])
    plain = taken(pack, rows)
    marked, told = task("segment", pack).known(plain, rows), task("detect", pack).known(plain, rows)
    assert marked.masks is not None and marked.marked is not None and marked.marked.all()
    assert [sorted(set(mask.flatten().tolist()) - {0}) for mask in marked.masks] == [[1], [2], [3], [4], [5], [6], []]
    assert torch.equal(marked.labels, plain.labels) and marked.images is plain.images
    assert told.labels.tolist() == [1, 1, 1, 1, 1, 1, 0] and torch.equal(told.masks, marked.masks)  # type: ignore[arg-type]
    assert task("classify", pack).known(plain, rows) is plain
    outputs = {name: task(name, pack).outputs for name in ("classify", "segment", "detect")}
    assert outputs == {"classify": 7, "segment": 6, "detect": 1}


def test_synthetic_images_bring_their_masks_where_they_have_any(pack: Pack) -> None:
    made = {"crazing": chosen(2, masks=True), "inclusion": chosen(1, masks=False)}
    marked, told = task("segment", pack).synthetic(made), task("detect", pack).synthetic(made)
    assert marked.labels.tolist() == [0, 0, 1] and told.labels.tolist() == [1, 1, 1]
    assert marked.marked is not None and marked.marked.tolist() == [True, True, False]
    assert marked.masks is not None and marked.masks[0, :4].unique().tolist() == [1] and not marked.masks[2].any()


def test_images_whose_pixels_nobody_knows_do_not_count(pack: Pack) -> None:
    said = {
        "maps": torch.ones(2, 4, 4, dtype=torch.uint8),
        "masks": torch.stack([torch.ones(4, 4), torch.zeros(4, 4)]).to(torch.uint8),
        "marked": torch.tensor([True, False]),
    }
    scored = task("segment", pack).score(said, validated=said, config=Config(), split="val")
    assert scored.values["val_iou"] == 1.0 and scored.confusion is not None and sum(map(sum, scored.confusion)) == 16
    both = task("segment", pack).score({**said, "marked": torch.tensor([True, True])}, validated=said, config=Config(), split="val")
    assert both.values["val_iou"] == 0.5


def test_a_detector_is_judged_by_thresholds_of_validation(pack: Pack) -> None:
    validated = {"scores": torch.tensor([0.1, 0.2, 0.6, 0.9]), "labels": torch.tensor([0, 0, 1, 1])}
    said = {"scores": torch.tensor([0.1, 0.7, 0.5, 0.9]), "labels": torch.tensor([0, 0, 1, 1])}
    detect = task("detect", pack)
    assert detect.score(validated, validated=validated, config=Config(), split="val").values["val_fp"] == 0
    values = detect.score(said, validated=validated, config=Config(), split="test").values
    assert (values["test_fp"], values["test_fn"]) == (1, 1), "0.6 was best on validation"
    assert (values["test_fp_oracle"], values["test_fn_oracle"]) == (1, 0)


def test_an_operating_point_is_chosen_on_validation_for_classifiers_too(pack: Pack) -> None:
    """Class 6 is defect-free; what decides is how far a logit of a defect lies above it."""

    def said(margins: list[float], defective: list[bool]) -> dict[str, torch.Tensor]:
        logits = torch.full((len(margins), 7), -30.0)
        logits[:, 0], logits[:, 6] = torch.tensor(margins), 0.0
        return {"logits": logits, "labels": torch.tensor([0 if bad else 6 for bad in defective])}

    validated = said([-2.0, 0.0, 1.0, 2.0], [False, True, False, True])
    test = said([-1.0, 0.5, 1.5, 3.0], [True, False, False, True])
    classify = task("classify", pack)
    every = classify.score(test, validated=validated, config=Config(target_sensitivity=1.0), split="test").values
    assert (every["test_sensitivity"], every["test_specificity"]) == (0.5, 0.0), "from 0 on is called defective"
    none = classify.score(test, validated=validated, config=Config(target_specificity=1.0), split="test").values
    assert (none["test_sensitivity"], none["test_specificity"]) == (0.5, 1.0), "from 2 on"
    with pytest.raises(SettingsError, match="expected one of the two"):
        Config(target_sensitivity=0.9, target_specificity=0.9)
    with pytest.raises(SettingsError, match=r"target_sensitivity: 0\.0 is not above 0"):
        Config(target_sensitivity=0.0)


def test_who_is_taken_for_a_class(pack: Pack) -> None:
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0], [0.1, 0.0]])
    assert task("classify", pack).taken_for(logits, 0, 0.9).tolist() == [True, False, False]
    assert task("segment", pack).taken_for(logits, 0, 0.5).tolist() == [True, False, True]
    opinion = task("detect", pack).opinion({"scores": torch.tensor([-3.0, 3.0])})
    assert task("detect", pack).taken_for(opinion, 4, 0.5).tolist() == [False, True]


def test_what_a_task_cannot_do_is_told_by_split(pack: Pack) -> None:
    parts = split(pack, DATA)
    rows = {"training": parts.train, "validation": parts.val}
    assert task("segment", pack).problems(rows) == task("detect", pack).problems(rows) == []
    unmarked = replace(pack, masks=None)
    assert [text.partition(";")[0] for text in task("segment", unmarked).problems(rows)] == [
        "task segment: no image of the training, validation split has a mask with a defect",
    ]
    defective = {"training": parts.train[pack.labels[parts.train] < 6]}
    (text,) = task("detect", pack).problems(defective)
    assert text.startswith("task detect: no image of the training split is defect-free") and "data.defect_free: class" in text


def test_a_detector_s_confusion_is_that_of_its_threshold(pack: Pack) -> None:
    detect = task("detect", pack)
    validated = {"scores": torch.tensor([-2.0, -1.0, 1.0, 2.0]), "labels": torch.tensor([0, 0, 1, 1])}
    said = {"scores": torch.tensor([-2.0, 1.5, 3.0, 0.5, 2.0]), "labels": torch.tensor([0, 0, 0, 1, 1])}
    found = detect.score(said, validated=validated, config=Config(), split="test")
    assert found.confusion == [[1, 2], [1, 1]] and detect.kinds == ["defect_free", "defective"]
    assert (found.values["test_fp"], found.values["test_fn"]) == (2, 1)


def test_sizes_are_shares_of_an_image_by_mask_then_by_box(pack: Pack) -> None:
    defective, free = np.flatnonzero(~pack.defect_free)[:3], np.flatnonzero(pack.defect_free)[:1]
    rows = np.concatenate([defective, free])
    classify = task("classify", pack)
    areas = classify.areas(rows)
    assert pack.masks is not None and areas[:3].tolist() == pytest.approx((pack.masks[defective] > 0).mean((1, 2)).tolist()) and areas[3] == 0
    boxes = list(pack.boxes)
    boxes[defective[0]] = np.array([[0.0, 0.0, 0.5, 0.5]], dtype=np.float32)
    unmarked = pack.has_mask.copy()
    unmarked[defective] = False
    without = replace(pack, has_mask=unmarked, boxes=boxes)
    assert task("classify", without).areas(rows)[:2].isnan().tolist() == [False, True] and task("classify", without).areas(rows)[0] == 0.25
    assert task("segment", without).areas(rows).isnan().tolist() == [True, True, True, False], "what counts for nothing has no size"
    assert task("detect", pack).weighs_sound and not task("segment", pack).weighs_sound


def test_a_group_without_known_pixels_has_no_scores(pack: Pack) -> None:
    maps = torch.zeros(2, 4, 4, dtype=torch.uint8)
    said = {"maps": maps, "masks": maps, "marked": torch.zeros(2, dtype=torch.bool)}
    assert task("segment", pack).score(said, validated=said, config=Config(), split="val", partly=True).values == {}
