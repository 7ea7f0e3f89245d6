"""Study files: what they hold, every complaint with its place, overrides, and what may change once a run has begun."""

import json
import random
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from PIL import Image

from search.studies.continuing import continue_study
from search.studies.objectives import Objective
from search.studies.schema import json_schema
from search.studies.settings import Resolved
from search.studies.starter import study_text
from search.studies.study import Study, StudyError
from search.studies.study_file import load_study, parse_study
from spaces.generators import GENERATOR_SPACES
from trainables.datasets import DATASETS
from trainables.datasets.settings import DataSettings
from trainables.scores.names import COSTS

SMALL = """\
study: small
seed: 3
data:
  size_px: 32
  backgrounds: folder
space:
  generator:
    family: [dcgan, wgan_gp]
    dcgan.g_lr: {low: 1e-4, high: 4e-4}
  inspector:
    kind: [fcn, resnet18]
objectives:
  val_accuracy: maximize
  val_kid: minimize
scores:
  extractor: inspector
search:
  trials: 12
  marks: [5, 20]
  try:
    - generator.family: dcgan
      synthesis: {fraction: 0.25}
"""
RESOLVED = Resolved(extractor="inspector", precision="fp32", fingerprint="f" * 32)


def complaints(text: str, *sets: str) -> list[str]:
    with pytest.raises(StudyError) as caught:
        parse_study(text, "s.yaml", sets)
    return str(caught.value).splitlines()


def test_a_study_is_read_whole() -> None:
    study = parse_study(SMALL, "s.yaml")
    assert (study.name, study.seed, study.data.size_px) == ("small", 3, 32)
    assert study.families == ("dcgan", "wgan_gp")
    assert study.inspectors == ("fcn", "resnet18")
    assert study.objectives == (
        Objective(score="val_accuracy", direction="maximize"),
        Objective(score="val_kid_inspector", direction="minimize"),
    )
    assert study.search.marks == (5.0, 20.0)
    assert study.run_folder == Path("runs/small")
    rates = [study.space.sample(random.Random(seed), {"generator.family": "dcgan"})["generator.dcgan.g_lr"] for seed in range(50)]
    assert all(1e-4 <= float(str(rate)) <= 4e-4 for rate in rates)


def test_a_name_is_all_a_study_needs() -> None:
    study = parse_study("study: bare\ndata: {backgrounds: folder}\n", "s.yaml")
    assert study.families == tuple(GENERATOR_SPACES)
    assert study.inspectors == ("resnet18", "mobilenet_v2", "fcn")
    # Other kinds of amounts say the same in other words: they vary only where a study asks for them.
    assert study.space.defaults()["synthesis.amount"] == "fraction"
    assert [item.score for item in study.objectives] == ["val_macro_f1", "val_kid"]


def test_naming_an_amounts_number_chooses_its_kind() -> None:
    study = parse_study("study: s\nspace: {synthesis: {per_class: [20, 50]}}", "s.yaml")
    assert study.space.defaults()["synthesis.per_class"] == 50
    assert "synthesis.fraction" not in study.space.names()


