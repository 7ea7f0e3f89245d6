"""Recipes: every setting of a point lands in its part; baselines, paper settings and the user's own points."""

import random
from dataclasses import replace

import pytest

from search.studies.checks import problems
from search.studies.recipes import baseline_params, build_recipe, paper_params, reference_inspector, try_params
from search.studies.settings import Resolved
from search.studies.study import Study
from search.studies.study_file import parse_study
from spaces.conditioning import SETTINGS
from trainables.recipe import Amount, InspectorPart, Recipe, Unit

RESOLVED = Resolved(extractor="inspector", precision="bf16", fingerprint="f" * 32)
TEXT = """\
study: s
seed: 5
data: {size_px: 32, backgrounds: folder}
space:
  generator: {family: [dcgan, pe_gan], dcgan.width: 32}
  synthesis: {amount: [fraction, balance, per_class]}
  inspector: {kind: [fcn, resnet18], fcn: {width: 16, lr: 1e-3}, resnet18.augment: classical}
search:
  marks: [2, 8]
  try:
    - {generator.family: dcgan, synthesis.amount: per_class, synthesis.per_class: 40, synthesis.filter: confidence}
"""


def study(*sets: str) -> Study:
    return parse_study(TEXT, "s.yaml", sets).resolve(RESOLVED)


def test_a_point_becomes_a_recipe() -> None:
    params = study().space.defaults({"generator.family": "dcgan", "synthesis.fraction": 0.25, "generator.kimg": 8})
    recipe = build_recipe(study(), params, units=[Unit(inspector=1), Unit(inspector=2)], judge=True)
    assert recipe.generator is not None
    assert recipe.synthesis is not None
    assert (recipe.generator.family, recipe.generator.kimg, recipe.generator.settings["width"]) == ("dcgan", 8.0, 32)
    assert recipe.synthesis.amount == Amount(kind="fraction", value=0.25)
    assert (recipe.synthesis.filter, recipe.synthesis.truncation) == ("none", 1.0)
    assert recipe.inspector.kind == "fcn"
    assert recipe.inspector.settings["width"] == 16
    assert (recipe.seed, recipe.precision, recipe.fingerprint, recipe.judge) == (5, "bf16", "f" * 32, True)
    assert recipe.units == (Unit(inspector=1), Unit(inspector=2))
    assert Recipe.from_plain(recipe.to_plain()) == recipe


@pytest.mark.parametrize("seed", range(30))
def test_every_point_of_the_space_is_a_valid_recipe(seed: int) -> None:
    params = study().space.sample(random.Random(seed))
    recipe = build_recipe(study(), params)
    assert recipe.generator is not None
    assert recipe.synthesis is not None
    used = {f"generator.{recipe.generator.family}.{name}" for name in recipe.generator.settings}
    used |= {f"inspector.{recipe.inspector.kind}.{name}" for name in recipe.inspector.settings}
    told = [name for name in params if name.rpartition(".")[2] in SETTINGS]
    assert (recipe.generator.conditioning is not None) == bool(told)
    for name in told:
        field = name.rpartition(".")[2].replace("conditioning", "kind")
        assert getattr(recipe.generator.conditioning, field) == params[name]
        used.add(name)
    kind = recipe.synthesis.amount.kind
    used |= {"generator.family", "generator.kimg", "inspector.kind"}
    used |= {f"synthesis.{name}" for name in ("amount", "replaces", "truncation", "filter")}
    used |= {f"synthesis.{name}" for name in (kind, "min_confidence") if f"synthesis.{name}" in params}
    assert used == set(params)
    assert recipe.synthesis.amount.value == params.get(f"synthesis.{kind}", 0.0)


def test_baselines_cover_every_inspector_and_begin_with_the_reference() -> None:
    points = baseline_params(study().space, ("plain", "oversample", "augment"))
    named = [(point["baseline"], point["inspector.kind"]) for point in points]
    # ResNet-18 is augmented in all of this study, so that its plain baseline is its augmented one.
    assert named == [("plain", "fcn"), ("plain", "resnet18"), ("oversample", "fcn"), ("oversample", "resnet18"), ("augment", "fcn")]
    assert points[2]["inspector.fcn.balance"] == "oversample"
    assert points[4]["inspector.fcn.augment"] == "classical"
    recipe = build_recipe(study(), points[0])
    assert recipe.generator is None
    assert recipe.inspector == reference_inspector(study()) == recipe.scores.inspector
    assert isinstance(recipe.inspector, InspectorPart)


def test_each_family_has_its_paper_settings_within_the_space() -> None:
    points = paper_params(study())
    assert [point["generator.family"] for point in points] == ["dcgan", "pe_gan"]
    assert points[0]["generator.dcgan.width"] == 32
    assert points[0]["generator.dcgan.g_lr"] == 2e-4
    assert points[1]["generator.pe_gan.lambda_rec"] == 10.0
    assert {point["generator.kimg"] for point in points} == {2.0}


