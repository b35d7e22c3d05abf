"""`klaviyo-sync sandbox`: a local Klaviyo, for trying a configuration before anything is sent."""

from __future__ import annotations

import threading

import click

from klaviyo_sync.cli.console import make_console, print_lines

API_KEY = "pk_sandbox"


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=8787, show_default=True, help="Port on this machine; 0 takes a free one.")
@click.option("--api-key", default=API_KEY, show_default=True, help="The private key to print; the sandbox takes any that begins with pk_.")
@click.option(
    "--time-scale", type=click.FloatRange(min=0.01), default=1.0, show_default=True, help="How many times faster its jobs and limits run."
)
@click.option("--no-limits", is_flag=True, help="Take requests at any pace, unlike Klaviyo.")
def sandbox(*, port: int, api_key: str, time_scale: float, no_limits: bool) -> None:
    """Run a local Klaviyo until Ctrl-C: its limits, errors and asynchronous jobs, and nothing leaves this machine."""
    from klaviyo_sync.sandbox import Sandbox, serve  # noqa: PLC0415 - no other command needs a server

    if not api_key.startswith("pk_"):
        raise click.BadParameter("a private key begins with pk_", param_hint="--api-key")
    state = Sandbox(limits=not no_limits, time_scale=time_scale)
    try:
        with serve(state, port=port) as server:
            lines = (
                f"A local Klaviyo listens at {server.url}; it forgets everything at the end (Ctrl-C). In another shell:",
                f"export KLAVIYO_BASE_URL={server.url}",
                f"export KLAVIYO_API_KEY={api_key}",
            )
            print_lines(make_console(), lines)
            threading.Event().wait()
    except OSError as error:
        raise click.ClickException(f"port {port} cannot be used: {error.strerror or error}") from None
