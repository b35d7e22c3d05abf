"""`klaviyo-sync preview`: what one window would send, and what would stay behind. Nothing is sent."""

from __future__ import annotations

from difflib import get_close_matches

import click

from klaviyo_sync.config import load
from klaviyo_sync.core.windows import window


@click.command()
@click.argument("sync")
@click.option("--window", "key", required=True, help="Key of the window, as Dagster shows it: 2026-01-31-06:00.")
@click.pass_context
def preview(ctx: click.Context, sync: str, key: str) -> None:
    """Show what the window KEY of SYNC would send: profiles, issues, consent, requests, minutes. Nothing is sent."""
    project = load(ctx.obj)
    found = project.sync(sync)
    if found is None:
        names = [one.name for one in project.syncs]
        near = get_close_matches(sync, names, n=1)
        raise click.BadParameter(f"there is no sync {sync}; {f'did you mean {near[0]}?' if near else 'there are: ' + ', '.join(names)}")
    chosen = window(found, key)
    raise click.ClickException(f"preview of {found.name} {chosen.key} is not built yet")
