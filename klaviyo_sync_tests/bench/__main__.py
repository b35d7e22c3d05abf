"""`make bench`: every figure from a process of its own, ratios within one run.

Rates depend on the machine and on what else it does; ratios much less. Rows can be set: `make bench ROWS=200000`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.data import make_contested_table, make_table

SMALL = 100_000
SHARES = (0.0, 0.05, 0.3, 1.0)
FEW_NATIONAL = 0.05
CONTESTED = (0.0, 0.2)
KLAVIYO_CEILING = 21_500  # profiles of this size a second: 150 requests a minute of 5 MB

console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


def measured(module: str, *arguments: object) -> dict[str, Any]:
    """The figures that a module prints."""
    done = subprocess.run([sys.executable, "-m", f"bench.{module}", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench.{module} {arguments} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def table(title: str, *columns: str) -> Table:
    """An empty table of figures."""
    made = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        made.add_column(column, justify="right" if position else "left")
    return made


def rate(figures: dict[str, Any], of: str = "seconds") -> float:
    """Rows a second."""
    return figures["rows"] / figures[of]


def preparing(folder: Path, rows: int) -> None:
    """Read, clean, map, encode, pack on one core; beside the usual ways, which clean nothing."""
    figures: dict[str, dict[str, Any]] = {}
    for share in SHARES:
        path = folder / f"{share}.duckdb"
        make_table(path, rows, share)
        figures[f"klaviyo_sync, {share:.0%} of phones in national form"] = measured("preparing", "ours", path, rows)
    path = folder / f"{FEW_NATIONAL}.duckdb"
    baseline = min(rows, SMALL)
    figures["to_dict + json.dumps, nothing cleaned"] = measured("preparing", "to_dict", path, baseline)
    figures["official models + json.dumps, nothing cleaned"] = measured("preparing", "official", path, baseline)
    slowest = rate(figures["to_dict + json.dumps, nothing cleaned"])
    shown = table(
        "From the table to request bodies, one core, whole process",
        "way",
        "rows",
        "profiles/s",
        "x to_dict",
        "x ceiling",
        "peak MB",
        "requests",
    )
    for name, found in figures.items():
        shown.add_row(
            name, f"{found['rows']:,}", f"{rate(found):,.0f}", f"{rate(found) / slowest:.1f}", f"{rate(found) / KLAVIYO_CEILING:.1f}",
            f"{found['peak_mb']:.0f}", str(found["requests"]),
        )  # fmt: skip
    console.print(shown)


def memory(folder: Path, rows: int) -> None:
    """Peak memory by number of rows."""
    small = folder / "small.duckdb"
    make_table(small, SMALL, FEW_NATIONAL)
    shown = table("Peak memory", "rows", "MB")
    for path, count in ((small, SMALL), (folder / f"{FEW_NATIONAL}.duckdb", rows)):
        shown.add_row(f"{count:,}", f"{measured('preparing', 'ours', path, count)['peak_mb']:.0f}")
    console.print(shown)


def whole_processes(folder: Path, rows: int) -> None:
    """A whole `dagster asset materialize`: Python, Dagster, the project and the rows, up to the last answer of the sandbox."""
    shown = table("dagster asset materialize into the sandbox, the whole process", "rows", "CPU s, all processes", "peak MB")
    path = folder / f"{FEW_NATIONAL}.duckdb"
    for count in dict.fromkeys((1_000, min(rows, SMALL), rows)):
        found = measured("materializing", path, count)
        shown.add_row(f"{count:,}", f"{found['cpu']:.1f}", f"{found['peak_mb']:.0f}")
    console.print(shown)


def contested(folder: Path, rows: int) -> None:
    """Rows that share their person with another row: compared, with their statements, and sent, with and without asking about numbers."""
    ways = {
        "prepared, with consent": ("preparing", "stating"),
        "sent, numbers unasked": ("sending", "unasked"),
        "sent, every number asked about": ("sending", "asking"),
    }
    shown = table("Contested rows, whole process", "way", "contested", "rows", "seconds", "x none contested", "peak MB")
    none: dict[str, float] = {}
    for share in CONTESTED:
        path = folder / f"contested_{share}.duckdb"
        make_contested_table(path, rows, share)
        for name, (module, way) in ways.items():
            found = measured(module, way, path, rows)
            slower = found["seconds"] / none.setdefault(name, found["seconds"])
            shown.add_row(name, f"{share:.0%}", f"{rows:,}", f"{found['seconds']:.1f}", f"{slower:.2f}", f"{found['peak_mb']:.0f}")
        path.unlink()
    console.print(shown)


def from_bigquery(folder: Path, rows: int) -> None:
    """The same table out of a local BigQuery, beside DuckDB's file; the server takes its share of the machine, so CPU time counts."""
    shown = table(
        "From BigQuery to request bodies (local server)", "way", "rows", "profiles/CPU s", "of DuckDB's", "s to first rows", "peak MB"
    )
    large, small = folder / f"{FEW_NATIONAL}.duckdb", folder / "small.duckdb"
    for path, count, ways in ((large, rows, ("storage",)), (small, SMALL, ("storage", "rest"))):
        best = rate(measured("preparing", "ours", path, count), "cpu")
        for way in ways:
            found = measured("bigquery", way, path)
            shown.add_row(
                f"over {'the Storage Read API' if way == 'storage' else 'REST'}", f"{found['rows']:,}", f"{rate(found, 'cpu'):,.0f}",
                f"{rate(found, 'cpu') / best:.0%}", f"{found['first']:.1f}", f"{found['peak_mb']:.0f}",
            )  # fmt: skip
    console.print(shown)


