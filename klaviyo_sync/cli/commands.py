"""The commands together, and the exit status: 0 fine, 1 the configuration or the data is at fault, 2 wrong usage, 130 after Ctrl-C."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from klaviyo_sync.cli.check import check
from klaviyo_sync.cli.console import SHELL, make_console, print_lines
from klaviyo_sync.cli.preview import preview
from klaviyo_sync.cli.sandbox import sandbox
from klaviyo_sync.cli.schema import schema
from klaviyo_sync.core.errors import KlaviyoSyncError, withheld
from klaviyo_sync.interrupts import not_swallowed, terminable

ENV_FILE = ".env"
INTERRUPTED = 130  # what shells expect of a command that Ctrl-C ended
REPORT = (
    "This is a fault of klaviyo_sync. Report it with the place named above; klaviyo-sync --debug prints the whole traceback, cells and all."
)


class Commands(click.Group):
    """A group whose commands end with status 1, and the message alone, when klaviyo_sync says what is wrong; with 130 after Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        """The command's own value."""
        try:
            with terminable(), not_swallowed():
                return super().invoke(ctx)
        except KlaviyoSyncError as error:
            print_lines(make_console(stderr=True), str(error).splitlines(), "red")
            ctx.exit(1)
        except KeyboardInterrupt:
            print_lines(make_console(stderr=True), ["Stopped."])
            ctx.exit(INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # whatever it is, it must read as a sentence, and quote no cell
            if ctx.params.get("debug"):
                raise
            print_lines(make_console(stderr=True), [f"{withheld(error)}.", REPORT], "red")
            ctx.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="klaviyo-sync", prog_name="klaviyo-sync")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The configuration, instead of KLAVIYO_SYNC_CONFIG or ./klaviyo_sync.yaml.",
)
@click.option("--debug", is_flag=True, help="Print the traceback of a fault of klaviyo_sync's own. It may quote cells of the warehouse.")
@click.pass_context
def main(ctx: click.Context, config: Path | None, *, debug: bool) -> None:  # noqa: ARG001 - read where commands are invoked
    """Keeps Klaviyo profiles true to a warehouse. Variables are also read from .env, which wins over the shell, as in Dagster."""
    from dotenv import load_dotenv  # noqa: PLC0415 - comes with dagster, and only commands need it

    ctx.meta[SHELL] = dict(os.environ)
    load_dotenv(ENV_FILE, override=True)
    ctx.obj = config


for command in (check, preview, sandbox, schema):
    main.add_command(command)