def test_every_problem_is_reported_with_its_line() -> None:
    text = """\
study: bad name
seed: -1
dta: 3
data:
  size_px: 48
  images_per_clas: 20
space:
  generator:
    family: [dcgan, wgan]
    dcgan:
      g_lr: {low: 1e-9}
      width: wide
  inspector.kind: resnet
objectives:
  val_acuracy: maximize
  test_accuracy: maximize
  val_macro_f1: minimize
search:
  trials: many
  tri: []
"""
    said = complaints(text)
    expected = [
        "s.yaml:3: dta: no such section; did you mean data?",
        "s.yaml:5: data.size_px: 48 is not 16, 32, 64, 128 or 256",
        "s.yaml:6: data.images_per_clas: no such setting; did you mean images_per_class?",
        "s.yaml:19: search.trials: 'many' is not a whole number",
        "s.yaml:20: search.tri: no such setting; did you mean try?",
        "s.yaml:1: study: 'bad name' is not a name",
        "s.yaml:2: seed: -1 is not a whole number",
        f"s.yaml:9: space.generator.family: 'wgan' is not one of {', '.join(GENERATOR_SPACES)}; did you mean ",
        "s.yaml:11: space.generator.dcgan.g_lr: 1e-09 is outside of 5e-05 to 0.001",
        "s.yaml:12: space.generator.dcgan.width: 'wide' is not one of",
        "s.yaml:13: space.inspector.kind: 'resnet' is not one of resnet18, resnet50, mobilenet_v2,",
        "s.yaml:15: objectives.val_acuracy: val_acuracy: no such score; did you mean val_accuracy?",
        "s.yaml:16: objectives.test_accuracy: test_accuracy: the test split is read once",
        "s.yaml:17: objectives.val_macro_f1: val_macro_f1: 'minimize' is not its direction; expected maximize",
    ]
    for line in expected:
        assert [item for item in said if item.startswith(line)], (line, said)
    assert len(said) == len(expected), said


def test_ranges_are_checked_when_types_are_right() -> None:
    assert complaints("study: s\ndata:\n  size_px: 48\n") == ["s.yaml:3: data.size_px: 48 is not 16, 32, 64, 128 or 256"]
    assert complaints("study: s\nsearch:\n  marks: [5, 5]")[0].startswith("s.yaml:3: search.marks: expected different numbers above 0")
    assert complaints("study: s\nsearch:\n  confirm: {top: -1}")[0].startswith("s.yaml:3: search.confirm: top must be")
    assert complaints("study: s\nresources:\n\n  workers: 0")[0].startswith("s.yaml:4: resources.workers: 0 is fewer than 1")
    assert complaints("study: s\nsearch:\n  trials: 3\nspace: {inspector.kind: fcn}") == [
        "s.yaml:3: search.trials: 3 leaves nothing to search: the baselines alone are 4"
    ]


def test_every_range_is_told_at_once() -> None:
    text = """\
study: s
data:
  dataset: procedual
  size_px: 48
  val_fraction: 2
  channels: 2
  procedural:
    per_class: -4
search:
  trials: 0
  marks: 5
  baselines: [augment]
"""
    assert complaints(text) == [
        "s.yaml:6: data.channels: 2 is not one of 1, 3",
        "s.yaml:8: data.procedural.per_class: -4 is fewer than 1",
        "s.yaml:4: data.size_px: 48 is not 16, 32, 64, 128 or 256",
        "s.yaml:5: data.val_fraction: 2.0 is not between 0 and 0.9",
        "s.yaml:2: data: val_fraction + test_fraction: more than 0.9, so that next to nothing is left to train on",
        "s.yaml:11: search.marks: 5 is not a list, each a number or names, each with a list, each a number",
        "s.yaml:10: search.trials: 0 is fewer than 1",
        "s.yaml:12: search.baselines: expected plain first, then any of oversample, undersample, augment, each once",
    ]
    assert complaints("study: s\ndata:\n  dataset: procedual\nsed: 1") == [
        "s.yaml:4: sed: no such section; did you mean seed?",
        f"s.yaml:3: data.dataset: no data set is called 'procedual'; did you mean 'procedural'? there are {', '.join(sorted(DATASETS))}",
    ]


