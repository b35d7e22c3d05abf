"""What Snowflake says when it refuses or fails, and what that means to whoever must act. One line of the catalogue, one failure.

Numbers: https://docs.snowflake.com/en/user-guide/key-pair-auth-troubleshooting and the driver's errorcode.py; Snowflake publishes no
list of all. Rights: https://docs.snowflake.com/en/user-guide/security-access-control-privileges
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import pyarrow as pa

from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, Refused, Unavailable
from klaviyo_sync.warehouses.unforeseen import unforeseen

INTERNAL = r"603|300002|300005"


@dataclass(frozen=True)
class Place:
    """Who asks, as what, and with which warehouse: what a GRANT must name."""

    user: str
    role: str | None = None
    warehouse: str | None = None

    def in_session(self, role: str | None, warehouse: str | None) -> Place:
        """The same, with the role and the warehouse that the session has: those of the user where the connection names none."""
        return replace(self, role=role or self.role, warehouse=warehouse or self.warehouse)

    def words(self, said: str) -> dict[str, str]:
        """What advice is filled with."""
        found = re.search(r"(?P<kind>\w+)? '(?P<name>[^']+)'", said)
        kind = (found["kind"] or "").upper() if found else ""
        return {
            "user": self.user,
            "role": self.role or "<role>",
            "warehouse": self.warehouse or "<warehouse>",
            "name": found["name"] if found else "<name>",
            "kind": kind if kind in ("TABLE", "VIEW", "SCHEMA", "DATABASE", "WAREHOUSE") else "TABLE",
            "requested": next(iter(re.findall(r"requested (\w+)", said)), "database").upper(),
        }


class Rule(NamedTuple):
    """What an answer looks like (its number, and its text, as regular expressions), who must act, and what is to be done.

    `quoted`: Snowflake's own sentence names objects, never cells, and is passed on.
    """

    number: str
    text: str
    error: type[KlaviyoSyncError]
    advice: str
    quoted: bool = True


RULES = (
    Rule(
        "390144",
        "",
        Refused,
        "The private key does not belong to user {user}: ALTER USER {user} SET RSA_PUBLIC_KEY = '...', check `account` and `user` of the "
        "connection, and this machine's clock.",
        quoted=False,
    ),
    Rule(
        "390100",
        "",
        Refused,
        "User {user} does not exist, or has another password; a key pair is better than a password.",
        quoted=False,
    ),
    Rule("390101|390102|390107", "", Refused, "An administrator must let user {user} in again.", quoted=False),
    Rule("390303|390318|39039\\d", "", Refused, "The token has run out or is not valid here: get a new one.", quoted=False),
    Rule("390189", "", Refused, "Correct `role` of the connection, or GRANT ROLE {role} TO USER {user}."),
    Rule(
        "390201",
        "",
        Refused,
        "Correct the connection, or GRANT USAGE ON {requested} ... TO ROLE {role}.",
    ),
    Rule("39042\\d|39043\\d", "", Refused, "Let this machine's address into the network policy of user {user} or of the account."),
    Rule("390\\d+", "[Nn]etwork policy|is not allowed to access", Refused, "Let this machine's address into the network policy."),
    Rule("39011\\d|390195", "", Unavailable, "The session has ended; the next run logs in again.", quoted=False),
    Rule("290404", "login-request", ConfigError, "There is no such account: correct `account` of the connection.", quoted=False),
    Rule(
        "540001",
        "",
        ConfigError,
        "There is no such account, or this machine may not reach it: correct `account` of the connection, or let this machine through.",
        quoted=False,
    ),
    Rule("251001|251005|251006|25101[3-9]|250011|251007", "", ConfigError, "Correct the connection."),
    Rule("251008", "", ConfigError, "Correct private_key of the connection.", quoted=False),
    Rule(
        r"\d+",
        "[Rr]esource monitor",
        Refused,
        "Warehouse {warehouse} has used up the quota of its resource monitor: raise it, or wait for the next period.",
    ),
    Rule(r"\d+", "trial has ended", Refused, "Snowflake has suspended the account."),
    Rule(
        r"\d+",
        "suspended",
        Refused,
        "ALTER WAREHOUSE {warehouse} SET AUTO_RESUME = TRUE, or GRANT OPERATE ON WAREHOUSE {warehouse} TO ROLE {role}.",
    ),
    Rule(
        "606",
        "",
        Refused,
        "Name a `warehouse` in the connection that exists, and GRANT USAGE ON WAREHOUSE {warehouse} TO ROLE {role}.",
    ),
    Rule(
        "3001",
        "",
        Refused,
        "GRANT SELECT ON {kind} {name} TO ROLE {role}; to read a table that is USAGE on its database and schema too.",
    ),
    Rule("2037|2057", "", Refused, "The view is broken, or its owner may no longer read what is behind it: its owner must mend it."),
    Rule(
        "2003|2043|2001",
        "",
        ConfigError,
        "Correct the dataset's name. If it is there, role {role} may not see it: GRANT USAGE ON its DATABASE and its SCHEMA, and GRANT "
        "SELECT ON TABLE (or VIEW) {name} TO ROLE {role}.",
    ),
    Rule("90105|90106", "", ConfigError, "Write the dataset as database.schema.table, or name `database` and `schema` in the connection."),
    Rule(
        "630",
        "",
        Refused,
        "Raise STATEMENT_TIMEOUT_IN_SECONDS of user {user} or of warehouse {warehouse}, use a larger warehouse, or a smaller frequency.",
    ),
    Rule("604|625|57014", "", Unavailable, "Somebody cancelled the query; the next run asks again.", quoted=False),
    Rule(INTERNAL, "", Unavailable, "It failed inside Snowflake, more than once; the next run asks again.", quoted=False),
    Rule(r"25201[03]|255005", "", Unavailable, "A piece of the result could not be fetched; the next run asks again.", quoted=False),
    Rule(r"25\d+|29\d+|58\d+|261000", "", Unavailable, "It was asked again for a while; the next run asks again.", quoted=False),
    Rule(r"\d+", "SQL compilation error", ConfigError, "Correct the query, or the view."),
)


@contextmanager
def explained(place: Place) -> Iterator[None]:
    """What the driver raises inside, raised as ConfigError, Refused or Unavailable."""
    from snowflake.connector.errors import Error  # noqa: PLC0415 - the driver, loaded by now
    from snowflake.connector.vendored.requests.exceptions import RequestException  # noqa: PLC0415
    from snowflake.connector.vendored.urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        yield
    except Error as error:
        raise of_answer(error, place) from None
    except (RequestException, HTTPError, ConnectionError, TimeoutError) as error:
        raise Unavailable(f"Snowflake could not be reached ({type(error).__name__}); the next run asks again.") from None
    except pa.ArrowException as error:
        # Its text may quote a cell.
        raise Refused(f"Snowflake: a value does not fit the type of its column ({type(error).__name__}).") from None
    except Exception as error:
        if (failure := unforeseen(error, "Snowflake")) is None:
            raise
        raise failure from None


def of_answer(error: Exception, place: Place) -> KlaviyoSyncError:
    """The failure that an answer stands for."""
    number, said = str(getattr(error, "errno", None) or ""), sentence(error)
    query = getattr(error, "sfqid", None)
    where = f" (error {number}{f', query {query}' if query else ''})"
    for rule in RULES:
        if re.fullmatch(rule.number, number) and re.search(rule.text, said):
            quote = f": {said.rstrip('.')}." if rule.quoted and said else "."
            return rule.error(f"Snowflake{happened(rule, number)}{where}{quote} {rule.advice.format(**place.words(said))}")
    if type(error).__name__ == "OperationalError":
        return Unavailable(f"Snowflake could not be reached{where}. The next run asks again.")
    return Refused(f"Snowflake: the query failed while it ran{where}; open it in the query history in Snowsight to see why.")


def happened(rule: Rule, number: str) -> str:
    """What became of the question: the driver's own numbers are those of failures to reach Snowflake, and the others are answers."""
    if rule.error is not Unavailable:
        return " refused"
    return " could not be reached" if re.fullmatch(r"2[569]\d+|58\d+|261000", number) else " answered that it failed"


def sentence(error: Exception) -> str:
    """What Snowflake says, on one line, less what the driver adds."""
    said = " ".join(str(getattr(error, "raw_msg", None) or getattr(error, "msg", None) or "").split())
    return re.sub(r"^(\d{6} \(\w+\): )?([0-9a-f-]{36}: )?(Failed to connect to DB: \S+ )?", "", said)


def passing(error: Exception) -> bool:
    """Whether a query that failed so may succeed when it is run again."""
    return re.fullmatch(INTERNAL, str(getattr(error, "errno", ""))) is not None
