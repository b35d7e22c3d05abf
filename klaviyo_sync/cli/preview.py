"""`klaviyo-sync preview`: what one window would send, and what would stay behind. Nothing is sent."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from klaviyo_sync.cli.console import SHELL, make_console, print_lines, print_table
from klaviyo_sync.config import Project, load
from klaviyo_sync.core.consent_reasons import ALL_CODES
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window, window, windows

if TYPE_CHECKING:
    from klaviyo_sync.core.result import IssueKind
    from klaviyo_sync.klaviyo.client import Klaviyo
    from klaviyo_sync.preview_window import Preview

MOST_ASKED = 10_000
RAREST = timedelta(days=20 * 366)  # the first window of the rarest frequency, every 29 February, ends within it
OPT_IN = {"double_opt_in": "double opt-in, Klaviyo asks each person to confirm", "single_opt_in": "single opt-in"}

# What would become of the statements of all rows, and the count of it; the rest is of people whom Klaviyo was not asked about.
WOULD = {
    "stated": "stated",
    "subscribed": "subscribed",
    "unsubscribed": "unsubscribed",
    "already so": "already",
    "guarded": "guarded",
    "skipped as older or outweighed": "skipped",
    "nothing to do": "nothing",
    "rejected": "rejected",
}


@click.command()
@click.argument("sync")
@click.option("--window", "key", help="Key of the window, as Dagster shows it: 2026-01-31-06:00. Default: the newest that has closed.")
@click.option(
    "--ask",
    default=MOST_ASKED,
    show_default=True,
    type=click.IntRange(min=0),
    help="Ask Klaviyo about so many profiles: which are new, what becomes of consent. 0: ask nothing.",
)
@click.option("--examples", is_flag=True, help="Also print the first profiles as they would be sent. They are personal data.")
@click.pass_context
def preview(ctx: click.Context, sync: str, key: str | None, *, ask: int, examples: bool) -> None:
    """Show what the window KEY of SYNC would send: profiles, new ones among them, issues, consent, requests, minutes. Nothing is sent."""
    project = load(ctx.obj, shell=ctx.meta[SHELL])
    found = project.sync(sync)
    if found is None:
        names = [one.name for one in project.syncs]
        near = get_close_matches(sync, names, n=1)
        raise click.BadParameter(f"there is no sync {sync}; {f'did you mean {near[0]}?' if near else 'there are: ' + ', '.join(names)}")
    chosen = newest(found, datetime.now(UTC)) if key is None else window(found, key)
    console = make_console()
    with client(project, ask) as klaviyo:
        if klaviyo is not None:
            with project.at("klaviyo", "api_key"):
                account = klaviyo.account()
            print_lines(console, [f"Klaviyo at {project.klaviyo.base_url}: {account}"])
        previewed = read(project, found, chosen, klaviyo, ask=ask, console=make_console(stderr=True))
    show(console, found, chosen, previewed)
    if examples:
        print_lines(console, previewed.examples)
    rejected, rows = previewed.result.rejected, previewed.result.read
    if found.tolerance.rejected.exceeded_by(rejected, rows):
        limit = f"tolerance.rejected ({found.tolerance.rejected})"
        print_lines(console, [f"{rejected:,} of {rows:,} rows would be rejected, more than {limit} allows: exit status 1."], style="red")
        ctx.exit(1)


def newest(sync: Sync, now: datetime) -> Window:
    """The newest window that has closed. Raises ConfigError when none has."""
    closed = deque(windows(sync, now), maxlen=1)
    if not closed:
        first = next(windows(sync, sync.starts_at + RAREST))
        raise ConfigError(
            f"{sync.name} has no closed window yet: its first, {first.key}, ends at {first.end}. Name a window with --window."
        )
    return closed[0]


def read(project: Project, sync: Sync, chosen: Window, klaviyo: Klaviyo | None, *, ask: int, console: Console) -> Preview:
    """The preview, with a count of the rows on a terminal while they are read."""
    from klaviyo_sync.preview_window import preview_window  # noqa: PLC0415 - pandas and the warehouse's driver
    from klaviyo_sync.warehouses import connect  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} rows read"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("rows", total=None)
        with project.at("connections", sync.connection):
            warehouse = connect(project.connections[sync.connection].resolved(os.environ), f"klaviyo_sync preview {sync.name} {chosen.key}")
        with closing(warehouse), project.located(sync.name):
            now = datetime.now(UTC)
            return preview_window(sync, chosen, warehouse, klaviyo, ask=ask, now=now, seen=lambda rows: progress.advance(task, rows))


@contextmanager
def client(project: Project, ask: int) -> Iterator[Klaviyo | None]:
    """A client that reads only what it is asked to; None when nothing is to be asked. Raises ConfigError without a key."""
    from klaviyo_sync.klaviyo.client import Klaviyo  # noqa: PLC0415 - not needed when nobody is asked

    if not ask:
        yield None
        return
    try:
        key = project.klaviyo.api_key.reveal()
    except ConfigError as error:
        raise ConfigError(f"{error}; or ask Klaviyo nothing: --ask 0") from None
    with Klaviyo(key, project.klaviyo.base_url, account=project.klaviyo.account) as klaviyo:
        yield klaviyo


def show(console: Console, sync: Sync, chosen: Window, previewed: Preview) -> None:
    """Prints the counts, the issues and the consent that the rows state."""
    result = previewed.result
    begins = "the beginning" if chosen.first and sync.history == "include" else chosen.start.isoformat()
    print_lines(console, [f"{sync.name}, window {chosen.key}: rows from {begins} up to {chosen.end.isoformat()}. Nothing was sent."])
    counts = {
        "read": result.read,
        "would be sent": previewed.profiles,
        **({f"new profiles among {which(previewed)}": previewed.new} if previewed.asked else {}),
        "superseded by a newer row": result.superseded,
        **({"of these, by a row with another identifier": result.merged} if result.merged else {}),
        "rejected": result.rejected,
        "requests": result.requests,
        "megabytes": f"{result.bytes / 1e6:,.1f}",
        "minutes at Klaviyo's limit": f"{previewed.minutes:.1f}",
        **(
            {"megabytes that a run reads in the warehouse, at most": f"{previewed.estimate / 1e6:,.1f}"}
            if previewed.estimate is not None
            else {}
        ),
        **asking(previewed, result.issues),
        **reading_consent(previewed),
        **clearing(previewed),
        "rows without modified_at, in no window": previewed.undated,
        "rows with modified_at in the future, in no window yet": previewed.future,
    }
    print_table(console, ("", "count"), ((name, f"{count:,}" if isinstance(count, int) else count) for name, count in counts.items()))
    print_lines(console, previewed.notes, style="yellow")
    print_lines(console, [f"A run would stop itself: {reason}." for reason in previewed.halts], style="red")
    if result.issues:
        print_table(
            console,
            ("column", "issue", "rows", "meaning", "what to do"),
            (
                (kind.column, kind.code, f"{number:,}", ALL_CODES[kind.code].message, ALL_CODES[kind.code].advice)
                for kind, number in sorted(result.issues.items(), key=lambda item: -item[1])
            ),
            numbers=("rows",),
        )
    show_consent(console, previewed)


def asking(previewed: Preview, issues: Mapping[IssueKind, int]) -> dict[str, int | str]:
    """How many phone numbers a run asks Klaviyo about, how long that takes, and how many of those asked about are left out."""
    if not previewed.numbers:
        return {}
    left_out = sum(count for kind, count in issues.items() if kind.code in ("shared_phone", "phone_not_looked_up"))
    return {
        "phone numbers that Klaviyo is asked about": previewed.numbers,
        "requests for these, at most": previewed.reads,
        "minutes for these, at most": f"{previewed.reading_minutes:.1f}",
        "rows that go out without their number, as others have it" + among(previewed): left_out,
    }


def among(previewed: Preview) -> str:
    """Which numbers were asked about, unless it was all of them."""
    if previewed.numbers_asked == previewed.numbers:
        return ""
    return f", by the first {previewed.numbers_asked:,} numbers" if previewed.numbers_asked else ", Klaviyo not asked"


def reading_consent(previewed: Preview) -> dict[str, int | str]:
    """How many opt-outs go out before the imports, and how long it takes to read what Klaviyo holds before and after consent is sent."""
    if not previewed.consent_reads:
        return {}
    return {
        "opt-outs that go out, before the imports where Klaviyo has the address": previewed.opt_outs,
        "requests that read consent before and after it is sent, about": previewed.consent_reads,
        "minutes for these, about": f"{previewed.consent_minutes:.1f}",
    }


def clearing(previewed: Preview) -> dict[str, int | str]:
    """How many profiles may lose a value to a NULL (`on_null: clear`), and how long that takes if all do."""
    if not (profiles := previewed.result.clears.to_clear):
        return {}
    return {
        "profiles with NULLs that clear a field, where it is not empty": profiles,
        "minutes more for these, at most": f"{previewed.clearing_minutes:.1f}",
    }


def show_consent(console: Console, previewed: Preview) -> None:
    """Prints what the rows state about consent, and what would become of it."""
    if previewed.stated:
        print_table(
            console,
            ("consent", "stated", "rows"),
            ((channel, meaning, f"{number:,}") for (channel, meaning), number in sorted(previewed.stated.items())),
            numbers=("rows",),
        )
    if previewed.words:
        print_table(
            console,
            ("consent", "own word", "read as", "rows"),
            ((*parts, f"{number:,}") for parts, number in sorted(previewed.words.items())),
            numbers=("rows",),
        )
    if previewed.opt_in:
        words = OPT_IN.get(previewed.opt_in, previewed.opt_in)
        print_lines(console, [f"Opt-in process that subscribes without a date go through: {words}."])
    if previewed.asked and previewed.result.consent:
        print_lines(console, [f"What would become of consent by what Klaviyo holds now{of_first(previewed)}:"])
        print_table(
            console,
            ("channel", *WOULD),
            ((channel, *(f"{getattr(counts, part):,}" for part in WOULD.values())) for channel, counts in previewed.result.consent.items()),
            numbers=tuple(WOULD),
        )


def which(previewed: Preview) -> str:
    """The profiles that Klaviyo was asked about."""
    return "them" if previewed.asked == previewed.profiles else f"the first {previewed.asked:,}"


def of_first(previewed: Preview) -> str:
    """Whose consent Klaviyo was asked about, unless it was everybody's."""
    return "" if previewed.asked == previewed.profiles else f", for the first {previewed.asked:,} profiles"
