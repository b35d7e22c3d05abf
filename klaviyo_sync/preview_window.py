"""A dry run of one window: everything that a run does before it sends. Klaviyo is asked, if wanted, and never written to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

import pyarrow as pa

from klaviyo_sync.core.consent import word_counts
from klaviyo_sync.core.consent_result import opts_out, stated_channels, stated_column
from klaviyo_sync.core.encoding import Encoder
from klaviyo_sync.core.packing import import_envelope, pack
from klaviyo_sync.core.profiles import prepare_rows
from klaviyo_sync.core.reading import Rows
from klaviyo_sync.core.result import Result
from klaviyo_sync.core.rivals import Rivals
from klaviyo_sync.core.shared_phones import numbers_beside
from klaviyo_sync.core.stopping import reasons_to_stop
from klaviyo_sync.core.sync import Channel, Sync
from klaviyo_sync.core.tally import Tally
from klaviyo_sync.core.windows import Window
from klaviyo_sync.engine import engine
from klaviyo_sync.klaviyo.asking_ahead import settled
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.foresight import foresee
from klaviyo_sync.klaviyo.holders import reads_for, who_have
from klaviyo_sync.klaviyo.limits import IMPORT_PROFILE, PROFILES
from klaviyo_sync.klaviyo.opt_outs import foresee_opt_outs
from klaviyo_sync.klaviyo.statuses import IDENTIFIERS
from klaviyo_sync.source import open_source
from klaviyo_sync.sync_window import opt_in
from klaviyo_sync.warehouses import Warehouse

# https://developers.klaviyo.com/en/reference/bulk_import_profiles
JOBS_PER_MINUTE = 150
EXAMPLES = 3


@dataclass(frozen=True)
class Preview:
    """What a run of one window would do.

    `result` counts the rows; its `requests` and `bytes` are those that would be sent. `stated` counts by channel and meaning the consent
    statements that count (of several about one address one does, whoever's row it is from), `words` the sync's own words by channel, word
    and meaning. `numbers` are the phone numbers about which a run asks Klaviyo who has them, in `reads` requests at most; `numbers_asked`
    of them were asked about, and left out where others have them. Klaviyo was asked about the first `asked` profiles: `new` of them it does
    not hold yet, and `result.consent` says what would become of theirs, and of the opt-outs of as many rows that stay behind. `opt_in` is
    the process that undated subscribes go through. `examples` are the first profiles as they would be sent, as JSON texts. `halts` says why
    a run would stop itself. `estimate` is how many bytes a run reads in the warehouse at most, where it can tell; `notes` are its own.
    """

    result: Result
    profiles: int
    asked: int
    new: int
    opt_in: str | None
    stated: dict[tuple[Channel, str], int]
    words: dict[tuple[Channel, str, str], int]
    numbers: int
    numbers_asked: int
    reads: int
    examples: tuple[str, ...]
    undated: int
    future: int
    halts: tuple[str, ...]
    estimate: int | None
    notes: tuple[str, ...]

    @property
    def minutes(self) -> float:
        """How long the requests take at Klaviyo's limit."""
        return self.result.requests / JOBS_PER_MINUTE

    @property
    def reading_minutes(self) -> float:
        """How long asking who has the phone numbers takes at Klaviyo's limit."""
        return self.reads / PROFILES.tier.steady

    @property
    def opt_outs(self) -> int:
        """The opt-outs that count, with their rows or without."""
        return sum(count for (_, meaning), count in self.stated.items() if meaning == "unsubscribe")

    @property
    def consent_reads(self) -> int:
        """How many requests read consent: before it is sent, opt-outs by each identifier, as if Klaviyo had nobody; and after."""
        statements = sum(self.stated.values())
        return reads_for(self.opt_outs * len(IDENTIFIERS)) + reads_for(statements - self.opt_outs) + reads_for(statements)

    @property
    def consent_minutes(self) -> float:
        """How long these take at Klaviyo's limit."""
        return self.consent_reads / PROFILES.tier.steady

    @property
    def clearing_minutes(self) -> float:
        """How long clearing takes at Klaviyo's limit, one request per profile, if all of them hold something."""
        return self.result.clears.to_clear / IMPORT_PROFILE.tier.steady


def preview_window(
    sync: Sync,
    window: Window,
    warehouse: Warehouse,
    klaviyo: Klaviyo | None = None,
    *,
    ask: int = 0,
    now: datetime,
    seen: Callable[[int], None],
) -> Preview:
    """The preview of one window; `seen` is told how many rows were read each time that some were.

    Klaviyo, if given, is asked about the first `ask` profiles, and who has the first `ask` phone numbers.

    Raises ConfigError, Refused or Unavailable when the window cannot be read.
    """
    source = open_source(sync, warehouse, now)
    undated, future = source.rows_outside()
    warehouse.notes += source.present_time(whole=True)
    tally = Tally([window])
    stated: Counter[tuple[Channel, str]] = Counter()
    words: Counter[tuple[Channel, str, str]] = Counter()
    examples: list[str] = []
    requests = size = profiles = asked = new = asked_to_leave = 0
    numbers = numbers_asked = reads = 0
    lists = {list_id: klaviyo.list_details(list_id) for list_id in sync.list_ids} if klaviyo else {}

    with engine() as connection:
        encoder = Encoder(connection)

        def with_own_numbers(rows: Rows) -> Rows:
            nonlocal numbers, numbers_asked, reads
            if not sync.asks_about_phones:
                return rows
            beside = numbers_beside(rows, source.plan)
            distinct = beside.distinct()
            numbers, reads = numbers + len(distinct), reads + reads_for(len(distinct))
            asking = distinct[: max(0, ask - numbers_asked)] if klaviyo is not None else []
            numbers_asked += len(asking)
            return settled(rows, source.plan, beside, who_have(klaviyo, asking)) if klaviyo is not None and asking else rows

        def pieces(rows: Rows) -> Iterator[tuple[pa.Array, pa.Table]]:
            nonlocal asked_to_leave
            rows = with_own_numbers(rows)
            ready = prepare_rows(rows, source.plan, encoder)
            tally.add_prepared(ready, rows.windows)
            for channel in stated_channels(ready.rows):
                meanings = ready.rows[stated_column(channel)].cast(pa.string()).to_pylist()
                stated.update((channel, meaning) for meaning in meanings if meaning is not None)
                stated[channel, "unsubscribe"] += int(opts_out(ready.opt_outs, [channel]).sum())
            leaving = ready.opt_outs.slice(0, ask - asked_to_leave)
            if klaviyo is not None and len(leaving):
                tally.add_consent(foresee_opt_outs(klaviyo, leaving))
                asked_to_leave += len(leaving)
            for target in source.plan.consents:
                for (word, meaning), count in word_counts(target, rows.frame[~rows.held], source.plan.zone).items():
                    words[target.channel, word, meaning] += count
            examples.extend(ready.profiles.slice(0, EXAMPLES - len(examples)).to_pylist())
            seen(len(rows.frame))
            return ready.pieces()

        rows = source.newest([window], Rivals(connection.cursor(), source.plan), tally)
        for batch in pack(chain.from_iterable(map(pieces, rows)), import_envelope(sync.list_id)):
            requests, size, profiles = requests + 1, size + batch.size, profiles + len(batch)
            if klaviyo is not None and asked < ask:
                foreseen = foresee(klaviyo, batch.rows.slice(0, ask - asked), sync.consent)
                asked, new = asked + len(foreseen.consent.rows), new + foreseen.new
                tally.add_consent(foreseen.consent)

    counted = tally.results()[window.key] + Result(requests=requests, bytes=size)
    shown = tuple(text.rstrip(",") for text in examples)
    return Preview(
        counted,
        profiles,
        asked,
        new,
        opt_in(sync, lists),
        {said: count for said, count in stated.items() if count},
        dict(words),
        numbers,
        numbers_asked,
        reads,
        shown,
        undated,
        future,
        tuple(reason.text for reason in reasons_to_stop(sync.stop_above, tally.changes(0))),
        source.estimate([window]),
        tuple(warehouse.notes),
    )
