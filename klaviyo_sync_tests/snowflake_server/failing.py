"""Failures: what the server answers instead, and fakesnow's errors in the words of Snowflake."""

from __future__ import annotations

import re
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """An HTTP status, and a failure's code, text and SQL state for the body. Without a code the body is empty; status 0 hangs up."""

    status: int = 200
    code: str = ""
    message: str = ""
    sql_state: str = "42000"

    def body(self) -> dict[str, Any] | None:
        """The JSON that the driver expects."""
        if not self.code:
            return None
        data = {"errorCode": self.code, "sqlState": self.sql_state, "queryId": "01b0-failed"}
        return {"data": data, "code": self.code, "message": self.message, "success": False}


EXPIRED = Answer(code="390112", message="Your session has expired. Please login again.")
GONE = Answer(code="390111", message="Session no longer exists. New login required to access the service.")
CHANGED = Answer(code="000709", message="Statement 01b0 not found")
NO_WAREHOUSE = Answer(
    code="000606",
    message="No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' command.",
    sql_state="57P03",
)


def missing(name: str) -> Answer:
    """The answer for a table that is not there, or may not be seen: Snowflake tells no difference."""
    return Answer(code="002003", message=f"SQL compilation error:\nObject '{name}' does not exist or not authorized.", sql_state="42S02")


def denied(name: str) -> Answer:
    """The answer for a table that may be seen but not read."""
    text = f"SQL access control error:\nInsufficient privileges to operate on table '{name}'."
    return Answer(code="003001", message=text, sql_state="42501")


def in_snowflakes_words(number: int, said: str, state: str | None) -> Answer:
    """What fakesnow said, which is DuckDB's own text, as Snowflake says it."""
    table = re.search(r"(?:Table|View) with name (\S+) does not exist", said)
    column = re.search(r'(?:Referenced column|column named?) "([^"]+)"', said)
    if table:
        return missing(table[1])
    if column:
        text = f"SQL compilation error: error line 1 at position 7\ninvalid identifier '{column[1]}'"
        return Answer(code="000904", message=text)
    return Answer(code=f"{number:06d}", message=said, sql_state=state or "42000")
