"""What is wrong, or worth knowing, about a data set: all at once, with severity, examples and the cure. `tundish data check` shows it."""

from collections.abc import Sequence

from trainables.datasets.listing import Problem
from trainables.datasets.settings import DataSettings
from trainables.datasets.survey import Survey
from trainables.errors import DatasetError


def problems_of(found: Survey, settings: DataSettings) -> list[Problem]:
    """Judges a survey; errors first."""
    problems = [*found.listing.problems, *found.problems]
    order = ("error", "warning", "note")
    return sorted(problems, key=lambda problem: order.index(problem.severity))


def refuse(problems: Sequence[Problem], where: str) -> None:
    """Stops on errors.

    Raises:
        DatasetError: there are errors; the message lists all of them.
    """
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise DatasetError(
            "\n".join([f"{where}: {len(errors)} kind{'s' if len(errors) > 1 else ''} of errors; nothing was packed.", *map(say, errors)])
        )


def say(problem: Problem) -> str:
    """Puts a problem into lines of text."""
    lines = [f"  {problem.severity}: {problem.what}" + (f" ({problem.count})" if problem.count > 1 else "")]
    lines += [f"    {example}" for example in problem.where]
    if problem.count > len(problem.where) > 0:
        lines.append(f"    and {problem.count - len(problem.where)} more")
    if problem.cure:
        lines.append(f"    Cure: {problem.cure}")
    return "\n".join(lines)