def from_snowflake(folder: Path, rows: int) -> None:
    """The same table out of a local Snowflake, beside DuckDB's file; the server takes its share of the machine, so CPU time counts."""
    shown = table(
        "From Snowflake to request bodies (local server)",
        "chunks of",
        "rows",
        "profiles/CPU s",
        "of DuckDB's",
        "s to first rows",
        "peak MB",
    )
    large, small = folder / f"{FEW_NATIONAL}.duckdb", folder / "small.duckdb"
    for path, count, chunk_rows in ((large, rows, 20_000), (small, SMALL, 20_000), (small, SMALL, 100_000)):
        best = rate(measured("preparing", "ours", path, count), "cpu")
        found = measured("snowflake", path, chunk_rows)
        shown.add_row(
            f"{chunk_rows:,}", f"{found['rows']:,}", f"{rate(found, 'cpu'):,.0f}", f"{rate(found, 'cpu') / best:.0%}",
            f"{found['first']:.1f}", f"{found['peak_mb']:.0f}",
        )  # fmt: skip
    console.print(shown)


def sending(folder: Path, rows: int) -> None:
    """Whole runs into a sandbox on the same machine, which takes its share of it."""
    path = folder / f"{SHARES[0]}.duckdb"  # the official client sends phones as they are, and Klaviyo takes E.164 only
    whole, official = measured("sending", "ours", path, min(rows, 500_000)), measured("sending", "official", path, min(rows, SMALL))
    shown = table("Into the sandbox, no limits, two processes on this machine", "way", "rows", "profiles/s", "x official", "peak MB")
    ways = {
        "klaviyo_sync, every row answered for": whole,
        "the same, numbers sent unasked": measured("sending", "unasked", path, min(rows, 500_000)),
        "the same, every number asked about": measured("sending", "asking", path, min(rows, 500_000)),
        "official client, jobs not awaited": official,
    }
    for name, found in ways.items():
        shown.add_row(name, f"{found['rows']:,}", f"{rate(found):,.0f}", f"{rate(found) / rate(official):.1f}", f"{found['peak_mb']:.0f}")
    console.print(shown)
    limited = measured("sending", "limits", path, 0)
    console.print(f"Under Klaviyo's limits, time scaled: {limited['requests']} import jobs, {limited['share']:.1%} of 150 a minute.")


def main() -> None:
    """All of it."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    with tempfile.TemporaryDirectory() as name:
        preparing(Path(name), rows)
        memory(Path(name), rows)
        whole_processes(Path(name), rows)
        contested(Path(name), rows)
        from_bigquery(Path(name), rows)
        from_snowflake(Path(name), rows)
        sending(Path(name), rows)
    console.print(f"Definitions of 100 syncs load in {measured('loading', 100)['seconds']:.1f} s.")


if __name__ == "__main__":
    main()
