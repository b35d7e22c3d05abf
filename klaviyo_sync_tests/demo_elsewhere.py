"""The demo out of a local Snowflake or BigQuery, then out of DuckDB, and whether Klaviyo ends up with the same profiles."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path

import click

HERE = Path(__file__).parent
SHOWN = 10


@click.command()
@click.argument("warehouse", type=click.Choice(["snowflake", "bigquery"]))
@click.option("--folder", default=".demo", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--people", type=int)
def main(warehouse: str, folder: Path, people: int | None) -> None:
    """Runs both demos in the repository that this file lies in; status 0 when both add up and their profiles are the same."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:00:00")
    options = ["--now", now, *(["--people", str(people)] if people else [])]
    told = demo(folder / warehouse, [*options, "--server", f"{sys.executable} -m {warehouse}_server"])
    click.echo("The same once more out of DuckDB, to compare ...")
    compared = demo(folder / "duckdb", options, quiet=True)
    differences = list(difflib.unified_diff(compared, told, "duckdb", warehouse, n=0, lineterm=""))
    for line in islice(differences, SHOWN):
        click.echo(line[:300])
    same = not differences and bool(told)
    click.echo(f"{len(told):,} profiles out of {warehouse}, {len(compared):,} out of duckdb: {'the same' if same else 'NOT the same'}.")
    sys.exit(0 if same else 1)


def demo(folder: Path, options: list[str], *, quiet: bool = False) -> list[str]:
    """The profiles that a demo in this folder ends with, a line each."""
    folder.mkdir(parents=True, exist_ok=True)
    profiles = folder.resolve() / "profiles.jsonl"
    command = [sys.executable, "-m", "klaviyo_sync.demo", "--folder", str(folder.resolve()), "--profiles", str(profiles), *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
    out = subprocess.DEVNULL if quiet else None
    if subprocess.run(command, cwd=HERE.parent, env=environment, stdout=out, check=False).returncode:
        raise click.ClickException("the demo did not add up")
    return profiles.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    main()
