"""A data set that has grown since an earlier run: what was added is found, written down, and kept; what cannot serve is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from torch import ones

from reports.records import write_json
from search.studies.continuing import continue_study
from search.studies.growth import growth_notes, split_hashes, with_added
from search.studies.settings import Resolved
from search.studies.study import Study, StudyError
from search.studies.study_file import parse_study
from search.studies.weight_files import start_notes
from trainables.datasets.packs import pack_dataset
from trainables.inspectors.local_weights import CLASSES
from trainables.store import Store

OLD = ("crazing", "inclusion", "scratches")
TEXT = """
study: august
data: {dataset: image_folder, path: %s, size_px: 16, since: july%s}
space:
  generator: {family: [dcgan]}
  inspector: {kind: [fcn]}
storage: {runs: %s}
"""


def draw(folder: Path, cls: str, count: int = 6) -> None:
    (folder / cls).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        noise = np.random.default_rng([number, *cls.encode()]).integers(0, 256, (24, 24))
        Image.fromarray(noise.astype(np.uint8)).save(folder / cls / f"{number}.png")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for cls in OLD:
        draw(tmp_path / "images", cls)
    return tmp_path / "images"


def july(images: Path, *, hashes: bool = True, name: str = "july", more: str = "") -> Study:
    """The earlier run, as it lies on the disk."""
    run = images.parent / "runs" / name
    run.mkdir(parents=True)
    study = parse_study(TEXT.replace(", since: july%s", more) % (images, run.parent), "july.yaml", [f"study={name}"])
    (run / "study.yaml").write_text(study.to_yaml(), encoding="utf-8")
    _, pack = pack_dataset(study.data, Store(images.parent / "store"))
    told = {"split_hashes": split_hashes(pack, study.data)} if hashes else {}
    write_json(run / "environment.json", {"split_counts": {cls: {"train": 4, "val": 1, "test": 1} for cls in pack.classes}, **told})
    return study


def august(images: Path, more: str = "", *sets: str) -> Study:
    return parse_study(TEXT % (images, more, images.parent / "runs"), "august.yaml", sets)


def test_what_was_added_is_found_and_the_others_keep_their_images(images: Path) -> None:
    july(images)
    draw(images, "patches")
    study = with_added(august(images))
    assert study.data.added == ("patches",) and study.data.since == str(images.parent / "runs" / "july")
    aside = replace(study, storage=replace(study.storage, runs=str(images.parent / "dry")))
    assert with_added(aside) == aside, "a dry run looks on from elsewhere"
    _, pack = pack_dataset(study.data, Store(images.parent / "store"))
    hashes = split_hashes(pack, study.data)
    known = json.loads((images.parent / "runs" / "july" / "environment.json").read_text())["split_hashes"]
    assert {cls: hashes[cls] for cls in OLD} == known and set(hashes) == {*OLD, "patches"}
    (note,) = growth_notes(study, hashes)
    assert note == "Since july, patches came into the data set. Its 3 classes have the images that they had, split as they were."
    changed = {**hashes, "crazing": {**hashes["crazing"], "val": "x"}}
    assert "The images of crazing are not what they were" in growth_notes(study, changed)[0]
    assert with_added(study) == study, "a resolved copy, run again under another name"
    assert with_added(parse_study(TEXT.replace(", since: july%s", "") % (images, images), "s.yaml")).data.added == ()


def test_a_run_that_follows_another_knows_the_order(images: Path) -> None:
    july(images)
    draw(images, "patches")
    study = with_added(august(images))
    run = study.run_folder
    run.mkdir()
    (run / "study.yaml").write_text(study.to_yaml(), encoding="utf-8")
    write_json(run / "environment.json", {"split_counts": {cls: {} for cls in (*OLD, "patches")}})
    draw(images, "bruises")
    september = parse_study(TEXT.replace("july", "august") % (images, "", run.parent), "s.yaml", ["study=september"])
    assert with_added(september).data.added == ("patches", "bruises")
    assert "did not record which images" in growth_notes(with_added(september), {cls: {} for cls in (*OLD, "patches", "bruises")})[0]


def test_a_run_goes_on_without_the_earlier_one(images: Path) -> None:
    july(images)
    draw(images, "patches")
    settled = Resolved(extractor="inspector", precision="fp32", fingerprint="f")
    saved = parse_study(with_added(august(images)).resolve(settled).to_yaml(), "study.yaml")
    (images.parent / "runs" / "july").rename(images.parent / "runs" / "moved")
    assert continue_study(saved, august(images)).data.added == ("patches",)
    elsewhere = continue_study(saved, parse_study(TEXT.replace("july", "moved") % (images, "", images.parent / "runs"), "s.yaml"))
    assert (elsewhere.data.added, elsewhere.data.since) == (("patches",), "moved")
    with pytest.raises(StudyError, match=r"data\.added"):
        continue_study(saved, replace(august(images), data=replace(saved.data, since=None, added=())))


def test_every_problem_is_told_at_once(images: Path) -> None:
    july(images, more=", val_fraction: 0.3")
    (images / "crazing").rename(images / "cracks")
    with pytest.raises(StudyError) as caught:
        with_added(august(images, ", folds: 3, added: [cracks, more]"))
    told = str(caught.value).splitlines()
    assert len(told) == 4 and all(line.startswith("data.since: ") for line in told)
    for said in (
        "data.val_fraction was 0.3, and is 0.2",
        "data.folds was 0, and is 3",
        "its class crazing is not in the data set any more",
        "data.added says cracks, more, but since then came cracks",
    ):
        assert any(said in line for line in told), said


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["data.since=juli"], r"juli: no such run, neither a folder nor a name in .*runs; did you mean july\?"),
        (["study=july"], "july is this very run"),
        (["data.since=begun"], "begun: it has not begun"),
        ([], "it knew every class that is there; `tundish report RUN --against EARLIER`"),
    ],
)
def test_runs_that_cannot_serve_are_refused(images: Path, sets: list[str], said: str) -> None:
    july(images)
    begun = images.parent / "runs" / "begun"
    begun.mkdir()
    (begun / "study.yaml").write_text("study: begun\n")
    with pytest.raises(StudyError, match=said):
        with_added(august(images, "", *sets))


def weights(folder: Path, classes: list[str]) -> str:
    path = folder / "weights.safetensors"
    save_file({"w": ones(1)}, path, metadata={CLASSES: json.dumps(classes)})
    return str(path)


def test_what_becomes_of_earlier_outputs_is_said(images: Path) -> None:
    path = weights(images.parent, ["scratches", "crazing", "pitted"])
    study = august(images, "", f"space.inspector.fcn.start_from={path}")
    names = ["crazing", "scratches", "patches"]
    assert start_notes(study, names) == (
        [
            f"Inspectors that begin with {path}: its outputs of crazing, scratches go on; those of patches begin anew; those of pitted are dropped, "
            "which are no classes here."
        ],
        [],
    )
    assert start_notes(study, ["scratches", "crazing", "pitted"]) == start_notes(study, []) == ([], [])
    notes, problems = start_notes(study, ["a", "b"])
    assert notes == [] and problems == [f"start_from: {path} tells scratches, crazing, pitted apart, of which none is among the classes here: a, b"]


def test_weights_that_know_unseen_classes_are_refused(images: Path) -> None:
    path = weights(images.parent, ["crazing", "inclusion", "scratches"])
    text = (
        TEXT.replace("[dcgan]", "[tf_vaegan]").replace("since: july%s", "attributes: a.csv") + "task: zero_shot\nzero_shot: {unseen: [scratches]}\n"
    )
    study = parse_study(text % (images, images.parent), "s.yaml", [f"space.inspector.fcn.start_from={path}"])
    notes, (problem,) = start_notes(study, ["crazing", "inclusion", "scratches"])
    assert notes == [] and problem.startswith(f"start_from: {path} has learned from images of scratches, which this study calls unseen")


def test_a_model_for_each_class_can_be_asked_for_where_nobody_described_the_classes(images: Path) -> None:
    one = "space.generator.dcgan.class_mode=per_class"
    study = august(images, "", one)
    assert study.space.names()["generator.dcgan.class_mode"].grid(0) == ["per_class"]
    with pytest.raises(StudyError, match=r"space.generator.dcgan.conditioning: has no effect"):
        august(images, "", one, "space.generator.dcgan.conditioning=one_hot")
