"""More trials and more of a budget for a run that was begun, as `run --extend` says it."""

import pytest

from search.studies.continuing import continue_study
from search.studies.extending import Extension, amount_of, read_extension, refuse_without_run
from search.studies.settings import Resolved
from search.studies.study import Study, StudyError
from search.studies.study_file import parse_study

TEXT = """\
study: small
space: {generator.family: [dcgan], inspector.kind: [fcn]}
scores: {extractor: random}
search: {trials: 12, budget: {hours: 3}}
"""


def read(*sets: str) -> Study:
    return parse_study(TEXT, "s.yaml", sets)


def saved(study: Study) -> Study:
    """What the run's folder gives back of a study."""
    return parse_study(study.to_yaml(), "study.yaml")


def begun() -> Study:
    return saved(read().resolve(Resolved(extractor="random", precision="fp32", fingerprint="f" * 32)))


def extended(run: Study, *texts: str, now: Study | None = None) -> Study:
    return saved(continue_study(run, now or read(), extend=read_extension(texts)))


def test_alone_it_is_a_flag_and_absent_it_is_none() -> None:
    assert read_extension(()) is False and read_extension(("",)) is True
    found = read_extension(("trials=+40, hours=+0.5", "disk_gib=20"))
    assert isinstance(found, Extension)
    assert {name: (step.amount, step.relative) for name, step in found.steps.items()} == {
        "trials": (40.0, True),
        "hours": (0.5, True),
        "disk_gib": (20.0, False),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trial=+4", "no trial can be extended; did you mean trials?"),
        ("trials=-5", "-5 would not let it grow; expected --extend trials=+40"),
        ("trials=+0", "+0 would not let it grow"),
        ("trials=+2.5", "not a whole number of trials"),
        ("trials=many", "'many' is not a number"),
        ("trials=+inf", "'+inf' is not a number"),
        ("trials=", "'' is not a number"),
        ("40", "expected --extend trials=+40 (more than there are), or --extend trials=120 (in all)"),
        ("trials=+4,trials=+5", "trials is given twice"),
    ],
)
def test_nonsense_is_refused_with_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        read_extension((text,))
    assert said in str(caught.value) and str(caught.value).startswith("--extend ")


def test_all_nonsense_is_told_at_once() -> None:
    with pytest.raises(StudyError) as caught:
        read_extension(("trial=+4", "hour=+1"))
    assert str(caught.value).splitlines() == [
        "--extend trial=+4: no trial can be extended; did you mean trials?",
        "--extend hour=+1: no hour can be extended; did you mean hours?",
    ]


def test_a_run_goes_on_as_it_stands_while_the_study_file_says_what_it_said() -> None:
    run = extended(begun(), "trials=+40")
    assert run.search.trials == 52 and run.resolved is not None and run.resolved.extended == {"trials": 12.0}
    again = saved(continue_study(run, read()))
    assert again.search.trials == 52, "without --extend, the run goes on as it stands"
    more = extended(again, "trials=+8")
    assert more.search.trials == 60, "relative to the run, not to the study file"
    assert extended(more, "trials=60").search.trials == 60, "naming what there is changes nothing"
    assert extended(more, "trials=61").search.trials == 61


def test_a_study_file_that_was_changed_counts_again() -> None:
    run = extended(begun(), "trials=+8")
    with pytest.raises(StudyError, match=r"search\.trials: 20 -> 15"):
        continue_study(run, read("search.trials=15"))
    with pytest.raises(StudyError, match=r"search\.trials: 20 -> 30\nGive --extend"):
        continue_study(run, read("search.trials=30"))
    grown = saved(continue_study(run, read("search.trials=30"), extend=True))
    assert grown.search.trials == 30 and grown.resolved is not None and grown.resolved.extended == {}
    with pytest.raises(StudyError, match=r"search\.trials: 30 -> 12"):
        continue_study(grown, read())


def test_a_budget_grows_in_the_same_way() -> None:
    run = extended(begun(), "hours=+2")
    assert (run.search.budget.hours, run.search.trials) == (5.0, 12)
    assert saved(continue_study(run, read())).search.budget.hours == 5.0
    assert continue_study(run, read("search.budget.hours=4")).search.budget.hours == 4.0, "a budget may always be changed in the study file"
    with pytest.raises(StudyError, match=r"search\.trials: 12 -> 15"):
        continue_study(begun(), read("search.trials=15"), extend=read_extension(("hours=+2",)))
    with pytest.raises(StudyError, match=r"--extend money=\+5: runs/small has no search\.budget\.money; bound it with --set"):
        extended(begun(), "money=+5")


def test_fewer_than_there_are_and_a_run_that_is_none_are_refused() -> None:
    with pytest.raises(StudyError, match=r"--extend trials=10: runs/small stands at 12 already, and can only grow; expected more"):
        extended(begun(), "trials=10")
    wanted = read_extension(("trials=+4",))
    with pytest.raises(StudyError, match="runs/small: this run has not begun, so that there is nothing to extend"):
        refuse_without_run(wanted, begun().run_folder, fresh=False)
    with pytest.raises(StudyError, match="--fresh begins this run anew"):
        refuse_without_run(wanted, begun().run_folder, fresh=True)
    refuse_without_run(True, begun().run_folder, fresh=True)
    assert amount_of(begun(), "money") is None
