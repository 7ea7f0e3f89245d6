"""What `run`, `demo` and `preset run` do with a study once it is read: run it, or say what that would do. Called by the command line."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from search.arguments import continuing
from search.console import Console
from search.studies.extending import read_extension
from search.studies.study import Study


def launch(study: Study, *, inline: bool, fresh: bool, extend: Sequence[str], dry_run: bool, in_job: bool) -> int:
    """Runs a study, or says what that would do; gives the exit code.

    Args:
        study: as it was read, and checked.
        inline: whether trials run in this process, without Ray.
        fresh: whether an earlier run is set aside.
        extend: what followed `--extend`, each time that it was given.
        dry_run: whether to say what would be done, and do nothing.
        in_job: whether this runs inside of `ray job submit`.

    Raises:
        StudyError, BadInput, RunError, ClusterError: it cannot be run.
    """
    import search.runner as runner

    wanted = read_extension(extend)
    if dry_run:
        for line in runner.dry_run(study, inline=inline, fresh=fresh, extend=wanted, say=lambda line: click.echo(line, err=True)):
            click.echo(line)
        return 0
    if in_job:
        _warn_of_lost_folders(study)
    command = shlex.join(["tundish", *continuing(sys.argv[1:])])
    code = runner.run_study(study, inline=inline, fresh=fresh, extend=wanted, observer=Console(), command=command)
    if code == 0:
        from reports.run import read_run
        from reports.verdict import verdict

        found = verdict(read_run(study.run_folder))
        click.secho(f"\n{found.headline}", bold=True)
        click.echo(f"{found.detail}\n{found.conditions}")
    return code


def _warn_of_lost_folders(study: Study) -> None:
    """Warns that a job's current folder is a copy, which Ray deletes some time after the job."""
    for name, folder in (("runs", study.storage.runs), ("store", study.storage.store)):
        if "://" not in folder and not Path(folder).is_absolute():
            lost = f"warning: storage.{name} is {Path(folder).absolute()}, which goes with this job."
            click.secho(f"{lost} Keep it: --set storage.{name}=/a/shared/folder", fg="yellow", err=True)
