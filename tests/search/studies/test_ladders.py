"""Ladders of marks: read, refused, and used by what is tried first."""

import pytest

from search.moves import starting_points
from search.studies.study import Study, StudyError
from search.studies.study_file import parse_study

HEAD = """\
study: s
data: {size_px: 32, backgrounds: folder}
space: {generator.family: [dcgan, wgan_gp, stylegan2], inspector.kind: fcn}
"""
BY_FAMILY = HEAD + "search:\n  marks: {default: [5, 20], stylegan2: [20, 80]}\n"


def complaints(text: str) -> list[str]:
    with pytest.raises(StudyError) as caught:
        parse_study(text, "s.yaml")
    return str(caught.value).splitlines()


def read(text: str) -> Study:
    return parse_study(text, "s.yaml")


def test_a_ladder_may_differ_by_family_and_survives_being_written() -> None:
    study = read(BY_FAMILY)
    for again in (study, parse_study(study.to_yaml(), "again.yaml")):
        assert again.ladder("dcgan") == again.ladder("wgan_gp") == (5.0, 20.0)
        assert again.ladder("stylegan2") == (20.0, 80.0) and again.search.every_mark == (5.0, 20.0, 80.0)
    assert read(HEAD + "search: {marks: [5, 20]}").ladder("stylegan2") == (5.0, 20.0)


def test_families_start_at_the_lowest_mark_of_their_own() -> None:
    points = [point for _, point in starting_points(read(BY_FAMILY + "  try:\n    - {generator.family: stylegan2}\n"))]
    assert [(point["generator.family"], point["generator.kimg"]) for point in points] == [
        ("dcgan", 5.0),
        ("wgan_gp", 5.0),
        ("stylegan2", 20.0),
        ("stylegan2", 20.0),
    ]


def test_a_space_may_leave_marks_of_a_ladder_out() -> None:
    study = read(HEAD.replace("kind: fcn", "kind: fcn, generator.kimg: 20") + "search: {marks: [5, 20]}")
    assert study.ladder("dcgan") == (20.0,)


@pytest.mark.parametrize(
    ("marks", "place", "text"),
    [
        ("[20, 5]", "search.marks", "[20, 5] does not increase; expected [5, 20]"),
        ("[]", "search.marks", "expected different numbers above 0"),
        ("{}", "search.marks", "expected a list for each family"),
        ("{default: [5], stylegan2: [80, 20]}", "search.marks", "stylegan2: [80, 20] does not increase; expected [20, 80]"),
        ("{default: [5], dcgan: []}", "search.marks.dcgan", "expected different numbers above 0"),
        ("{default: [5], dcgna: [5]}", "search.marks.dcgna", "no generator family of this study; did you mean dcgan?"),
        ("{dcgan: [5]}", "search.marks", "no ladder for wgan_gp, stylegan2; name them too, or default"),
        ("{default: [5, x]}", "search.marks.default[1]", "'x' is not a number"),
    ],
)
def test_ladders_that_cannot_be_climbed_are_refused(marks: str, place: str, text: str) -> None:
    (said,) = complaints(HEAD + f"search: {{marks: {marks}}}")
    assert said.startswith(f"s.yaml:4: {place}: {text}"), said


def test_a_point_of_the_users_stands_on_its_familys_ladder() -> None:
    said = complaints(BY_FAMILY + "  try:\n    - {generator.family: stylegan2, generator.kimg: 5}\n")
    assert said == ["s.yaml:7: search.try[0].generator.kimg: 5 is no mark of stylegan2, whose ladder is 20, 80"]


def test_only_a_familys_own_marks_must_lie_within_its_schedule() -> None:
    text = HEAD + "search: {marks: {default: [5], wgan_gp: [5, 1000]}}"
    within = text.replace("[dcgan, wgan_gp, stylegan2]", "[wgan_gp, pe_gan], generator.pe_gan.lr_decay: linear")
    parse_study(within, "s.yaml", thorough=True)
    beyond = within.replace("{default: [5], wgan_gp: [5, 1000]}", "{default: [5], pe_gan: [5, 1000]}")
    with pytest.raises(StudyError, match=r"search\.marks: 1000 kimg lies beyond"):
        parse_study(beyond, "s.yaml", thorough=True)