def test_the_users_points_must_lie_in_the_space() -> None:
    said = complaints(SMALL + "    - {generator.dcgan.g_lr: 1e-3, generator.family: dcgan}\n    - {generator.lm_gan.lr: 1e-4}\n")
    assert said[0] == "s.yaml:23: search.try[1].generator.dcgan.g_lr: 0.001 is outside of 0.0001 to 0.0004"
    assert said[1].startswith("s.yaml:24: search.try[2].generator.lm_gan.lr: no such setting")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: [a\n", "s.yaml:2: not YAML"),
        ("- a\n", "s.yaml:1: expected names with values"),
        ("study: s\nseed: 1\nseed: 2\n", "s.yaml:3: seed is given twice"),
        ("", "s.yaml: study: missing"),
        ("study: s\ndata: 3\n", "s.yaml:2: data: expected settings with values, found 3"),
        ("study: s\nobjectives: []\n", "s.yaml:2: objectives: expected at least one score"),
        ("study: s\nobjectives: [val_accuracy, val_accuracy]\n", "s.yaml:2: objectives: val_accuracy is given twice"),
        (
            "study: s\nscores: {extractor: random}\nobjectives: [val_fid]\n",
            "s.yaml:3: objectives[0]: val_fid: measured only where scores.extractor is inception",
        ),
        (
            "study: s\nobjectives: {val_accuracy.scratches: maximize}\n",
            "s.yaml:2: objectives.val_accuracy.scratches: val_accuracy.scratches: val_accuracy is not",
        ),
        ("study: s\nsearch: {marks: [5, .nan]}\n", "s.yaml:2: search.marks: expected different numbers above 0"),
        ("study: s\nspace: {generator: 3}\n", "s.yaml:2: space.generator: no such setting; it is a group of settings: family"),
        ("study: s\ndata: &a\n  path: *a\n", "s.yaml: an alias (*name) stands inside of what it names"),
        ("study: s\x00\n", "s.yaml: not YAML"),
        ("study: s\nseed: 1:30\n", "s.yaml:2: seed: '1:30' is not a whole number"),
        ("study: s\nsearch: {tries: []}\n", "s.yaml:2: search.tries"),
        ("study: s\nsearch: {baselines: [augment]}\n", "s.yaml:2: search.baselines: expected plain first"),
    ],
)
def test_bad_text_is_refused(text: str, message: str) -> None:
    assert complaints(text)[0].startswith(message)


def test_a_missing_file_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no such study file.\n.*tundish init"):
        load_study(tmp_path / "none.yaml")


def test_overrides_replace_and_complain_by_name() -> None:
    study = parse_study(
        SMALL, "s.yaml", ["search.trials=30", "space.generator.dcgan.g_lr=2e-4", "space.synthesis.fraction=[0.2, 0.25]", "study=other"]
    )
    assert (study.name, study.search.trials) == ("other", 30)
    point = study.space.defaults()
    assert (point["generator.dcgan.g_lr"], point["synthesis.fraction"]) == (2e-4, 0.25)
    assert complaints(SMALL, "search.trials=x") == ["--set search.trials=x: search.trials: 'x' is not a whole number"]
    assert complaints(SMALL, "serch.trials=3") == ["--set serch.trials=3: serch: no such section; did you mean search?"]
    assert complaints(SMALL, "trials") == ["--set trials: expected a.b=value, for example --set search.trials=20"]
    assert complaints(SMALL, "seed.x=1") == ["--set seed.x=1: seed is 3 in s.yaml and has no parts"]


def test_numbers_are_read_as_people_write_them() -> None:
    study = parse_study("study: s\nspace: {generator: {family: dcgan, dcgan: {g_lr: 2e-4}}}\nstorage: {runs: on}", "s.yaml")
    assert study.space.defaults()["generator.dcgan.g_lr"] == 2e-4
    assert study.storage.runs == "on"


def test_objectives_of_one_class_and_costs_are_taken() -> None:
    text = "study: s\nscores: {extractor: random}\nobjectives:\n  val_recall.rolled-in_scale: maximize\n  val_kid.scratches:\n"
    text += f"  {next(iter(COSTS))}: minimize\n"
    assert [(item.score, item.direction) for item in parse_study(text, "s.yaml").objectives] == [
        ("val_recall.rolled-in_scale", "maximize"),
        ("val_kid_random.scratches", "minimize"),
        (next(iter(COSTS)), "minimize"),
    ]


