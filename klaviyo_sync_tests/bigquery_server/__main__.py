"""Serves the tables of a DuckDB file until its standard input ends; prints the connection's keys as one line of JSON.

Run as `python -m bigquery_server FILE` from the folder above.
"""

from __future__ import annotations

import json
import sys

from bigquery_server.serving import serve
from bigquery_server.state import State


def main(path: str) -> None:
    """Serves."""
    with serve(State(path)) as server:
        sys.stdout.write(json.dumps(server.connection()) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
