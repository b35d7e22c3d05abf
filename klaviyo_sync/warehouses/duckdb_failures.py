"""What DuckDB says when it refuses, and what that means to whoever must act. One line of the catalogue, one family of failures.

The families are DuckDB's own classes: https://duckdb.org/docs/stable/clients/python/reference/ (Exceptions). A line is chosen by class and
words; the last ones take whatever a release may add, so that nothing of the driver's is ever raised as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, Refused, Unavailable

EXTENSION = (
    r"(?:required|install|load|download) .{0,20}[Ee]xtension [\"'](?P<name>\w+)"
    r"|[Ee]xtension [\"'](?:\S*/)?(?P<file>\w+)[^\"']*[\"'].{0,20}not found"
)
DAMAGED = "The file is damaged; restore it from a copy, or build it anew."


class Rule(NamedTuple):
    """What a failure looks like (its class, and its text, as a regular expression), who must act, and what is to be done.

    `quoted`: DuckDB's own sentence names objects and files, never cells, and is passed on.
    """

    kind: type[Exception]
    text: str
    error: type[KlaviyoSyncError]
    advice: str
    quoted: bool = True


NO_ROOM = "The disk of the temporary folder (TMPDIR) is full; if this lasts, make room there."
ASK_AGAIN = "The next run asks again; if this lasts, check the address in the query and the network."

RULES = (
    Rule(
        duckdb.Error,
        EXTENSION,
        ConfigError,
        "The query needs DuckDB's extension {name}, which is not installed. Run INSTALL {name} in DuckDB {version} on the machine that "
        "runs Dagster, as its user, or copy the data into the DuckDB file.",
        quoted=False,
    ),
    Rule(duckdb.Error, "Corrupt database file|checksum", Refused, DAMAGED, quoted=False),
    Rule(
        duckdb.HTTPException,
        r"\b(401|403)\b|[Ff]orbidden|[Uu]nauthorized",
        Refused,
        "Give DuckDB a secret that may read the address (CREATE PERSISTENT SECRET).",
    ),
    Rule(duckdb.HTTPException, r"\b404\b|Not Found", ConfigError, "Correct the address in the query or view."),
    Rule(duckdb.HTTPException, "", Unavailable, ASK_AGAIN),
    Rule(
        duckdb.IOException,
        "set lock on file|Conflicting lock|being used by another process",
        Unavailable,
        "Another process has the file open for writing; close it. The next run asks again.",
        quoted=False,
    ),
    Rule(duckdb.IOException, "[Pp]ermission denied|Access is denied", Refused, "Let the user that runs Dagster read the file."),
    Rule(duckdb.Error, "No space left|max_temp_directory_size", Unavailable, NO_ROOM, quoted=False),
    Rule(
        duckdb.IOException,
        "[Cc]onnection|[Tt]imed? ?out|resolve host|Input/output error|Stale file|temporarily unavailable",
        Unavailable,
        ASK_AGAIN,
    ),
    Rule(
        duckdb.IOException,
        "valid DuckDB database file|version number|Could not read enough bytes",
        ConfigError,
        "Correct `path` of the connection, or read the file with the DuckDB that wrote it.",
    ),
    Rule(
        duckdb.IOException,
        "",
        ConfigError,
        "Correct the file's name in the query or view; a relative name is looked for in the working directory.",
    ),
    Rule(
        duckdb.OutOfMemoryException,
        "",
        Refused,
        "The query needs more memory than the connection allows; raise its memory_limit.",
        quoted=False,
    ),
    Rule(
        duckdb.InvalidInputException,
        "^Invalid Input Error: Values were not provided for the following parameters",
        ConfigError,
        "The query has a parameter (?, $1 or $name), and nothing fills it; write the value in its place.",
        quoted=False,
    ),
    Rule(
        duckdb.InvalidInputException,
        "",
        Refused,
        "The query or view met a value or a file that it cannot read; run it in DuckDB to see which.",
        quoted=False,
    ),
    Rule(duckdb.CatalogException, "", ConfigError, "Correct the dataset, query or view."),
    Rule(duckdb.BinderException, "", ConfigError, "Correct the query or view."),
    Rule(duckdb.ParserException, "", ConfigError, "Correct the query."),
    Rule(duckdb.SyntaxException, "", ConfigError, "Correct the query."),
    Rule(duckdb.PermissionException, "", ConfigError, "The query does what a connection for reading may not do; correct it."),
    Rule(
        duckdb.ConnectionException,
        "",
        Unavailable,
        "This process has the file open with other settings. The next run asks again.",
        quoted=False,
    ),
    Rule(duckdb.SerializationException, "", Refused, DAMAGED, quoted=False),
    # The families that remain.
    Rule(
        duckdb.DataError,
        "",
        Refused,
        "A value does not fit the type that the query or view wants; run it in DuckDB to see which.",
        quoted=False,
    ),
    Rule(duckdb.ProgrammingError, "", ConfigError, "Correct the query or view; run it in DuckDB to see why.", quoted=False),
    Rule(duckdb.NotSupportedError, "", ConfigError, "Correct the query or view; run it in DuckDB to see why.", quoted=False),
    Rule(duckdb.OperationalError, "", Unavailable, "The next run asks again.", quoted=False),
    Rule(Exception, "", Refused, "Run the query in DuckDB to see why.", quoted=False),
)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What DuckDB raises inside, raised as ConfigError, Refused or Unavailable."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, RuntimeError) as error:
        raise of_failure(error, path) from None


def of_failure(error: Exception, path: Path) -> KlaviyoSyncError:
    """The failure that an exception of DuckDB's stands for."""
    text = str(error)
    for rule in RULES:
        match = re.search(rule.text, text, re.DOTALL) if isinstance(error, rule.kind) else None
        if match is not None:
            name = next((name for name in match.groupdict().values() if name), "")
            advice = rule.advice.format(name=name, version=duckdb.__version__)
            said = f": {sentence(text)}" if rule.quoted else f" ({type(error).__name__})."
            return rule.error(f"DuckDB file {path}{said} {advice}")
    raise AssertionError("the last rule takes everything")


def sentence(text: str) -> str:
    """DuckDB's message on one line, with the nearest names that it offers; without the query and the parameters of addresses."""
    said = " ".join(text.partition("\n\n")[0].split())
    said = re.sub(r"(://[^\s\"'?]*)\?[^\s\"']*", r"\1?...", said)
    return said if said.endswith((".", "!", "?")) else f"{said}."
