"""Serves the tables of a DuckDB file until its standard input ends; prints the connection's keys as one line of JSON.

Run as `python -m snowflake_server FILE` from the folder above. READER logs in with the password that the line names.
"""

from __future__ import annotations

import json
import sys

from snowflake_server.serving import serve
from snowflake_server.state import State


def main(path: str) -> None:
    """Serves."""
    state = State(keep_results=True)
    state.attach(path)
    with serve(state) as server:
        sys.stdout.write(json.dumps({**server.connection(), "password": state.accounts["READER"].password}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
