"""The SQL of the fold (`core.fold` has its rules), one table after the other. All names in it are our own.

A `place` is a row's position in the order of all rows, the newest last. `kind` is the column of an address: that of the e-mail address or
that of the phone number. `n` is the position of a channel in the plan. `modified` is NULL for rows of the future.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from klaviyo_sync.core.consent_dates import WIDEST_OFFSET

JOINS, AT, ZONELESS, CHANGED, EMAIL = "joins_{}", "at_{}", "zoneless_{}", "changed_", "email_"
MAYBE = "maybe_"  # whether a row has an unknown word, or an opt-out whose address is not usable
REPAIRED = "repaired_{}"
"""The column of the repaired addresses beside that of an address: opt-outs of rows without a usable one are about these."""

# Identifiers that stay with a person for good; addresses change.
LASTING = ("id", "external_id")

TABLES = ("folding", "said", "owners", "weights", "standing", "travelling", "reach", "moved", "travelled", "arrivals")
TABLES = (*TABLES, "opt_outs", "subscribes", "chosen", "net", "alone")

MINUTES = int(WIDEST_OFFSET.total_seconds()) // 60


class Stating(NamedTuple):
    """The position of a channel in the plan, and the column of the addresses that it is about."""

    n: int
    address: str


@dataclass(frozen=True)
class Keys:
    """The columns of identifiers in `rivals`, strongest first: by path, those that match rows, and the expression of which are kept."""

    by_path: Mapping[str, str]
    matching: Sequence[str]
    kept: Mapping[str, str]

    @property
    def ranked(self) -> list[str]:
        """All of them."""
        return list(self.by_path.values())

    @property
    def lasting(self) -> list[str]:
        """Those that stay with a person for good."""
        return [key for path, key in self.by_path.items() if path in LASTING]

    def before(self, key: str) -> list[str]:
        """The identifiers without which a row is matched by one that does not match otherwise."""
        stronger = self.ranked[: self.ranked.index(key)]
        return [other for other in self.ranked if other != key and (other in self.matching or other in stronger)]

    def alone(self, row: str, key: str) -> str:
        """Whether a row may be matched by an identifier: it has nothing that takes precedence."""
        none = [f"{row}.{other} IS NULL" for other in self.before(key)]
        return "true" if key in self.matching else f"({' AND '.join(none or ['true'])})"


def folding(keys: Keys, channels: Sequence[Stating], order: Sequence[str]) -> str:
    """All rows without what the warehouse says about anything else. `order` are expressions, the moment of the change first."""
    said_columns = [name.format(channel.n) for channel in channels for name in (JOINS, AT, ZONELESS)]
    repaired = dict.fromkeys(REPAIRED.format(channel.address) for channel in channels)
    named = [*keys.ranked, *repaired, *said_columns, CHANGED, *([EMAIL] if "email" in keys.by_path else [])]
    newest = "coalesce(ranked.newest, false)"
    kept = [f"{newest} AND rivals.window_ >= 0 AND rivals.{key} IS NOT NULL AND {kept} AS keeps_{key}" for key, kept in keys.kept.items()]
    whose = f"rivals.rowid AS row_, rivals.window_, {newest} AS newest"
    newest_last = ", ".join(f"{by} NULLS FIRST" for by in order)
    columns = ", ".join([whose, *kept, *(f"rivals.{name}" for name in named)])
    return f"""
        CREATE TEMP TABLE folding AS
        SELECT row_number() OVER (ORDER BY {newest_last}, rivals.rowid) AS place, {order[0]} AS modified, {columns}
        FROM rivals LEFT JOIN ranked ON rivals.rowid = ranked.row_
    """  # noqa: S608


def said(channels: Sequence[Stating]) -> str:
    """Every statement: `since` is the moment of an opt-out, `earliest` and `moment` are that of a subscribe. `counts` is decided later."""
    parts = [
        f"""
        SELECT {n} AS n, '{kind}' AS kind, coalesce({kind}, {REPAIRED.format(kind)}) AS address, place, window_, modified,
            joins_{n} AS joins, at_{n} AS moment,
            zoneless_{n} AS zoneless, CASE WHEN NOT joins_{n} THEN coalesce(at_{n}, {CHANGED}) END AS since,
            CASE WHEN joins_{n} THEN CASE WHEN zoneless_{n} THEN at_{n} - INTERVAL {MINUTES} MINUTE ELSE at_{n} END END AS earliest,
            true AS counts
        FROM folding WHERE joins_{n} IS NOT NULL
        """  # noqa: S608
        for n, kind in channels
    ]
    return f"CREATE TEMP TABLE said AS {' UNION ALL '.join(parts)}"


def owners(kinds: Sequence[str]) -> str:
    """Who has each address: `carrier`, the row that goes out with it (NULL if none does), and `owner`, that row or the newest one.

    An address that nobody has and that was repaired is owned by the newest row with it; its column is `repaired_kind`, else NULL.
    """
    parts = [
        f"""
        SELECT '{kind}' AS kind, coalesce({kind}, {REPAIRED.format(kind)}) AS address, max(place) FILTER (keeps_{kind}) AS carrier,
            coalesce(carrier, max(place) FILTER ({kind} IS NOT NULL), max(place)) AS owner,
            CASE WHEN count({kind}) = 0 THEN '{kind}' END AS repaired_kind
        FROM folding WHERE coalesce({kind}, {REPAIRED.format(kind)}) IS NOT NULL GROUP BY ALL
        """  # noqa: S608
        for kind in kinds
    ]
    return f"""
        CREATE TEMP TABLE owners AS
        SELECT kind, address, carrier, owner, repaired_kind, folding.window_ AS owner_window, folding.row_
        FROM ({" UNION ALL ".join(parts)}) JOIN folding ON folding.place = owner
    """  # noqa: S608


def counting(kind: str, keys: Keys) -> str:
    """Takes the weight from subscribes by others than the owner of an address that does not match rows."""
    shared = [f"coalesce(own.{key} = owning.{key}, false)" for key in keys.matching]
    shared.append(f"({keys.alone('own', kind)} AND {keys.alone('owning', kind)})")
    return f"""
        UPDATE said SET counts = false
        FROM owners, folding AS own, folding AS owning
        WHERE said.kind = '{kind}' AND said.joins AND owners.kind = said.kind AND owners.address = said.address
            AND own.place = said.place AND owning.place = owners.owner AND own.place <> owning.place AND NOT ({" OR ".join(shared)})
    """  # noqa: S608


WEIGHTS = """
    CREATE TEMP TABLE weights AS
    SELECT n, address, max(earliest) AS earliest, max(moment) AS latest, max(modified) FILTER (moment IS NULL) AS undated
    FROM said WHERE joins AND counts GROUP BY n, address
