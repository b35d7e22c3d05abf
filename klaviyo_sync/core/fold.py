"""The fold: what the rows of a run state together, per channel and address. Statements are compared, not rows.

All contested rows take part (`core.rivals`): those of the run's windows and those that changed later, superseded and rejected ones
included. A row whose address nobody else has is not here: what it states is all that is stated.

- **Dates.** An opt-out counts from its timestamp, else from its row's `modified_at`, never later than now. A subscribe counts from its
  timestamp only. Where one of two dates has no zone, the opt-out counts 14 hours later, or the subscribe 14 hours earlier, once. An
  opt-out that stands for that reason goes out with the date of the subscribe: Klaviyo may hold it, sent as UTC by another run.
- **What outweighs.** A subscribe with a date outweighs the opt-outs of its address that are older. One without a date outweighs none,
  except under `undated: resubscribe`, where it outweighs those of rows with an older `modified_at`. On a tie the opt-out stands.
- **What is stated in the end.** If any opt-out stands, the address opts out, and the newest one counts. Otherwise the newest subscribe
  with a date does, else the newest without.
- **Whose subscribes count.** Everybody's who is matched by the address. Of an address that does not match rows (a shared phone number)
  only those of its owner: the row that keeps it, and rows that share an identifier with that row which does match.
- **How it goes out.** With the row that has the address and goes out, whether or not that row states anything itself. An opt-out from
  another window than that row's, or whose address has no such row, goes out alone, as its own window's. A subscribe never does.
- **Later rows.** Their statements are compared, and are their own window's to send: where one of them counts, this run sends nothing.

An opt-out of a superseded row also reaches the newest address of the same person, where it is compared with the subscribes of that
address; the old address stays opted out. Who the same person is:

- The path leads from a row, by the strongest identifier that matches rows, to the newest row that has it and has an address of the
  kind; from there on in the same way, until no newer row is there. A weaker identifier leads on only where no stronger one does.
- It never leads to a row in which a stronger identifier differs from that of the row where it is, or from where it began: that is
  somebody else, who has a recycled address or a shared number. The address opts out by what was stated about itself, its new owner's
  other addresses do not.
- It ends at an address only if the newest row with that address is the row it led to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from klaviyo_sync.core import fold_sql as sql
from klaviyo_sync.core.cleaning.cells import Flag
from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER, Statements
from klaviyo_sync.core.consent_counts import ConsentFate
from klaviyo_sync.core.consent_dates import MOMENT, OLDEST, read_dates
from klaviyo_sync.core.frames import arrow, keep_where
from klaviyo_sync.core.kernels import pc
from klaviyo_sync.core.mapping import Mapped, Plan
from klaviyo_sync.core.matching import KEEPS, RANK, Matching
from klaviyo_sync.core.sync import Channel

BATCH_ROWS = 16_384


class Aside(NamedTuple):
    """How many statements of a window's rows do not go out, with their fate and its reason."""

    window: int
    channel: Channel
    fate: ConsentFate
    code: str
    statements: int


class OptOuts(NamedTuple):
    """Opt-outs without rows: the position of the window that each is from, the identifiers to name by path, and the statements."""

    windows: np.ndarray
    identifiers: dict[str, pa.Array]
    statements: dict[Channel, Statements]


def moments_of_change(frame: pd.DataFrame, plan: Plan) -> pa.Array:
    """When each row was changed (timestamp us UTC): of a day its end, never later than now; now where it does not say."""
    cells = arrow(frame[plan.modified_at])
    changed = read_dates(cells, plan.modified_kind, plan.zone, zone_known=True).last
    changed = pc.coalesce(changed, pa.scalar(OLDEST, MOMENT))
    present = pa.scalar(plan.now, MOMENT)
    return pc.if_else(pc.or_(cells.is_null(), pc.greater(changed, present)), present, changed)


def statement_columns(
    statements: Mapping[Channel, Statements], frame: pd.DataFrame, profiles: pd.DataFrame, plan: Plan
) -> dict[str, pa.Array]:
    """Columns with what rows state, for `Rivals` to keep: `joins_N` (subscribe or opt-out), `at_N` and `zoneless_N` by channel.

    Also `changed_`, when the row was changed, `maybe_`, whether it has an unknown word or an opt-out without a usable address, and
    `email_`, its address as written. `frame` has the rows, `profiles` what they became.
    """
    if not plan.consents:
        return {}
    maybe_opt_outs = reduce(pc.or_, (stated.maybe_opt_outs() for stated in statements.values()))
    columns = {sql.CHANGED: moments_of_change(frame, plan), sql.MAYBE: maybe_opt_outs}
    if "email" in profiles.columns:
        columns[sql.EMAIL] = arrow(profiles["email"])
    for position, target in enumerate(plan.consents):
        stated = statements[target.channel]
        columns[sql.JOINS.format(position)] = pc.equal(stated.meaning, "subscribe")
        columns[sql.AT.format(position)] = keep_where(stated.meaning.is_valid(), stated.at)
        columns[sql.ZONELESS.format(position)] = stated.zoneless
    return columns


