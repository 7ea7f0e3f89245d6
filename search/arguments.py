"""Words of the command line that click does not read by itself: `--extend`, alone or with what a run is extended by. Called by `search.cli`.

Imports nothing heavy, so that `--help` answers at once.
"""

import re
from collections.abc import Sequence

import click

EXTEND = "--extend"
ALONE = f"{EXTEND}="
FRESH = "--fresh"
AMOUNT = re.compile(r"[A-Za-z_]*\s*=.*|[+-]?\d[\d.]*")
"""What may follow `--extend`: name=amount, or a number whose name was forgotten. All else is an argument of its own, such as the study file."""


class StudyCommand(click.Command):
    """A command that runs a study."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Joins `--extend` with what belongs to it, so that `--extend STUDY.yaml` and `--extend trials=+40 STUDY.yaml` mean what they say."""
        return super().parse_args(ctx, joined(args))


def joined(args: Sequence[str]) -> list[str]:
    """Writes every `--extend` with its amount as one word, `--extend=` where it stands alone."""
    found: list[str] = []
    words = list(args)
    while words:
        word = words.pop(0)
        if word == "--":
            return [*found, word, *words]
        if word == EXTEND:
            word = ALONE + (words.pop(0) if words and AMOUNT.fullmatch(words[0]) else "")
        found.append(word)
    return found


def continuing(args: Sequence[str]) -> list[str]:
    """Gives the words that continue what some words have started: the same, but they must neither begin it anew nor extend it once more."""
    kept = [word for word in joined(args) if word != FRESH and (word == ALONE or not word.startswith(ALONE))]
    return [EXTEND if word == ALONE else word for word in kept]