"""


def outweighed(row: str, *, resubscribes: bool) -> str:
    """Whether a subscribe outweighs an opt-out."""
    dated = f"coalesce(CASE WHEN {row}.zoneless THEN weights.latest ELSE weights.earliest END > {row}.since, false)"
    return f"({dated} OR coalesce(weights.undated > {row}.modified, false))" if resubscribes else dated


def standing(*, resubscribes: bool) -> str:
    """The opt-outs that no subscribe of their own address outweighs."""
    return f"""
        CREATE TEMP TABLE standing AS
        SELECT said.* FROM said LEFT JOIN weights USING (n, address)
        WHERE NOT said.joins AND NOT {outweighed("said", resubscribes=resubscribes)}
    """  # noqa: S608


TRAVELLED = "CREATE TEMP TABLE travelled(kind VARCHAR, origin BIGINT, last BIGINT, address VARCHAR)"


def leave(kind: str) -> str:
    """The superseded rows with opt-outs, `origin`, that set out for the newest address of their person, and `last`, where they are."""
    return f"""
        CREATE OR REPLACE TEMP TABLE travelling AS
        SELECT DISTINCT place AS origin, place AS last
        FROM standing JOIN folding USING (place)
        WHERE standing.kind = '{kind}' AND standing.window_ >= 0 AND NOT folding.newest
    """  # noqa: S608


def reach(kind: str, keys: Keys) -> str:
    """The newest row with each identifier, of those that match by it and have an address."""
    parts = [
        f"""
        SELECT '{key}' AS key, {key} AS value, max(place) AS place
        FROM folding WHERE {key} IS NOT NULL AND {kind} IS NOT NULL AND {keys.alone("folding", key)} GROUP BY {key}
        """  # noqa: S608
        for key in keys.ranked
    ]
    return f"CREATE OR REPLACE TEMP TABLE reach AS {' UNION ALL '.join(parts)}"


def same_person(one: str, other: str, keys: Sequence[str]) -> str:
    """Whether the strongest of some identifiers that two rows have is the same, or they have none in common."""
    cases = " ".join(f"WHEN {one}.{key} = {other}.{key} THEN true WHEN {one}.{key} <> {other}.{key} THEN false" for key in keys)
    return f"CASE {cases} ELSE true END" if cases else "true"


def step(keys: Keys) -> Iterator[str]:
    """One step on the way of each row: `next` is a newer row of the same person, NULL where the way ends.

    One identifier after the other, the strongest first: every join of a statement takes megabytes, however few rows there are.
    """
    yield "CREATE OR REPLACE TEMP TABLE moved AS SELECT origin, last, NULL::BIGINT AS next FROM travelling"
    for position, key in enumerate(keys.ranked):
        stronger = keys.ranked[:position]
        deciding = [other for other in keys.matching if other in stronger or other in keys.lasting]
        same = " AND ".join(same_person(row, "there", deciding) for row in ("here", "first"))
        yield f"""
            UPDATE moved SET next = there.place
            FROM folding AS here, folding AS first, folding AS there, reach
            WHERE moved.next IS NULL AND here.place = moved.last AND first.place = moved.origin
                AND reach.key = '{key}' AND reach.value = here.{key} AND there.place = reach.place
                AND there.place > here.place AND {keys.alone("here", key)} AND {same}
        """  # noqa: S608


def arrive(kind: str) -> str:
    """Ends the ways that lead no further, where the row that they led to is the newest with its address."""
    return f"""
        INSERT INTO travelled
        SELECT '{kind}', moved.origin, moved.last, owners.address
        FROM moved
        JOIN folding AS here ON here.place = moved.last
        JOIN folding AS first ON first.place = moved.origin
        JOIN owners ON owners.kind = '{kind}' AND owners.address = here.{kind} AND owners.owner = moved.last
        WHERE moved.next IS NULL AND here.{kind} <> coalesce(first.{kind}, first.{REPAIRED.format(kind)});
        CREATE OR REPLACE TEMP TABLE travelling AS SELECT origin, next AS last FROM moved WHERE next IS NOT NULL
    """  # noqa: S608


def arrivals(*, resubscribes: bool) -> str:
    """The opt-outs that reach another address, and that no subscribe of that address outweighs."""
    return f"""
        CREATE TEMP TABLE arrivals AS
        SELECT standing.* REPLACE (travelled.address AS address)
        FROM standing JOIN travelled ON travelled.kind = standing.kind AND travelled.origin = standing.place
        LEFT JOIN weights ON weights.n = standing.n AND weights.address = travelled.address
        WHERE NOT {outweighed("standing", resubscribes=resubscribes)}
    """  # noqa: S608


OPT_OUTS = """
    CREATE TEMP TABLE opt_outs AS
    SELECT * FROM (SELECT *, true AS own FROM standing UNION ALL SELECT *, false FROM arrivals)
    QUALIFY row_number() OVER (
        PARTITION BY n, address ORDER BY modified IS NULL, since DESC, moment IS NULL DESC, own DESC, place DESC
    ) = 1