def stating(mapped: Mapped, net: Mapping[Channel, Statements]) -> Mapped:
    """The rows with the statements that go out with them in the place of their own.

    What is wrong with a cell stays known, as long as it is the reason that the row itself states nothing.
    """
    statements = {}
    for channel, stated in net.items():
        own = mapped.statements[channel]
        flags = ((column, Flag(flag.code, pc.and_(flag.where, own.meaning.is_null()))) for column, flag in own.flags)
        statements[channel] = stated._replace(flags=tuple(flags))
    return replace(mapped, statements={**mapped.statements, **statements})


class Fold:
    """The statements that go out of the tables `rivals` and `ranked`, in a DuckDB connection that spills to disk.

    `order` are the expressions by which rows are ordered, the moment of the change first.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, plan: Plan, matching: Matching, order: Sequence[str]) -> None:
        self.connection = connection
        self.plan = plan
        self.order = order
        numbers = {path: matching.number(path) for path in RANK if path in matching.paths}
        columns = {path: f"key_{number}" for path, number in numbers.items()}
        kept = {columns[path]: f"ranked.{KEEPS.format(number)}" if path in matching.sharing else "true" for path, number in numbers.items()}
        self.keys = sql.Keys(columns, [columns[path] for path in columns if path not in matching.sharing], kept)
        self.channels = [
            sql.Stating(position, columns[CHANNEL_IDENTIFIER[target.channel]])
            for position, target in enumerate(plan.consents)
            if CHANNEL_IDENTIFIER[target.channel] in columns
        ]

    def compute(self) -> list[Aside]:
        """What does not go out. Makes the tables `net` (`row_`, and the statement that goes out with it) and `alone`."""
        run = self.connection.execute
        resubscribes = self.plan.undated == "resubscribe"
        run(sql.folding(self.keys, self.channels, self.order))
        run(sql.said(self.channels))
        run(sql.owners(self.kinds))
        for kind in self.kinds:
            if kind not in self.keys.matching:
                run(sql.counting(kind, self.keys))
        run(sql.WEIGHTS)
        run(sql.standing(resubscribes=resubscribes))
        run(sql.TRAVELLED)
        for kind in self.kinds:
            self.follow(kind)
        run(sql.arrivals(resubscribes=resubscribes))
        run(sql.OPT_OUTS)
        run(sql.DOUBTED)
        run(sql.subscribes(resubscribes=resubscribes))
        run(sql.CHOSEN)
        run(sql.net(self.channels))
        run(sql.alone(self.keys, self.channels))
        asides = run(sql.ASIDES, [self.plan.undated == "ignore"]).fetchall()
        return [Aside(window, self.plan.consents[n].channel, fate, code, number) for window, n, fate, code, number in asides]

    @property
    def kinds(self) -> list[str]:
        """The columns of addresses that something can be stated about."""
        return list(dict.fromkeys(channel.address for channel in self.channels))

    def follow(self, kind: str) -> None:
        """Fills `travelled` with the ways of opt-outs about such addresses to the newest address of their person."""
        self.connection.execute(sql.leave(kind))
        if self.size("travelling"):
            self.connection.execute(sql.reach(kind, self.keys))
        while self.size("travelling"):  # it ends: every step leads to a newer row
            for statement in sql.step(self.keys):
                self.connection.execute(statement)
            self.connection.execute(sql.arrive(kind))

    def size(self, table: str) -> int:
        """How many rows a table has."""
        [[rows]] = self.connection.execute(f"SELECT count(*) FROM {table}").fetchall()  # noqa: S608 - our own names
        return int(rows)

    @property
    def net_columns(self) -> list[str]:
        """The columns of `net` with the statements that go out with a row."""
        return [f"net.{name.format(channel.n)}" for channel in self.channels for name in (sql.JOINS, sql.AT, sql.ZONELESS)]

    def opt_outs(self) -> Iterator[OptOuts]:
        """The opt-outs that go out without a row, some thousands at a time."""
        for batch in self.connection.sql("SELECT * FROM alone").to_arrow_reader(BATCH_ROWS):
            identifiers = {target.path: batch.column(target.path) for target in self.plan.identifiers}
            yield OptOuts(batch.column("window_").to_numpy(zero_copy_only=False), identifiers, self.statements(batch))

    def statements(self, batch: pa.RecordBatch) -> dict[Channel, Statements]:
        """The statements in the columns of `net` or `alone`."""
        return {target.channel: rebuilt(batch, position) for position, target in enumerate(self.plan.consents)}

    def drop(self) -> None:
        """Lets go of all tables."""
        for table in sql.TABLES:
            self.connection.execute(f"DROP TABLE IF EXISTS {table}")


def rebuilt(batch: pa.RecordBatch, position: int) -> Statements:
    """The statements for the channel at a position, as `statement_columns` took them."""
    name = sql.JOINS.format(position)
    if name not in batch.schema.names:
        no = pa.repeat(pa.scalar(value=False), len(batch))
        return Statements(pa.nulls(len(batch), pa.string()), pa.nulls(len(batch), MOMENT), no, ())
    meaning = pc.if_else(batch.column(name), "subscribe", "unsubscribe")
    zoneless = pc.fill_null(batch.column(sql.ZONELESS.format(position)), fill_value=False)
    return Statements(meaning, batch.column(sql.AT.format(position)).cast(MOMENT), zoneless, ())