def test_the_users_points_are_completed() -> None:
    (point,) = try_params(study())
    assert point["synthesis.per_class"] == 40
    assert point["synthesis.min_confidence"] == 0.5
    assert point["generator.dcgan.beta1"] == 0.5


def test_a_mark_beyond_a_schedule_is_refused() -> None:
    assert problems(study()) == []
    found = problems(study("space.generator.pe_gan.lr_decay=linear", "search.marks=[2, 1000]"))
    assert [name for name, _ in found] == ["search.marks"]
    assert "1000 kimg lies beyond the learning rate's horizon: generator.pe_gan's schedule may end at" in found[0][1]


@pytest.mark.parametrize(
    ("objective", "extractor", "family", "says"),
    [
        ("val_kid", "inspector", "smote", None),
        ("val_kid", "random", "smote", "smote makes features of the inspector, which random cannot look at"),
        ("val_coverage_random", "random", "tf_vaegan", "tf_vaegan makes features"),
        ("val_frechet", "random", "dcgan", None),
        ("val_mmd_inspector", "random", "smote", None),
        ("val_mmd_inspector", "inspector", "dcgan", "dcgan makes images, and only features are measured so"),
        ("val_macro_f1", "random", "smote", None),
    ],
)
def test_an_objective_that_a_family_cannot_give_is_refused(objective: str, extractor: str, family: str, says: str | None) -> None:
    asked = parse_study(
        "study: s\n", "s.yaml", [f"space.generator.family=[{family}]", f"objectives={{{objective}: null}}", f"scores.extractor={extractor}"]
    )
    for checked in (asked, asked.resolve(replace(RESOLVED, extractor=extractor))):  # type: ignore[arg-type]
        found = [text for name, text in problems(checked) if name == "objectives"]
        assert len(found) == (says is not None)
        assert says is None or says in found[0]


@pytest.mark.parametrize(
    ("sets", "searched", "confirmed"),
    [
        ([], False, True),
        (["scores.diagnostics=always"], True, True),
        (["scores.diagnostics=never"], False, False),
        (["scores.diagnostics=never", "objectives={val_tstr_accuracy: maximize}"], True, True),
    ],
)
def test_diagnostics_are_taken_of_the_confirmed_or_where_they_are_an_objective(sets: list[str], searched: bool, confirmed: bool) -> None:
    own = study(*sets)
    params = own.space.defaults({})
    assert build_recipe(own, params).scores.diagnostics is searched
    assert build_recipe(own, params, judge=True).scores.diagnostics is confirmed
    assert not build_recipe(own, baseline_params(own.space, ("plain",))[0], judge=True).scores.diagnostics


@pytest.mark.parametrize(("task", "kind", "outputs"), [("classify", "fcn", 3), ("segment", "smp:unet", 2), ("detect", "segdecnet", 1)])
def test_inspectors_are_checked_for_the_classes_there_are(task: str, kind: str, outputs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from search.studies import checks

    told: list[int | None] = []

    def asked(config: object, *, size_px: int, channels: int, num_classes: int | None) -> list[str]:
        told.append(num_classes)
        return []

    monkeypatch.setattr(checks.pick(checks.INSPECTORS, kind, "inspector"), "problems", asked)
    lines = [f"  inspector: {{kind: ['{kind}']}}" if line.startswith("  inspector:") else line for line in TEXT.splitlines()]
    own = parse_study("\n".join([f"task: {task}", *lines]), "s.yaml", ["space.generator.family=[dcgan]"])
    counts = {cls: {"train": 200, "val": 5, "test": 5} for cls in ("a", "b", "defect_free")}
    problems(own)
    problems(own, counts)
    assert set(told) == {None, outputs}


@pytest.mark.parametrize(
    ("kind", "sets", "place", "said"),
    [
        ("timm:resnt18", [], "space.inspector.kind", "has no model 'resnt18'; did you mean timm:resnet18"),
        ("resnet18", ["space.inspector.resnet18.weights=none.pth"], "space.inspector.resnet18.weights", "none.pth: no such file"),
        ("fcn", ["space.inspector.fcn.start_from=none.pth"], "space.inspector.fcn.start_from", "none.pth: no such file"),
        ("inception_v3", [], "space.inspector.kind", "does not take images of 32 px"),
    ],
)
def test_what_is_wrong_with_an_inspector_is_told_once_where_it_stands(kind: str, sets: list[str], place: str, said: str) -> None:
    lines = [f"  inspector: {{kind: ['{kind}']}}" if line.startswith("  inspector:") else line for line in TEXT.splitlines()]
    own = parse_study("\n".join(line for line in lines if "try" not in line and "filter" not in line), "s.yaml", sets)
    ((where, text),) = problems(own)
    assert where == place and said in text
