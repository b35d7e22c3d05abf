"""Prints what happened: tables on a terminal, the same as plain text elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from klaviyo_sync.core.consent_counts import ConsentCounts
from klaviyo_sync.core.consent_reasons import ALL_CODES
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.demo.expectation import Expected, ExpectedConsent, Person, Refuser
from klaviyo_sync.orchestration.stored import Stored
from klaviyo_sync.orchestration.verdicts import counted

FATES = ("read", "imported", "superseded", "rejected", "refused", "failed", "unknown")
SHOWN_ALONE = 3
REASONS = 6
PLAIN_WIDTH = 132


class Line(NamedTuple):
    """One line of a sync's table: a window, or several that lie side by side."""

    label: str
    result: Result


def make_console() -> Console:
    """Standard output; wide enough for the tables where there is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def table(console: Console, title: str, *columns: str) -> Table:
    """An empty table, its numbers to the right."""
    made = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False
    )
    for column in columns:
        name = column.rstrip(">")
        made.add_column(name, justify="right" if column.endswith(">") else "left", no_wrap=column.endswith(">"), overflow="fold")
    return made


def lines(stored: Mapping[str, Stored]) -> Iterator[Line]:
    """The first window and the last three by themselves, those between as one line."""
    windows = list(stored.values())
    alone = windows if len(windows) <= SHOWN_ALONE + 2 else windows[:1]
    yield from (Line(one.window, one.result) for one in alone)
    if alone is windows:
        return
    middle = windows[1:-SHOWN_ALONE]
    yield Line(f"{middle[0].window} ... {middle[-1].window} ({len(middle)})", sum((one.result for one in middle), Result()))
    yield from (Line(one.window, one.result) for one in windows[-SHOWN_ALONE:])


def tell_sync(console: Console, sync: Sync, stored: Mapping[str, Stored]) -> Result:
    """Prints the windows of one sync, and why rows and cells stayed behind. The sum of all windows."""
    total = sum((one.result for one in stored.values()), Result())
    made = table(console, f"{sync.name}: {sync.dataset}, {sync.frequency}", "window", *(f"{fate}>" for fate in FATES))
    for line in lines(stored):
        made.add_row(line.label, *numbers(line.result))
    made.add_section()
    made.add_row(f"all {len(stored)} windows", *numbers(total), style="bold")
    console.print(made)
    for (column, code), count in islice(total.issues.most_common(), REASONS):
        console.print(f"  {count:>6,}  {column or 'profile'}: {code}. {ALL_CODES[code].message}", markup=False, soft_wrap=True)
    if len(total.issues) > REASONS:
        console.print(f"          and {counted(len(total.issues) - REASONS, 'more reason')}", markup=False)
    files = [one.rejects_file for one in stored.values() if one.rejects_file]
    if files:
        others = f" and {counted(len(files) - 1, 'more file')}" if files[1:] else ""
        console.print(f"  every one of these rows, with its key: {files[0]}{others}", markup=False, soft_wrap=True)
    newest = list(stored.values())[-1]
    if newest.undated or newest.future:
        words = f"{counted(newest.undated, 'row')} without {sync.modified_at.column}, {newest.future:,} from the future"
        console.print(f"  in no window so far: {words}", markup=False, soft_wrap=True)
    console.print()
    return total


def numbers(result: Result) -> list[str]:
    """The counts of a result, as a row of a table."""
    return [f"{getattr(result, fate):,}" for fate in FATES]


def tell_comparison(console: Console, compared: Sequence[tuple[str, Expected, Result]]) -> int:
    """Prints what the sample says must come out, beside what did. How many syncs differ."""
    made = table(
        console, "What the sample says must come out, and what did", "sync", *(f"{count}>" for count in Expected._fields), "adds up"
    )
    wrong = 0
    for sync, expected, result in compared:
        found = Expected(*(getattr(result, count) for count in Expected._fields))
        right = found == expected and result.balanced and not result.unknown
        wrong += not right
        cells = [f"{want:,}" if want == got else f"{got:,} instead of {want:,}" for want, got in zip(expected, found, strict=True)]
        made.add_row(sync, *cells, "yes" if right else "NO", style=None if right else "red")
    console.print(made)
    console.print()
    return wrong


def tell_consent(console: Console, sync: Sync, expected: Sequence[ExpectedConsent], result: Result) -> int:
    """Prints what must become of the statements of consent, beside what did. How many channels differ."""
    counted_parts = ExpectedConsent._fields[1:]
    title = f"What the newest rows of {sync.name} state about consent, and what became of it"
    made = table(console, title, "channel", *(f"{part}>" for part in counted_parts), "adds up")
    wrong = 0
    for line in expected:
        counts = next((counts for channel, counts in result.consent.items() if channel == line.channel), ConsentCounts())
        found = [getattr(counts, part) for part in counted_parts]
        right = found == list(line[1:]) and counts.balanced
        wrong += not right
        cells = [f"{want:,}" if want == got else f"{got:,} instead of {want:,}" for want, got in zip(line[1:], found, strict=True)]
        made.add_row(line.channel, *cells, "yes" if right else "NO", style=None if right else "red")
    console.print(made)
    return wrong


def tell_refusers(console: Console, refusers: Sequence[tuple[Refuser, Mapping[str, str]]]) -> int:
    """Prints what Klaviyo holds of those who opted out by their own hand. How many were brought back."""
    wrong = 0
    for refuser, held in refusers:
        channels = ("email_marketing", "sms_marketing") if refuser.phone_number else ("email_marketing",)
        stayed_out = all(held.get(channel) == "UNSUBSCRIBED" for channel in channels)
        wrong += not stayed_out
        verdict = f"stays out ({', '.join(channels)}), although the warehouse says Subscribe" if stayed_out else "was BROUGHT BACK"
        console.print(f"Klaviyo, asked about {refuser.email}: {verdict}", style=None if stayed_out else "red", markup=False, soft_wrap=True)
    console.print()
    return wrong


def tell_members(console: Console, lists: Sequence[tuple[str, str, int, int]]) -> int:
    """Prints how many members each list has: (sync, list, imported, members). How many differ."""
    wrong = 0
    for sync, list_id, imported, members in lists:
        wrong += imported != members
        verdict = "as many as were imported" if imported == members else f"but {imported:,} were imported"
        console.print(
            f"Klaviyo, asked about list {list_id} of {sync}: {members:,} members, {verdict}", style=None if imported == members else "red"
        )
    console.print()
    return wrong


def tell_people(console: Console, pairs: Sequence[tuple[Person, Person | None]]) -> int:
    """Prints what Klaviyo answers about a few people. How many differ from the warehouse."""
    wrong = 0
    for expected, found in pairs:
        wrong += found != expected
        verdict = "as in the warehouse" if found == expected else "NOT as in the warehouse" if found else "unknown"
        style = None if found == expected else "red"
        console.print(f"Klaviyo, asked about {expected.email}: {verdict}", style=style, markup=False, soft_wrap=True)
        facts = ", ".join(f"{name} {shown(value)}" for name, value in found._asdict().items() if name != "email") if found else ""
        console.print(f"  {facts}", style="dim", markup=False, soft_wrap=True)
    console.print()
    return wrong


def shown(value: object) -> str:
    """A value as it is read."""
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
