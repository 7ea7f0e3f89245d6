"""`--extend` with and without what a run is extended by, wherever it stands on the command line."""

import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from search import cli
from search.arguments import continuing, joined
from search.studies.extending import Extension, Step

STUDY = "study: small\nspace: {generator.family: [dcgan], inspector.kind: [fcn]}\nscores: {extractor: random}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run s.yaml --extend", "run s.yaml --extend="),
        ("run --extend s.yaml", "run --extend= s.yaml"),
        ("run --extend trials=+40 s.yaml", "run --extend=trials=+40 s.yaml"),
        ("run s.yaml --extend 40", "run s.yaml --extend=40"),
        ("run s.yaml --extend +40", "run s.yaml --extend=+40"),
        ("run --extend --inline s.yaml", "run --extend= --inline s.yaml"),
        ("run --extend=trials=9 s.yaml", "run --extend=trials=9 s.yaml"),
        ("run -- --extend trials=+1", "run -- --extend trials=+1"),
    ],
)
def test_what_belongs_to_it_is_joined_and_nothing_else(words: str, expected: str) -> None:
    assert joined(words.split()) == expected.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run s.yaml --extend trials=+40 --inline", "run s.yaml --inline"),
        ("run s.yaml --extend=trials=+40", "run s.yaml"),
        ("run --extend s.yaml --fresh", "run --extend s.yaml"),
    ],
)
def test_the_words_that_continue_do_not_extend_once_more(words: str, expected: str) -> None:
    assert continuing(words.split()) == expected.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "s.yaml"], False),
        (["run", "--extend", "s.yaml"], True),
        (["run", "s.yaml", "--extend", "trials=+40"], Extension(steps={"trials": Step(amount=40.0, relative=True, said="trials=+40")})),
        (["preset", "run", "demo", "--extend", "trials=9"], Extension(steps={"trials": Step(amount=9.0, relative=False, said="trials=9")})),
    ],
)
def test_commands_hand_it_on(words: list[str], expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    (tmp_path / "s.yaml").write_text(STUDY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tundish", *words])
    monkeypatch.setattr("search.runner.run_study", lambda study, *, extend, **rest: (told.append(extend), cli.INTERRUPTED)[1])
    done = CliRunner().invoke(cli.cli, words)
    assert (done.exit_code, told) == (cli.INTERRUPTED, [expected]), done.output


def test_a_number_without_its_name_is_told_how_to_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text(STUDY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tundish", "run", "s.yaml", "--extend", "40"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == cli.USAGE and "expected --extend trials=+40" in capsys.readouterr().err
