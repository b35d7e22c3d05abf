"""Which spans were imported, from what dataset into which account: read from stored results, newest first.

An entry that says nothing of its dataset or account (a result of a version that stored neither, or one that was reported by hand) belongs
to those of the oldest entry that does: whoever upgrades keeps what was imported, and another account does not inherit it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from klaviyo_sync.core.coverage import BEGINNING, Coverage, Span
from klaviyo_sync.core.zone_changes import moved

MOST_SPANS = 1_000


class Origin(NamedTuple):
    """From which dataset into which account; `sandbox` says whether Klaviyo's address was on this machine. None is unknown.

    `zone` is the time zone in which a `modified_at` without one was read; None where it has its own, or nobody knows.
    """

    dataset: str | None = None
    account: str | None = None
    sandbox: bool | None = None
    zone: str | None = None


UNKNOWN = Origin()


class Destination(NamedTuple):
    """Where rows are to go now: the account that the configuration names, and whether its address is on this machine; None is open."""

    account: str | None = None
    sandbox: bool | None = None


ANYWHERE = Destination()

WasFirst = Callable[[Span], bool]
"""Whether a window, given by its span without history, was the first of its sync, and took the older rows along."""


@dataclass(frozen=True)
class Entry:
    """One stored result: its span, and where its rows went. `may_have_history` when nobody knows whether older rows went with it."""

    span: Span
    origin: Origin = UNKNOWN
    may_have_history: bool = False


@dataclass
class Ledger:
    """Every span by its origin. Entries are added newest first; `close` ends the reading once the oldest was added."""

    spans: dict[Origin, list[Span]] = field(default_factory=lambda: defaultdict(list))
    newest: dict[bool | None, str] = field(default_factory=dict)
    oldest: dict[bool | None, Origin] = field(default_factory=dict)
    undecided: list[Span] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Takes the next older entry in."""
        if entry.may_have_history:
            self.undecided.append(entry.span)
        else:
            self.spans[entry.origin].append(entry.span)
        if entry.origin.dataset is not None or entry.origin.account is not None:
            for sandbox in (True, False, None) if entry.origin.sandbox is None else (entry.origin.sandbox, None):
                self.oldest[sandbox] = entry.origin
                if entry.origin.account is not None:
                    self.newest.setdefault(sandbox, entry.origin.account)

    def close(self, was_first: WasFirst) -> None:
        """Decides about history where results do not say: only the first window of a sync took the older rows along.

        The earliest result is not always that of the first window: a schedule that was switched on late never looked so far back.
        """
        for span in self.undecided:
            self.spans[UNKNOWN].append(Span(BEGINNING, span.end) if was_first(span) else span)
        self.undecided = []

    def continue_with(self, older: Ledger) -> None:
        """Takes in a closed ledger of everything older."""
        for origin, spans in older.spans.items():
            self.spans[origin] += spans
        self.oldest |= older.oldest
        self.newest = {**older.newest, **self.newest}
        self.spans[UNKNOWN] += self.undecided
        self.undecided = []

    def read_in(self, zone: str) -> None:
        """Moves the spans of rows that were read in another time zone to where these rows are in this one."""
        for origin in [origin for origin in self.spans if origin.zone not in (None, zone)]:
            self.spans[origin._replace(zone=zone)] += [moved(span, origin.zone or zone, zone) for span in self.spans.pop(origin)]

    def account(self, destination: Destination) -> str | None:
        """The account that rows go to now: the one that is named, else that of the newest result at such an address."""
        return destination.account or self.newest.get(destination.sandbox)

    def coverage(self, dataset: str, destination: Destination) -> Coverage:
        """What was imported from this dataset into the account that rows go to now."""
        return Coverage(
            span
            for origin, spans in [*self.spans.items(), (UNKNOWN, self.undecided)]
            if self.counts(origin, dataset, destination)
            for span in spans
        )

    def counts(self, origin: Origin, dataset: str, destination: Destination) -> bool:
        """Whether results of this origin count for this dataset and destination."""
        if None not in (origin.sandbox, destination.sandbox) and origin.sandbox != destination.sandbox:
            return False
        owner = self.oldest.get(destination.sandbox, UNKNOWN)
        account = self.account(destination)
        return (origin.dataset or owner.dataset or dataset) == dataset and (origin.account or owner.account or account) == account

    def compact(self) -> dict[str, Any] | None:
        """The closed ledger as JSON, of which `expanded` makes it again; None when that would be large."""
        spans = [(origin, Coverage(parts).spans) for origin, parts in self.spans.items() if parts]
        if sum(len(parts) for _, parts in spans) > MOST_SPANS:
            return None
        return {
            "spans": [[*origin, [[None if start == BEGINNING else start, end] for start, end in parts]] for origin, parts in spans],
            "newest": [[sandbox, account] for sandbox, account in self.newest.items()],
            "oldest": [[sandbox, *origin] for sandbox, origin in self.oldest.items()],
        }


def expanded(compact: Mapping[str, Any]) -> Ledger:
    """The ledger that `compact` wrote down."""
    ledger = Ledger(
        newest=dict(compact["newest"]),
        oldest={sandbox: Origin(*origin) for sandbox, *origin in compact["oldest"]},
    )
    for *origin, parts in compact["spans"]:
        ledger.spans[Origin(*origin)] += [Span(BEGINNING if start is None else start, end) for start, end in parts]
    return ledger


def closed_ledger(entries: Iterable[Entry], was_first: WasFirst) -> Ledger:
    """The ledger of all entries, given newest first."""
    ledger = Ledger()
    for entry in entries:
        ledger.add(entry)
    ledger.close(was_first)
    return ledger