"""


# An opt-out that stands in doubt, against a subscribe without a zone, is no older than it: by now Klaviyo may hold that subscribe, as UTC.
DOUBTED = """
    UPDATE opt_outs SET moment = doubted.moment
    FROM (
        SELECT n, address, max(said.moment) AS moment
        FROM said JOIN opt_outs AS leaving USING (n, address)
        WHERE said.joins AND said.moment > leaving.moment AND said.earliest <= leaving.since
        GROUP BY ALL
    ) AS doubted
    WHERE opt_outs.n = doubted.n AND opt_outs.address = doubted.address
"""


def subscribes(*, resubscribes: bool) -> str:
    """The subscribe that counts for each address that does not opt out.

    One with a date does, unless subscribes without one bring people back, and it is older than such a one, or does not outweigh an
    opt-out that the other does.
    """
    lifted = f"""
        SELECT DISTINCT said.n, said.address FROM said LEFT JOIN weights USING (n, address)
        WHERE NOT said.joins AND NOT {outweighed("said", resubscribes=False)}
    """  # noqa: S608
    newest_dated = "max({'earliest': earliest, 'modified': modified}) FILTER (moment IS NOT NULL) OVER address_"
    newer = f"max(modified) FILTER (moment IS NULL) OVER address_ > ({newest_dated}).modified"
    preferred = f"coalesce({newer}, false) OR lifted.n IS NOT NULL" if resubscribes else "false"
    return f"""
        CREATE TEMP TABLE subscribes AS
        SELECT * EXCLUDE (undated) FROM (
            SELECT said.*, true AS own, {preferred} AS undated
            FROM said ANTI JOIN opt_outs USING (n, address) LEFT JOIN ({lifted}) AS lifted USING (n, address)
            WHERE joins AND counts WINDOW address_ AS (PARTITION BY said.n, said.address)
        )
        QUALIFY row_number() OVER (
            PARTITION BY n, address ORDER BY (moment IS NULL) = undated DESC, earliest DESC NULLS LAST, place DESC
        ) = 1
    """  # noqa: S608


CHOSEN = """
    CREATE TEMP TABLE chosen AS
    SELECT stated.*, owner, repaired_kind, row_, carrier IS NOT NULL AND (joins OR owner_window = stated.window_) AS carried
    FROM (SELECT * FROM opt_outs UNION ALL SELECT * FROM subscribes) AS stated JOIN owners USING (kind, address)
    WHERE stated.window_ >= 0
