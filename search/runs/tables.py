"""What commands print as tables: a data set, the runs, a machine, a store. Called by the command line."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from cluster.doctor import Finding
    from search.rerun import Rerun
    from trainables.cleaning import Cleaned
    from trainables.datasets.check import Examination
    from trainables.store import Store

COLOURS = {"error": "red", "warning": "yellow"}
"""Of rows, by their first cell."""


def show(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str = "") -> None:
    """Prints a table as wide as the terminal; or a line where it is empty."""
    if not rows:
        click.echo(empty)
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        # Texts, not strings: a path in square brackets is no markup.
        table.add_row(*map(Text, row), style=COLOURS.get(row[0]))
    console.print(table)


def show_examination(found: "Examination") -> None:
    """Prints what checking a data set found: every problem with its cure, then the classes in numbers."""
    rows = []
    for item in found.problems:
        examples = [*item.where, *([f"and {item.count - len(item.where)} more"] if item.count > len(item.where) > 0 else [])]
        rows.append([item.severity, item.what + (f" ({item.count})" if item.count > 1 else ""), "\n".join(examples), item.cure])
    show(["", "what", "where", "cure"], rows, empty="no problems found")
    rows = []
    for name, numbers in found.classes.items():
        parts = [str(numbers.split.get(part, "-")) for part in ("train", "val", "test")]
        share = "-" if numbers.defect_share is None else " / ".join(f"{100 * value:.1f}" for value in numbers.defect_share)
        rows.append([name, str(numbers.images), str(numbers.pictures), *parts, share])
    click.echo()
    show(["class", "images", "different", "train", "val", "test", "defects fill % (least / median / most)"], rows, empty="no classes")
    if found.sizes_px is not None:
        small, large = found.sizes_px
        span = f"{small[0]}x{small[1]}" + (f" to {large[0]}x{large[1]}" if small != large else "")
        click.echo(f"\nimages of {span} px, {found.coloured} of them in colour, {found.masked} with a mask, {found.boxed} with boxes")
        if found.published:
            click.echo("split by the publisher: " + ", ".join(f"{count} {part}" for part, count in found.published.items()))


def show_runs(found: Iterable[Mapping[str, Any]], *, folder: str) -> None:
    """Prints one line for each summary of a run."""
    rows = []
    for item in found:
        best = item["best"]
        finished = sum(item["trials"][state] for state in ("complete", "pruned", "failed"))
        leader = f"{best['score']} {best['value']:.3g}, {best['what']}" if best else ""
        rows.append([item["study"], item["state"], f"{finished} of {item['planned'] or '?'}", leader])
    show(["run", "state", "finished", "best on validation"], rows, empty=f"no runs in {folder}")


def show_status(found: Mapping[str, Any]) -> None:
    """Prints where one run stands."""
    from search.spending.forecast import Range, show_hours, show_range

    driver = found["driver"]
    click.echo(f"{found['run']}: {found['state']}" + (f" (process {driver['pid']} on {driver['host']})" if driver else ""))
    counts = ", ".join(f"{count} {state}" for state, count in found["trials"].items() if count)
    confirmations = f", and {found['confirmations']} confirmations" if found["confirmations"] else ""
    if found["ended"]:
        click.echo(f"ended     {found['ended']}")
    click.echo(f"trials    {counts or 'none yet'} of {found['planned'] or '?'}{confirmations}")
    for label in ("best", "baseline"):
        if (leader := found[label]) is not None:
            click.echo(f"{label:<9} {leader['score']} {leader['value']:.3f} (#{leader['trial']} {leader['what']}), on validation, one seed")
    if (left := found["left"]) is not None:
        used = left["used"]
        gpu = f" and {used['gpu_hours']:.3g} GPU-hours" if used["gpu_hours"] else ""
        ahead = f"; left {show_range(Range(*left['hours']))} for {left['trials']} trials" if left["trials"] else ""
        click.echo(f"time      {show_hours(used['hours'])}{gpu} used{ahead}")
    for failure in found["failures"]:
        click.echo(f"failed    {failure}")
    click.echo(f"report    {found['report'] or 'not written yet'}")


def show_rerun(found: "Rerun") -> None:
    """Prints which scores of a trial came out otherwise than recorded."""
    click.echo(f"recorded  {found.recorded}")
    click.echo(f"stages    {found.reused} found, {found.made} made")
    other = [item for item in found.differences if not item.is_equal]
    rows = [[item.score, *("none" if value is None else f"{value:.6g}" for value in (item.recorded, item.now))] for item in other]
    if found.differences:
        show(["score", "recorded", "now"], rows, empty=f"scores    all {len(found.differences)} as recorded, to the last bit")


def show_findings(findings: Iterable["Finding"]) -> None:
    """Prints what was seen of a machine."""
    show(["", "subject", "seen", "cure"], [[item.state, item.subject, item.seen, item.cure] for item in findings])


def show_store(store: "Store") -> None:
    """Prints how many results each stage has published, and their size on disk."""
    stages: dict[str, list[int]] = {}
    for entry in store.entries():
        size = sum(info.size or 0 for info in store.files.listing(f"{entry.stage}/{entry.key}/{entry.attempt}"))
        stages.setdefault(entry.stage.partition("/")[0], []).append(size)
    rows = [[stage, str(len(sizes)), f"{sum(sizes) / 2**20:.1f}"] for stage, sizes in sorted(stages.items())]
    show(["stage", "results", "MiB"], rows, empty=f"{store.root} is empty")


def show_cleaned(found: "Cleaned", *, removed: bool) -> None:
    """Prints what was in the way of a store."""
    counts = {
        "attempts that nobody names": found.attempts,
        "files not written whole": found.cut_off,
        "checkpoints of published stages": found.checkpoints,
        "damaged results": len(found.damaged),
    }
    rows = [[label, str(count)] for label, count in counts.items() if count]
    show(["removed" if removed else "would be removed", ""], rows, empty="nothing to remove")
    for path in found.damaged:
        click.echo(f"damaged   {path}")
    if rows:
        click.echo(f"{found.size_bytes / 2**20:.1f} MiB")
