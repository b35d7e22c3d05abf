"""The demo out of a local Snowflake or BigQuery, then out of DuckDB, and whether Klaviyo ends up with the same profiles."""

from __future__ import annotations

import difflib
import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import click

HERE = Path(__file__).parent
SHOWN = 10


@click.command()
@click.argument("warehouses", type=click.Choice(["snowflake", "bigquery"]), nargs=-1, required=True)
@click.option("--folder", default=".demo", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--people", type=int)
def main(warehouses: tuple[str, ...], folder: Path, people: int | None) -> None:
    """Runs the demos in the repository that this file lies in; status 0 when all add up and their profiles are the same."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:00:00")
    options = ["--now", now, *(["--people", str(people)] if people else [])]
    told = {name: demo(folder / name, [*options, "--server", f"{sys.executable} -m {name}_server"]) for name in warehouses}
    click.echo("The same once more out of DuckDB, to compare ...")
    compared = demo(folder / "duckdb", options, quiet=True)
    wrong = sum(not same(name, profiles, compared) for name, profiles in told.items())
    sys.exit(1 if wrong else 0)


def same(name: str, profiles: list[str], compared: list[str]) -> bool:
    """Whether both are the same, and not nothing; prints it, with the first differences."""
    differences = list(difflib.unified_diff(compared, profiles, "duckdb", name, n=0, lineterm=""))
    for line in islice(differences, SHOWN):
        click.echo(line[:300])
    good = not differences and bool(profiles)
    click.echo(f"{len(profiles):,} profiles out of {name}, {len(compared):,} out of duckdb: {'the same' if good else 'NOT the same'}.")
    return good


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
