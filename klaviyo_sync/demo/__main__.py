"""`python -m klaviyo_sync.demo`: everything once, on this machine, with no account anywhere. Ends with status 0 when all of it adds up."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from klaviyo_sync.core.errors import KlaviyoSyncError
from klaviyo_sync.demo import serving
from klaviyo_sync.demo.account import API_KEY, Questions, account, refuse
from klaviyo_sync.demo.expectation import Sample
from klaviyo_sync.demo.folder import CONFIGURATION, WAREHOUSE, connect_to, lay_out, reserved
from klaviyo_sync.demo.story import imports, timed
from klaviyo_sync.demo.telling import make_console
from klaviyo_sync.demo.warehouse import PEOPLE, build

# Absolute from the start: the demo changes the working directory on its way.
FOLDER = click.Path(file_okay=False, resolve_path=True, path_type=Path)
FILE = click.Path(dir_okay=False, resolve_path=True, path_type=Path)


@click.command()
@click.option("--serve", is_flag=True, help="Leave the sandbox and the Dagster UI running afterwards, until Ctrl-C.")
@click.option(
    "--port", default=serving.DEFAULT_PORT, type=click.IntRange(1, serving.LAST_PORT), show_default=True, help="Port of the Dagster UI."
)
@click.option("--folder", default=".demo", show_default=True, type=FOLDER, help="Where the demo lives.")
@click.option("--people", default=PEOPLE, show_default=True, help="How many people the sample warehouse knows.")
@click.option(
    "--server", help="Command that serves the sample's tables as another warehouse: given the file, it prints a connection's keys as JSON."
)
@click.option("--now", type=click.DateTime(), help="The hour (UTC) that counts as now.")
@click.option("--profiles", type=FILE, help="File for all profiles as Klaviyo holds them afterwards.")
def main(*, serve: bool, port: int, folder: Path, people: int, server: str | None, now: datetime | None, profiles: Path | None) -> None:
    """Builds a sample warehouse, starts a local Klaviyo, imports windows through Dagster and checks what arrived."""
    serving.heed_signals()
    console = make_console()
    try:
        with ExitStack() as stack:
            if serve:
                serving.check_free(port)
            moment = (now or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
            wrong, url = play(console, stack, folder, people=people, now=moment, server=server)
            if profiles is not None:
                profiles.write_text("\n".join(Questions(url).everybody()) + "\n", encoding="utf-8")
            sys.exit(1 if wrong + (leave_running(console, folder, port, url) if serve else 0) else 0)
    except KlaviyoSyncError as error:
        console.print(str(error), style="red", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("\nStopped.")
        sys.exit(130)


def play(console: Console, stack: ExitStack, folder: Path, *, people: int, now: datetime, server: str | None) -> tuple[int, str]:
    """The demo up to the UI: how many things do not add up, and the address of its Klaviyo, which runs until the stack is closed."""
    began = time.monotonic()
    stack.enter_context(reserved(Path.cwd(), folder))
    lay_out(Path.cwd(), folder, now)
    timed(console, f"A sample warehouse in {folder / WAREHOUSE}", lambda: build(folder / WAREHOUSE, now, people))
    if server is not None:
        kind = connect_to(folder, stack.enter_context(serving.another_warehouse(server, folder / WAREHOUSE)))
        console.print(f"The same tables in a local {kind}, which is what is read", markup=False)
    url = stack.enter_context(account())
    console.print(f"A local Klaviyo at {url}", markup=False)
    os.environ.update(
        KLAVIYO_SYNC_CONFIG=str(folder / CONFIGURATION), KLAVIYO_API_KEY=API_KEY, KLAVIYO_BASE_URL=url, DAGSTER_HOME=str(folder)
    )
    os.chdir(folder)  # dagster.yaml keeps its history relative to where Dagster is started
    sample = Sample(folder / WAREHOUSE)
    for refuser in sample.refusers():
        refuse(url, refuser)
        console.print(f"{refuser.email} opts out of it by their own hand; the warehouse goes on to say Subscribe", markup=False)
    wrong = imports(console, sample, url, now)
    console.print(
        f"{'Everything adds up' if not wrong else 'Something does NOT add up'}, after {time.monotonic() - began:.0f} s.",
        style="red" if wrong else "green",
    )
    return wrong, url


def leave_running(console: Console, folder: Path, port: int, url: str) -> int:
    """Leaves the Dagster UI up until Ctrl-C; 1 when it ended by itself, and badly."""
    with serving.dagster_dev(folder, port) as process:
        console.print(
            f"\nDagster: http://127.0.0.1:{port}/assets/klaviyo/loyalty_members   Klaviyo: {url}   Ctrl-C stops both.", markup=False
        )
        try:
            return int(process.wait() != 0)
        except KeyboardInterrupt:
            console.print("\nStopping.")
    return 0


if __name__ == "__main__":
    main()
