"""The command line. What the commands do lives elsewhere and is imported when a command runs, so that `--help` answers at once.

Exit codes: 0 ok, 1 failed, 2 wrong usage or a study that cannot be run, 3 a data set that cannot be used, 130 interrupted.
"""

import difflib
import errno
import importlib.resources
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from search.arguments import EXTEND, StudyCommand

if TYPE_CHECKING:
    from search.studies.study import Study
    from trainables.datasets.settings import DataSettings
    from trainables.store import Store

FAILED, USAGE, DATA, INTERRUPTED = 1, 2, 3, 130

# By name, so that telling a user's mistake from ours needs no import. The first that fits decides.
ERRORS = {
    "trainables.errors.DatasetError": DATA,
    "trainables.errors.StoreError": FAILED,
    "trainables.errors.BadInput": USAGE,
    "trainables.errors.TrialFailure": FAILED,
    "spaces.domains.SpaceError": USAGE,
    "search.studies.study.StudyError": USAGE,
    "search.studies.document.DocumentError": USAGE,
    "reports.records.RecordError": FAILED,
    "cluster.connect.ClusterError": FAILED,
    "search.runs.lease.RunError": FAILED,
}


EXTENDS = "Go on with more trials, trials=+40 or trials=120 in all, or more of a budget, hours=+2; alone: with those of the study file."

REFUSED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.EIO, errno.ESTALE, errno.ETIMEDOUT})
"""Codes of what an operating system refuses through no mistake of ours."""


class Ordered(click.Group):
    """Lists commands in the order in which they are met, not in that of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Gives the names as they were added."""
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Adds the nearest command to the complaint about an unknown one."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            ctx.fail(f"no such command: {args[0]}{_nearest(args[0], list(self.commands))}")
        return super().resolve_command(ctx, args)


@click.group(cls=Ordered, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tundish")
def cli() -> None:
    """Searches generators of synthetic defect images, their settings and amounts, for the best inspector of metal surfaces.

    Begin with `tundish demo`, then `tundish init FOLDER` for images of your own.
    """


def _study_options(command: Any) -> Any:
    """The options of every command that runs a study."""
    for option in (
        click.option("--set", "sets", multiple=True, metavar="A.B=C", help="Override a setting of the study; may be given several times."),
        click.option("--name", help="Name of the study, and of its run's folder."),
        click.option("--inline", is_flag=True, help="Run in this process, one trial after the other, without Ray."),
        click.option("--fresh", is_flag=True, help="Begin anew; the earlier run is kept beside it. Stored stages are still reused."),
        click.option(EXTEND, multiple=True, metavar="[trials=+N]", help=EXTENDS),
        click.option("--dry-run", is_flag=True, help="Say what would be tried and what it would take, from earlier runs or a probe; write nothing."),
    ):
        command = option(command)
    return command


def _data_options(command: Any) -> Any:
    """The options of the commands that look at a data set."""
    for option in (
        click.option("--channels", type=click.Choice(["1", "3"]), default="1", show_default=True, help="1 for grey, 3 for colour."),
        click.option("--size", type=int, default=64, show_default=True, help="Side of the training images in pixels."),
        click.option("--boxes", type=click.Path(), help="Folder of VOC XML boxes for images that have none of their own."),
        click.option("--dataset", help="Name of the layout; detected by default."),
    ):
        command = option(command)
    return command


@cli.command(cls=StudyCommand)
@_study_options
def demo(sets: tuple[str, ...], name: str | None, **how: Any) -> None:
    """Run a small study on embedded surfaces: about three minutes on two cores."""
    _run(_load_preset("demo", _with_name(sets, name)), **how)


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("study.yaml"), show_default=True, help="Study file to write.")
@click.option("--force", is_flag=True, help="Overwrite the study file.")
@_data_options
def init(path: Path, output: Path, force: bool, **options: Any) -> None:
    """Check a folder of images and write a commented study file for it."""
    from search.studies.starter import study_text

    if output.exists() and not force:
        raise click.UsageError(f"{output} exists. Give --force to overwrite it, or --output FILE for another.")
    if not output.absolute().parent.is_dir():
        raise click.UsageError(f"{output}: there is no folder {output.parent} to write it into. Make it, or give --output FILE for another.")
    settings = _data_settings(path, **options)
    _check(settings)
    output.write_text(study_text(settings, name=_name_of(path), file=str(output)), encoding="utf-8")
    click.echo(f"{output} written. Look it over, then: tundish run {shlex.quote(str(output))}")