def test_the_resolved_copy_is_a_study_file_that_gives_the_same_study() -> None:
    study = parse_study(SMALL, "s.yaml").resolve(RESOLVED)
    again = parse_study(study.to_yaml(), "study.yaml")
    assert again.to_plain() == study.to_plain()
    assert again.resolved == RESOLVED
    draws = [[item.space.sample(random.Random(seed)) for seed in range(20)] for item in (study, again)]
    assert draws[0] == draws[1]


def test_objectives_that_auto_cannot_keep_are_refused_at_the_start() -> None:
    study = parse_study("study: s\nobjectives: [val_fid]", "s.yaml")
    with pytest.raises(StudyError, match=r"val_fid: measured only where scores.extractor is inception"):
        study.resolve(RESOLVED)
    assert study.resolve(replace(RESOLVED, extractor="inception")).objectives[0].score == "val_fid"


def saved_and(*sets: str) -> tuple[Study, Study]:
    saved = parse_study(parse_study(SMALL, "s.yaml").resolve(RESOLVED).to_yaml(), "study.yaml")
    return saved, parse_study(SMALL, "s.yaml", sets)


def test_an_unchanged_study_continues_with_new_means() -> None:
    saved, now = saved_and("resources.workers=7", "storage.store=elsewhere")
    going = continue_study(saved, now)
    assert (going.resources.workers, going.storage.store, going.resolved) == (7, "elsewhere", RESOLVED)


def test_a_data_set_may_move_and_an_extractor_may_not() -> None:
    saved, now = saved_and("data.path=moved")
    assert continue_study(saved, now).data.path == "moved"
    with pytest.raises(StudyError, match=r"scores.extractor: inspector -> random"):
        continue_study(*saved_and("scores.extractor=random"))
    assert continue_study(*saved_and("scores.inception_weights=moved.pth")).scores.inception_weights == "moved.pth"
    # Whatever was decided at the start stays decided.
    assert continue_study(*saved_and("resources.precision=auto", "scores.extractor=inspector")).resolved == RESOLVED


def test_a_changed_study_is_refused_naming_each_change() -> None:
    saved, now = saved_and("data.size_px=64", "space.generator.family=dcgan", "search.trials=20")
    with pytest.raises(StudyError) as caught:
        continue_study(saved, now, extend=True)
    said = str(caught.value)
    assert "  data.size_px: 32 -> 64" in said
    assert "  space.generator.family: ['dcgan', 'wgan_gp'] -> dcgan" in said
    assert "search.trials" not in said
    assert "--fresh" in said


def test_trials_grow_only_where_it_is_asked_for() -> None:
    saved, now = saved_and("search.trials=20")
    with pytest.raises(StudyError, match=r"search.trials: 12 -> 20\nGive --extend"):
        continue_study(saved, now)
    assert continue_study(saved, now, extend=True).search.trials == 20
    with pytest.raises(StudyError, match=r"search.trials: 12 -> 11"):
        continue_study(*saved_and("search.trials=11"), extend=True)


def presets() -> dict[str, str]:
    return {item.name: item.read_text() for item in (resources.files("spaces") / "presets").iterdir() if item.name.endswith(".yaml")}


@pytest.mark.parametrize("name", sorted(presets()))
def test_presets_fit_what_is_installed(name: str) -> None:
    study = parse_study(presets()[name], name, thorough=True)
    assert study.name == name.removesuffix(".yaml")


def test_the_issue_of_the_demo_is_met_by_its_preset() -> None:
    study = parse_study(presets()["demo.yaml"], "demo.yaml")
    assert len(study.families) >= 3
    assert len(study.inspectors) >= 2
    assert study.search.trials >= 12
    assert study.search.baselines[0] == "plain"