"""


def pivoted(channels: Sequence[Stating]) -> str:
    """The columns of statements, one line of `chosen` a channel."""
    wanted = (("bool_or(joins)", JOINS), ("max(moment)", AT), ("bool_or(zoneless)", ZONELESS))
    return ", ".join(f"{value} FILTER (n = {n}) AS {name.format(n)}" for n, _ in channels for value, name in wanted)


def net(channels: Sequence[Stating]) -> str:
    """By row that goes out, what goes out with it."""
    return f"CREATE TEMP TABLE net AS SELECT row_, {pivoted(channels)} FROM chosen WHERE carried GROUP BY row_"  # noqa: S608


def alone(keys: Keys, channels: Sequence[Stating]) -> str:
    """The opt-outs that go out without a row, all those of one owner and window together.

    Their identifiers are those of the owner as it goes out, or the addresses alone. A repaired address is named alone.
    """
    kinds = list(dict.fromkeys(kind for _, kind in channels))
    named = ", ".join(f"bool_or(kind = '{kind}') AS about_{kind}" for kind in kinds)
    columns_shown = []
    for path, key in keys.by_path.items():
        about = f" OR about_{key}" if key in kinds else ""
        repaired = f"WHEN repaired_kind = '{key}' THEN {REPAIRED.format(key)}" if key in kinds else ""
        whole = f"WHEN repaired_kind IS NULL AND (keeps_{key}{about}) THEN {EMAIL if path == 'email' else key}"
        columns_shown.append(f"CASE {repaired} {whole} END AS {path}")
    shown = ", ".join(columns_shown)
    said_columns = ", ".join(name.format(n) for n, _ in channels for name in (JOINS, AT, ZONELESS))
    columns = ", ".join(f"leaving.{name}" for name in said_columns.split(", "))
    return f"""
        CREATE TEMP TABLE alone AS
        SELECT leaving.window_, {shown}, {columns}
        FROM (
            SELECT window_, owner, repaired_kind, {named}, {pivoted(channels)}
            FROM chosen WHERE NOT joins AND NOT carried GROUP BY window_, owner, repaired_kind
        ) AS leaving JOIN folding ON folding.place = leaving.owner
    """  # noqa: S608


ASIDES = """
    SELECT said.window_, said.n,
        CASE WHEN said.joins AND said.moment IS NULL AND $1 THEN 'nothing' ELSE 'skipped' END AS fate,
        CASE
            WHEN fate = 'nothing' THEN ''
            WHEN said.joins AND opt_outs.n IS NULL AND (owners.carrier IS NULL OR NOT said.counts) THEN 'consent_superseded'
            ELSE 'consent_outweighed'
        END AS code,
        count(*)
    FROM said
    JOIN owners ON owners.kind = said.kind AND owners.address = said.address
    LEFT JOIN opt_outs ON opt_outs.n = said.n AND opt_outs.address = said.address
    LEFT JOIN chosen ON chosen.n = said.n AND chosen.address = said.address AND chosen.place = said.place AND chosen.own
        AND (chosen.carried OR NOT chosen.joins)
    WHERE said.window_ >= 0 AND chosen.n IS NULL
    GROUP BY ALL
"""
