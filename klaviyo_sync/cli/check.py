"""`klaviyo-sync check`: what is configured, or everything that is wrong with it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from klaviyo_sync.cli import dagster_home
from klaviyo_sync.cli.console import SHELL, make_console, print_lines, print_table
from klaviyo_sync.config import Project, load
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import windows

COLUMNS = ("sync", "dataset", "connection", "frequency", "windows", "identifiers", "fields", "consent")
NUMBERS = ("windows", "fields")
WHOLE = ("sync", "dataset", "frequency", "windows")


@click.command()
@click.option("--connect", "connects", is_flag=True, help="Also ask the warehouses and Klaviyo: keys, columns, types, lists.")
@click.pass_context
def check(ctx: click.Context, *, connects: bool) -> None:
    """Check the configuration; with --connect also credentials, columns, types and list ids."""
    now = datetime.now(UTC)
    project = load(ctx.obj, now=now, shell=ctx.meta[SHELL])
    console = make_console()
    print_table(console, COLUMNS, (described(sync, now) for sync in project.syncs), numbers=NUMBERS, whole=WHOLE)
    forgets = dagster_home.forgets(os.environ, Path.cwd())
    print_lines(console, (f"note: {note}" for note in (*project.notes, *filter(None, [forgets]))), "yellow")
    if not connects:
        print_lines(console, [f"Klaviyo's address: {project.klaviyo.base_url}"])
    if connects:
        ctx.exit(report(project, console, now))
    from klaviyo_sync.rejects_store import Store  # noqa: PLC0415 - loads the packages of stores

    with project.at("rejects"):
        Store(project.rejects)
    count = len(project.syncs)
    print_lines(console, [f"{project.path}: {count} sync{'' if count == 1 else 's'}, nothing wrong"], "green")


def report(project: Project, console: Console, now: datetime) -> int:
    """Prints what the warehouses and Klaviyo answer; the exit status."""
    from klaviyo_sync.cli.connect import findings, open_klaviyo, open_warehouse  # noqa: PLC0415 - loads clients and SQL
    from klaviyo_sync.cli.connect_dagster import ask_dagster  # noqa: PLC0415 - loads Dagster
    from klaviyo_sync.cli.placeholder_lines import placeholder_lines  # noqa: PLC0415 - loads SQL

    answers = findings(project, now, open_warehouse, open_klaviyo)
    account = next(answers)
    print_lines(console, [f"Klaviyo at {project.klaviyo.base_url}: {account.said}"])
    found = [account, *answers, ask_dagster(Path.cwd())]
    print_table(console, ("asked", "about", "answer"), ((one.asked, one.about, one.shown()) for one in found))
    placeholders = [placeholder for one in found for placeholder in one.placeholders]
    own = next((sync.placeholders for sync in project.syncs), ())
    print_lines(console, placeholder_lines(own, placeholders))
    wrong = sum(1 for one in found if not one.good)
    print_lines(console, [f"{project.path}: {len(found) - wrong} of {len(found)} answers are good"], "red" if wrong else "green")
    return 1 if wrong else 0


def described(sync: Sync, now: datetime) -> list[str]:
    """The cells of one sync."""
    return [
        sync.name,
        sync.dataset or "query",
        sync.connection,
        sync.frequency,
        f"{sum(1 for _ in windows(sync, now)):,}",
        ", ".join(sync.identifiers),
        str(len(sync.profile) - len(sync.identifiers) + len(sync.properties)),
        ", ".join(sync.consent.channels()) if sync.consent else "none",
    ]
