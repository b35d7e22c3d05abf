"""What a batch would do to Klaviyo, found out by reading alone: profiles that would be new, and what would become of consent."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from klaviyo_sync.core.consent_result import ConsentOutcome, Ledger
from klaviyo_sync.core.decisions import Present
from klaviyo_sync.core.sync import Channel, Consent
from klaviyo_sync.klaviyo.client import Klaviyo
from klaviyo_sync.klaviyo.consents import Plan, people, plan_person
from klaviyo_sync.klaviyo.statuses import IDENTIFIERS, Key, Statuses, as_given, keys_of

NOT_YET = Present("NEVER_SUBSCRIBED")


class Foresight(Statuses):
    """Statuses as they will be once the profiles are imported: who is not there yet will be, and has said nothing."""

    def of(self, channel: Channel, key: Key) -> Present:
        """What Klaviyo will hold before any consent is sent."""
        return super().of(channel, key) or NOT_YET


@dataclass(frozen=True)
class Foreseen:
    """How many rows of a batch would be new profiles, and what would become of its statements: `sent` are those that would be."""

    new: int
    consent: ConsentOutcome


def foresee(klaviyo: Klaviyo, rows: pa.Table, consent: Consent | None) -> Foreseen:
    """What a batch's rows (as `pack` gives them) would do. Writes nothing.

    Raises Refused or Unavailable when Klaviyo could not be asked.
    """
    statuses = Foresight()
    identifiers = identified(rows)
    for position in range(len(IDENTIFIERS)):
        unknown = [keys for keys in map(keys_of, identifiers) if not any(map(statuses.asked, keys))]
        statuses.read(klaviyo, [keys[position] for keys in unknown if len(keys) > position])
    known_by_id = rows["id"].is_valid().to_pylist() if "id" in rows.column_names else [False] * len(rows)
    new = sum(
        not by_id and not any(key in statuses.people for key in keys_of(one)) for one, by_id in zip(identifiers, known_by_id, strict=True)
    )
    ledger = Ledger(rows)
    if consent is not None:
        plan_all(klaviyo, statuses, ledger, consent)
    return Foreseen(new, ledger.outcome())


def identified(rows: pa.Table) -> list[dict[str, str]]:
    """The identifiers of each row."""
    named = [name for name in IDENTIFIERS if name in rows.column_names]
    return [{name: cell for name, cell in row.items() if cell is not None} for row in rows.select(named).to_pylist()]


def plan_all(klaviyo: Klaviyo, statuses: Foresight, ledger: Ledger, consent: Consent) -> None:
    """Settles every statement as a run would that meets no refusal."""
    stating = list(people(ledger))
    statuses.read(klaviyo, (as_given(channel, one.identifiers) for one in stating for channel, _, _ in one.unsure(consent.undated)))
    plan = Plan()
    for person in stating:
        plan_person(plan, person, consent.undated, statuses, ledger)
    for ask in (*plan.unsubscribes, *plan.dated, *plan.undated):
        for channel in ask.channels:
            ledger.settle(ask.row, channel, "sent")