@pytest.mark.parametrize(
    ("layout", "files", "backgrounds"),
    [
        ("image_folder", ("scratches/1.png", "Good/2.png"), "folder"),
        ("image_folder", ("a/1.png", "b/2.png"), "crops"),
        ("kolektor_sdd", ("kos01/Part0.jpg", "kos01/Part0_label.bmp", "kos01/Part1.jpg", "kos01/Part1_label.bmp*"), "folder"),
        ("kolektor_sdd", ("kos01/Part0.jpg", "kos01/Part0_label.bmp*"), "crops"),
        ("dagm2007", ("Class1/Train/0001.PNG", "Class1/Train/0002.PNG", "Class1/Train/Label/0002_label.PNG*"), "folder"),
        ("mvtec_ad", ("nut/train/good/0.png", "nut/test/cut/0.png", "nut/ground_truth/cut/0_mask.png*"), "folder"),
        ("mvtec_ad", ("nut/train/bad/0.png",), "crops"),
    ],
)
def test_the_starter_is_a_valid_study_of_the_folder(tmp_path: Path, layout: str, files: tuple[str, ...], backgrounds: str) -> None:
    for name in files:
        place = tmp_path / "images" / name.removesuffix("*")
        place.parent.mkdir(parents=True, exist_ok=True)
        # A star marks masks with something in them.
        Image.new("L", (16, 16), 255 if name.endswith("*") else 0).save(place)
    (tmp_path / "boxes: here").mkdir()
    settings = DataSettings(dataset=layout, path=str(tmp_path / "images"), size_px=32, images_per_class=20, boxes_path=str(tmp_path / "boxes: here"))
    study = parse_study(study_text(settings, name="mine"), "study.yaml", thorough=True)
    assert study.name == "mine"
    assert study.data == replace(settings, backgrounds=backgrounds)
    assert "pe_gan" in study.families


def test_a_family_that_needs_backgrounds_is_refused_without_them() -> None:
    with pytest.raises(StudyError) as caught:
        parse_study("study: s\ndata:\n  size_px: 16\nspace: {generator.family: pe_gan}", "s.yaml", thorough=True)
    said = str(caught.value).splitlines()
    assert said[0].startswith("s.yaml:2: data.backgrounds: pe_gan turns defect-free images into defects")
    assert said[1].startswith("s.yaml:3: data.size_px: pe_gan cannot be built for 16 px")


def test_unknown_and_missing_data_are_refused() -> None:
    with pytest.raises(StudyError, match=r"s.yaml:2: data.dataset: .*did you mean 'neu_cls'"):
        parse_study("study: s\ndata: {dataset: neu_clss, backgrounds: crops}", "s.yaml", thorough=True)
    with pytest.raises(StudyError, match=r"s.yaml:2: data.path: missing"):
        parse_study("study: s\ndata: {dataset: neu_cls, backgrounds: crops}", "s.yaml", thorough=True)


def test_the_schema_knows_what_the_reader_knows() -> None:
    schema = json_schema()
    json.dumps(schema)
    properties = schema["properties"]
    sections = ["study", "seed", "task", "data", "space", "objectives", "limits", "scores", "zero_shot", "search", "resources", "storage", "resolved"]
    assert set(properties) == set(sections)
    assert properties["data"]["properties"]["protocol"]["enum"] == ["strict", "paper"]
    assert properties["search"]["properties"]["try"]["type"] == "array"
    assert "held out for validation" in properties["data"]["properties"]["val_fraction"]["description"]
    rate = properties["space"]["properties"]["generator"]["properties"]["dcgan"]["properties"]["g_lr"]
    assert rate["anyOf"][0] == {"type": "number", "minimum": 5e-5, "maximum": 1e-3}
    assert "test_accuracy" not in json.dumps(properties["objectives"])


def test_the_schema_agrees_with_the_presets() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    for name, text in presets().items():
        study = parse_study(text, name)
        validator.validate(study.to_plain() | {"resolved": None})
