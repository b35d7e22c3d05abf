"""Clears of a batch whose profiles are in Klaviyo: fields whose cells are NULL are emptied, and every profile is accounted for.

Only the single-profile endpoint clears: null for an attribute or a place, `patch_properties.unset` for a custom property
(https://developers.klaviyo.com/en/reference/create_or_update_profile). At 700 requests a minute it is far slower than
bulk import, so Klaviyo is asked first who holds anything in these fields.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import orjson

from klaviyo_sync.core.attributes import PROPERTY
from klaviyo_sync.core.clear_counts import ClearFate
from klaviyo_sync.core.clear_result import ClearLedger, ClearOutcome
from klaviyo_sync.core.issues import CODES
from klaviyo_sync.core.prepared import WINDOW
from klaviyo_sync.core.result import FATES, Fate, Outcome, Reason
from klaviyo_sync.klaviyo import attribution
from klaviyo_sync.klaviyo.answers import Answer, Rejection, attributes
from klaviyo_sync.klaviyo.client import Klaviyo, Request
from klaviyo_sync.klaviyo.holdings import RANK, UNSAID, Holdings, keys_of, shown
from klaviyo_sync.klaviyo.limits import IMPORT_PROFILE
from klaviyo_sync.klaviyo.side_by_side import side_by_side

AT_ONCE = 8
WITHOUT_PROFILE: dict[Fate, ClearFate] = {"refused": "refused", "failed": "refused", "unknown": "unknown"}


@dataclass(frozen=True)
class Ask:
    """A row with fields to clear, and the identifiers that its import had: so Klaviyo finds the same profile."""

    row: int
    identifiers: Mapping[str, str]
    fields: Sequence[str]

    def body(self) -> bytes:
        """The request body. What it does not name stays as it is."""
        given: dict[str, object] = {name: value for name, value in self.identifiers.items() if name != "id"}
        places = [path.partition(".")[2] for path in self.fields if path.startswith("location.")]
        unset = [path.removeprefix(PROPERTY) for path in self.fields if path.startswith(PROPERTY)]
        given |= {path: None for path in self.fields if "." not in path}
        if places:
            given["location"] = dict.fromkeys(places)
        data: dict[str, object] = {"type": "profile", "attributes": given}
        if "id" in self.identifiers:
            data["id"] = self.identifiers["id"]
        if unset:
            data["meta"] = {"patch_properties": {"unset": unset}}
        return orjson.dumps({"data": data})


class Clears:
    """The clears of a batch, given what became of its profiles: first it is read who would lose a value, then they are sent.

    `fields` are those of the sync, in its order. Nothing is cleared in profiles that were not imported. A window with `unknown` clears
    is not done.

    Raises:
        Refused: The key or its scopes are not good.
        Unavailable: Klaviyo did not answer in time: nothing is known of the rest of the batch.
    """

    def __init__(self, klaviyo: Klaviyo, outcome: Outcome, fields: Sequence[str]) -> None:
        self._klaviyo = klaviyo
        self._windows = outcome.rows[WINDOW].to_numpy()
        self._ledger = ClearLedger(outcome.rows, fields)
        self._fields = fields
        asks = []
        named = {name: outcome.rows[name].to_pylist() for name in RANK if name in outcome.rows.column_names}
        for row, paths in self._ledger.rows().items():
            fate = FATES[outcome.fates[row]]
            if fate == "imported":
                left_out = outcome.left_out(row)
                given = {name: cells[row] for name, cells in named.items() if cells[row] is not None and name not in left_out}
                asks.append(Ask(row, given, paths))
            else:
                self._ledger.settle(row, WITHOUT_PROFILE[fate], reason("clear_without_profile"))
        self._needed = who_holds_something(klaviyo, asks, fields, self._ledger)

    def by_window(self) -> Counter[int]:
        """How many profiles would lose a value, by the position of their window in the run."""
        return Counter(int(self._windows[ask.row]) for ask in self._needed)

    def send(self, without: Collection[int] = ()) -> ClearOutcome:
        """What became of every clear; those of the windows `without` are not sent, and count as unknown."""
        going: deque[Ask] = deque()
        for ask in self._needed:
            if self._windows[ask.row] in without:
                self._ledger.settle(ask.row, "unknown")
            else:
                going.append(ask)
        unsaid = []
        for ask, answer in side_by_side(partial(cleared, self._klaviyo), going, AT_ONCE):
            self._ledger.requests += answer.attempts
            fate = verdict(ask, answer)
            if fate is None:
                unsaid.append(ask)
            else:
                self._ledger.settle(ask.row, *fate)
        self._look_again(unsaid)
        return self._ledger.outcome()

    def _look_again(self, asks: Sequence[Ask]) -> None:
        """Settles the asks whose answers did not mention all fields, by what Klaviyo shows of these profiles."""
        if not asks:
            return
        holdings = Holdings(self._klaviyo, self._fields)
        holdings.read_all([ask.identifiers for ask in asks])
        self._ledger.requests += holdings.requests
        for ask in asks:
            held = holdings.of(keys_of(ask.identifiers))
            left = [path for path in ask.fields if held is not None and held & holdings.mask([path])]
            if held is None:
                self._ledger.settle(ask.row, "unknown", reason("clear_unseen"))
            elif left:
                told = Reason("clear_refused", left[0], "Klaviyo took the request and does not show that the field is empty.")
                self._ledger.settle(ask.row, "refused", told)
            else:
                self._ledger.settle(ask.row, "cleared")


def send_clears(klaviyo: Klaviyo, outcome: Outcome, fields: Sequence[str]) -> ClearOutcome:
    """What became of the fields that a batch clears, without a look at the limits of `stop_above`. Errors as for `Clears`."""
    return Clears(klaviyo, outcome, fields).send()


def who_holds_something(klaviyo: Klaviyo, asks: Sequence[Ask], fields: Sequence[str], ledger: ClearLedger) -> list[Ask]:
    """The asks that Klaviyo must be sent; the others are settled."""
    holdings = Holdings(klaviyo, fields)
    holdings.read_all([ask.identifiers for ask in asks])
    ledger.requests += holdings.requests
    needed = []
    for ask in asks:
        held = holdings.of(keys_of(ask.identifiers))
        if held is None:
            ledger.settle(ask.row, "unknown", reason("clear_unseen"))
        elif held & holdings.mask(ask.fields):
            needed.append(ask)
        else:
            ledger.settle(ask.row, "already_empty")
    return needed


def cleared(klaviyo: Klaviyo, ask: Ask) -> Answer | Rejection:
    """Klaviyo's answer to one ask."""
    return klaviyo.request(Request(IMPORT_PROFILE, body=ask.body()))


def verdict(ask: Ask, answer: Answer | Rejection) -> tuple[ClearFate, Reason | None] | None:
    """What an answer makes of an ask: the profile that comes back must show the fields empty. None when it does not mention all of them."""
    if isinstance(answer, Rejection):
        unnamed = Reason("clear_refused", None, f"Klaviyo refused it with status {answer.status} and gave no reason.")
        return "refused", attribution.reason("clear_refused", answer.errors[0]) if answer.errors else unnamed
    values = {path: shown(attributes(answer.resource), path) for path in ask.fields}
    left = [path for path, value in values.items() if value is not None and value is not UNSAID]
    if left:
        return "refused", Reason("clear_refused", left[0], "Klaviyo took the request and still shows a value.")
    return None if UNSAID in values.values() else ("cleared", None)


def reason(code: str) -> Reason:
    """A reason of the catalogue, in our own words."""
    assert code in CODES
    return Reason(code, None, "")
