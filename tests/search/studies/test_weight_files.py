"""Weights that a run begins with: known by content, wherever they lie."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from search.studies.continuing import continue_study
from search.studies.recipes import baseline_params, build_recipe
from search.studies.settings import Resolved
from search.studies.study import Study, StudyError
from search.studies.study_file import parse_study
from search.studies.weight_files import changed_files, weight_files

TEXT = """
study: s
data: {size_px: 32}
space:
  generator: {family: [dcgan]}
  inspector:
    kind: [resnet18]
    resnet18: {weights: %s, start_from: [%s, %s]}
search:
  try:
    - {inspector.resnet18.start_from: %s}
"""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = []
    for number in range(3):
        paths.append(str(tmp_path / f"{number}.safetensors"))
        save_file({"w": torch.full((2,), float(number))}, paths[-1])
    return paths


def study(files: list[str]) -> Study:
    return parse_study(TEXT % (*files, files[2]), "s.yaml")


def begun(files: list[str]) -> Study:
    """The study as a run keeps it."""
    own = study(files)
    settled = Resolved(extractor="inspector", precision="fp32", fingerprint="f", files=weight_files(own))  # type: ignore[arg-type]
    return parse_study(own.resolve(settled).to_yaml(), "study.yaml")


def moved(path: str) -> str:
    there = Path(path).with_name(f"moved_{Path(path).name}")
    return str(Path(path).rename(there))


def test_files_are_listed_with_their_contents(files: list[str]) -> None:
    found = weight_files(study(files))
    assert set(found) == set(files) and len(set(found.values())) == 3
    Path(files[0]).unlink()
    assert weight_files(study(files))[files[0]] is None


def test_a_moved_file_of_equal_content_is_free(files: list[str]) -> None:
    saved = begun(files)
    now = [moved(files[0]), files[1], moved(files[2])]
    going = continue_study(saved, study(now))
    assert going.resolved is not None and going.resolved.moved == {files[0]: now[0], files[2]: now[2]}
    assert going.space == saved.space and going.search == saved.search, "what is asked keeps its names"
    params = going.space.defaults({"inspector.resnet18.start_from": files[2]})
    recipe = build_recipe(going, params)
    assert (recipe.inspector.settings["weights"], recipe.inspector.settings["start_from"]) == (now[0], now[2])
    baseline = build_recipe(going, baseline_params(going.space, ("plain",))[0])
    assert baseline.inspector.settings["start_from"] == files[1] and baseline.scores.inspector == recipe.scores.inspector
    assert changed_files(going) == []
    # And once more, from what the run keeps.
    again = [moved(now[0]), files[1], now[2]]
    further = continue_study(parse_study(going.to_yaml(), "study.yaml"), study(again))
    assert further.resolved is not None and further.resolved.moved == {files[0]: again[0], files[2]: now[2]}


def test_another_content_is_refused(files: list[str], tmp_path: Path) -> None:
    saved, other = begun(files), str(tmp_path / "other.safetensors")
    save_file({"w": torch.zeros(3)}, other)
    with pytest.raises(StudyError, match=r"space.inspector.resnet18.weights: .*0.safetensors -> .*other.safetensors"):
        continue_study(saved, study([other, *files[1:]]))
    with pytest.raises(StudyError, match=r"resnet18.weights: .*0.safetensors -> .*1.safetensors"):
        continue_study(saved, study([files[1], *files[1:]]))


def test_a_file_that_changed_or_went_is_told(files: list[str]) -> None:
    saved = begun(files)
    assert changed_files(saved) == [] and changed_files(study(files)) == []
    save_file({"w": torch.zeros(3)}, files[1])
    Path(files[2]).unlink()
    assert sorted(changed_files(saved)) == files[1:]