@cli.command(cls=StudyCommand)
@click.argument("study", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--data", type=click.Path(path_type=Path), help="Folder of images, instead of a study file: everything else takes its default.")
@_study_options
def run(study: Path | None, data: Path | None, sets: tuple[str, ...], name: str | None, **how: Any) -> None:
    """Run a study. Running it again continues it."""
    if (study is None) == (data is None):
        raise click.UsageError("give either a study file or --data FOLDER; `tundish demo` needs neither.")
    if study is not None:
        from search.studies.study_file import load_study

        chosen = load_study(study, _with_name(sets, name), thorough=True)
    else:
        assert data is not None
        from search.studies.starter import study_text
        from search.studies.study_file import parse_study

        text = study_text(_data_settings(data), name=_name_of(data))
        chosen = parse_study(text, f"study for {data}", _with_name(sets, name), thorough=True)
    _run(chosen, **how)


@cli.command()
@click.option(
    "--runs", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("runs"), show_default=True, help="Folder of the runs."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def runs(folder: Path, as_json: bool) -> None:
    """List the runs there are."""
    from search.runs.status import summarize
    from search.runs.tables import show_runs

    found = [summarize(path.parent) for path in sorted(folder.glob("*/study.yaml"))]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show_runs(found, folder=str(folder))


@cli.command()
@click.argument("run_", metavar="RUN")
def stop(run_: str) -> None:
    """Ask a running study to save and stop."""
    import time

    from search.runs.lease import holder, is_alive
    from search.runs.ledger import request_stop

    folder = _run_folder(run_)
    driver = holder(folder)
    if driver is None or not is_alive(driver, time.time()):
        click.echo(f"{folder} is not running.")
        return
    request_stop(folder)
    click.echo(f"{folder}: asked process {driver.pid} on {driver.host} to save and stop. Follow it with: tundish status {shlex.quote(run_)}")


@cli.command()
@click.argument("run_", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def status(run_: str, as_json: bool) -> None:
    """Say where a run stands, from its files alone."""
    from search.runs.status import summarize
    from search.runs.tables import show_status

    found = summarize(_run_folder(run_))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show_status(found)


@cli.command()
@click.argument("run_", metavar="RUN")
@click.option("--against", metavar="RUN", help="An earlier run of fewer classes, to compare the winners class by class; else what data.since names.")
def report(run_: str, against: str | None) -> None:
    """Write the report and the Parquet files of a run anew."""
    from reports.page import write_report

    click.echo(str(write_report(_run_folder(run_), against=against)))


@cli.command()
@click.argument("run_", metavar="RUN")
@click.option("--trial", required=True, type=int, help="Number of the trial.")
@click.option("--anew", is_flag=True, help="Make every stage again, beside the store, and compare; nothing stays.")
@click.option("--debug", is_flag=True, help="Stop in Python's debugger where something goes wrong.")
@click.option("--device", default="cpu", show_default=True, help="A torch device, such as cuda.")
def rerun(run_: str, trial: int, anew: bool, debug: bool, device: str) -> None:
    """Run one trial again in this process, and compare its scores with the recorded ones; the run itself stays as it is."""
    from search.rerun import rerun as again
    from search.runs.tables import show_rerun

    show_rerun(again(_run_folder(run_), trial, anew=anew, debug=debug, device=device, say=lambda line: click.echo(line, err=True)))


@cli.command()
@click.argument("run_", metavar="RUN")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder that the system is written into.")
@click.option("--trial", type=int, help="Number of the trial; by default the winner, chosen on validation.")
@click.option("--unseen", multiple=True, metavar="CLASS", help="Twice: the unseen pair, where the study takes every pair in turn.")
@click.option("--set", "sets", multiple=True, metavar="A.B=C", help="A setting of the detectors, such as inspector.segdecnet.width=0.25.")
@click.option("--force", is_flag=True, help="Overwrite the system that lies there.")
def system(run_: str, out: Path, trial: int | None, unseen: tuple[str, ...], sets: tuple[str, ...], force: bool) -> None:
    """Make the two-stage system of a zero-shot run, and say how good it is.

    A router names the surface of an image or calls it unseen; the surface's own detector then finds defects. Detectors that the store has not yet are
    trained; the thresholds come from validation, the scores from the test images.
    """
    from search.runs.tables import show
    from search.system import make_system, score_rows

    if any(out.glob("*")) and not force:
        raise click.UsageError(f"{out} is not empty. Give --force to overwrite the system that lies there, or another folder.")
    built = make_system(_run_folder(run_), out, trial=trial, unseen=unseen, sets=sets, say=lambda line: click.echo(line, err=True))
    whole, surfaces = score_rows(built)
    show(["on the test images", "", "", ""], whole)
    click.echo()
    show(["surface", "", "images", "wrong routing", "false alarms", "missed defects"], surfaces)
    click.echo(f"\n{out} written. In Python: trainables.two_stage.system.load_system(Path({str(out)!r})).inspect(images)")


@cli.command("winner")
@click.argument("run_", metavar="RUN")
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder that the files are written into.")
@click.option("--trial", type=int, help="Number of the trial; by default the winner, chosen on validation.")
@click.option("--force", is_flag=True, help="Overwrite what lies there.")
def hand_over_winner(run_: str, out: Path, trial: int | None, force: bool) -> None:
    """Write the winner's inspector as files: weights with the names of their classes, and what they are."""
    from search.winner import hand_over

    if any(out.glob("*")) and not force:
        raise click.UsageError(f"{out} is not empty. Give --force to overwrite what lies there, or another folder.")
    found = hand_over(_run_folder(run_), out, trial=trial)
    told = f" for {', '.join(found.classes)}" if found.classes else ""
    click.echo(f"{found.weights} written: {found.trial.title()}, {found.why}; {found.kind}{told}")
    click.echo(f"A study begins with it: --set space.inspector.{found.kind}.start_from={shlex.quote(str(found.weights))}")


@cli.group(cls=Ordered)
def data() -> None:
    """Check, pack and crop images."""


@data.command("check")
@click.argument("path", type=click.Path(path_type=Path))
@_data_options
def data_check(path: Path, **options: Any) -> None:
    """List every problem of a data set, with its cure."""
    _check(_data_settings(path, **options))


@data.command("pack")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--store", "store_path", default="store", show_default=True, help="Store to pack into: a folder or a URI.")
@_data_options
def data_pack(path: Path, store_path: str, **options: Any) -> None:
    """Pack a data set into a store, as a run does at its start."""
    from trainables.datasets.packs import pack_dataset
    from trainables.store import Store

    settings = _data_settings(path, **options)
    _, pack = pack_dataset(settings, Store(store_path))
    click.echo(f"{len(pack.images)} images of {len(pack.classes)} classes, {settings.size_px} px, packed into {store_path}")


@data.command("crop")
@click.argument("src", type=click.Path(path_type=Path))
@click.argument("dst", type=click.Path(path_type=Path))
@click.option("--size", type=int, default=64, show_default=True, help="Side of the squares in pixels of the source.")
@click.option("--boxes", type=click.Path(), help="Folder of VOC XML boxes, where the images have neither masks nor boxes.")
def data_crop(src: Path, dst: Path, size: int, boxes: str | None) -> None:
    """Cut images with boxes or masks into squares around their defects and, apart, defect-free ones."""
    from trainables.datasets.cropping import crop_dataset

    click.echo(str(crop_dataset(src, dst, size, boxes_path=boxes)))
    click.echo(f"Next: tundish init {shlex.quote(str(dst))}")


@cli.group(cls=Ordered)
def space() -> None:
    """Show what can vary."""


@space.command("show")
@click.argument("study", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--set", "sets", multiple=True, metavar="A.B=C", help="Override a setting of the study.")
def space_show(study: Path | None, sets: tuple[str, ...]) -> None:
    """Print the search space as a tree: of a study, or everything there is."""
    if study is not None:
        from search.studies.study_file import load_study

        click.echo(load_study(study, sets).space.describe())
        return
    from spaces.generators import GENERATOR_SPACES
    from spaces.inspectors import INSPECTOR_SPACES
    from spaces.whole import whole_space

    click.echo(whole_space(GENERATOR_SPACES, INSPECTOR_SPACES, (20.0,)).describe())


@cli.group(cls=Ordered)
def preset() -> None:
    """List, show and run the ready study files."""


@preset.command("list")
def preset_list() -> None:
    """List the ready study files."""
    from search.runs.tables import show

    rows = []
    for name, text in _presets().items():
        first = next((line.lstrip("# ") for line in text.splitlines() if line.startswith("#")), "")
        rows.append([name, first])
    show(["preset", "what it is"], rows, empty="no presets")


@preset.command("show")
@click.argument("name")
def preset_show(name: str) -> None:
    """Print a ready study file, to save and change."""
    click.echo(_preset(name), nl=False)


@preset.command("run", cls=StudyCommand)
@click.argument("preset_name", metavar="NAME")
@_study_options
def preset_run(preset_name: str, sets: tuple[str, ...], name: str | None, **how: Any) -> None:
    """Run a ready study file."""
    _run(_load_preset(preset_name, _with_name(sets, name)), **how)


@cli.command()
@click.option("--runs", default="runs", show_default=True, help="Folder of the runs.")
@click.option("--store", default="store", show_default=True, help="The store: a folder or a URI.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def doctor(runs: str, store: str, as_json: bool) -> None:
    """Check this machine and the cluster it is set to use."""
    import dataclasses

    from cluster.doctor import examine
    from search.runs.tables import show_findings

    findings = list(examine(folders={"runs": runs, "store": store}))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(item) for item in findings], indent=2))
    else:
        show_findings(findings)
    if any(item.state == "error" for item in findings):
        sys.exit(FAILED)


@cli.command()
def schema() -> None:
    """Print the JSON Schema of study files, for editors."""
    from search.studies.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


class Listing(Ordered):
    """Lists where no command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts `list` before anything that is neither a command nor a call for help."""
        if not args or args[0] not in (*self.commands, "-h", "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@cli.group(cls=Listing)
def store() -> None:
    """List or clean what a store keeps; `tundish store PATH` lists."""


@store.command("list")
@click.argument("path", default="store")
def store_list(path: str) -> None:
    """List what a store keeps, stage by stage."""
    from search.runs.tables import show_store

    show_store(_existing_store(path))


@store.command("clean")
@click.argument("path", default="store")
@click.option("--older-than", "hours", type=click.FloatRange(min=0), default=24.0, show_default=True, help="Hours; what is younger may be in use.")
@click.option("--verify", is_flag=True, help="Read everything, and remove results that are damaged; they are made anew where they are needed.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed; remove nothing.")
def store_clean(path: str, hours: float, verify: bool, dry_run: bool) -> None:
    """Remove what killed writers left and nobody names."""
    from search.runs.tables import show_cleaned
    from trainables.cleaning import clean

    show_cleaned(clean(_existing_store(path), young_s=3600 * hours, verify=verify, remove=not dry_run), removed=not dry_run)


def _existing_store(path: str) -> "Store":
    """Opens a store that is there, and makes none."""
    from trainables.store import Store

    if "://" not in path and not Path(path).is_dir():
        raise click.UsageError(f"{path}: no such store.")
    return Store(path)


def _run(study: "Study", **how: Any) -> NoReturn:
    """Runs a study, or says what that would do, and ends the process with its exit code."""
    from search.launch import launch

    sys.exit(launch(study, **how, in_job="RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ))


def _with_name(sets: Sequence[str], name: str | None) -> list[str]:
    return [*sets, *([f"study={name}"] if name else [])]


def _presets() -> dict[str, str]:
    """Gives the text of each ready study file by its name."""
    folder = importlib.resources.files("spaces") / "presets"
    return {
        item.name.removesuffix(".yaml"): item.read_text(encoding="utf-8")
        for item in sorted(folder.iterdir(), key=lambda item: item.name)
        if item.name.endswith(".yaml")
    }


def _preset(name: str) -> str:
    found = _presets()
    if name not in found:
        raise click.UsageError(f"no such preset: {name}{_nearest(name, list(found))}")
    return found[name]


def _load_preset(name: str, sets: Sequence[str]) -> "Study":
    from search.studies.study_file import parse_study

    return parse_study(_preset(name), f"preset {name}", sets, thorough=True)


def _data_settings(path: Path, *, dataset: str | None = None, boxes: str | None = None, size: int = 64, channels: str = "1") -> "DataSettings":
    """Turns the options of `_data_options` into settings."""
    from trainables.datasets.listing import detect_layout
    from trainables.datasets.settings import DataSettings

    layout = dataset or detect_layout(path)
    return DataSettings(dataset=layout, path=str(path), boxes_path=boxes, size_px=size, channels=3 if channels == "3" else 1)


def _check(settings: "DataSettings") -> None:
    """Prints what is wrong with a data set; ends the process where a run would refuse it."""
    from search.runs.tables import show_examination
    from trainables.datasets.check import examine

    found = examine(settings)
    show_examination(found)
    if not found.passed:
        sys.exit(DATA)


def _run_folder(text: str) -> Path:
    """Finds a run by its folder, or by its name below `runs`."""
    for folder in (Path(text), Path("runs") / text):
        if (folder / "study.yaml").is_file() or (folder / "trials").is_dir():
            return folder
    names = [path.parent.name for path in sorted(Path("runs").glob("*/study.yaml"))]
    raise click.UsageError(f"{text}: no such run, neither a folder nor a name below runs/{_nearest(text, names)}")


def _name_of(path: Path) -> str:
    """Makes the name of a study out of that of a folder."""
    letters = [letter if letter.isalnum() and letter.isascii() else "-" for letter in path.resolve().name.lower()]
    return "-".join(part for part in "".join(letters).split("-") if part) or "study"


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f". Did you mean {near[0]}?" if near else f". There are: {', '.join(known)}." if known else "."


def main() -> NoReturn:
    """Runs the command line and ends the process: a user's mistake is one message, anything else a traceback."""
    try:
        sys.exit(cli.main(prog_name="tundish", standalone_mode=False) or 0)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        from trainables.retries import cure

        where = f"{error.filename}: " if error.filename else ""
        click.secho(f"error: {where}{error.strerror}.\n  {cure(error)} and run the same command again.", fg="red", err=True)
        sys.exit(FAILED)
    except Exception as error:
        lineage = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
        code = next((ERRORS[name] for name in lineage if name in ERRORS), None)
        if code is None:
            raise
        click.secho(f"error: {error}", fg="red", err=True)
        sys.exit(code)
