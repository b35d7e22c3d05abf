"""What the `subscriptions` of a profile say of one channel, read so that whatever is in doubt speaks for the opt-out.

https://developers.klaviyo.com/en/reference/get_profiles names the members. Their values are described by one example each; the names
of methods are those of Klaviyo's segment filters, in upper case (https://github.com/klaviyo/openapi), which was not tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from klaviyo_sync.core.decisions import Present, Status, Suppression
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.klaviyo.answers import Json, mapping, text

WORST_FIRST: tuple[Status, ...] = ("UNSUBSCRIBED", "unknown", "NEVER_SUBSCRIBED", "SUBSCRIBED")
STATUSES: dict[str, Status] = {status: status for status in WORST_FIRST}

# Ways by which consent comes from elsewhere: its date may be that of the transfer. WhatsApp's consent names no way at all.
TRANSFERS = frozenset(("", "API", "SFTP", "MANUAL_IMPORT", "DATA_WAREHOUSE_IMPORT"))
AT_ONCE = timedelta(minutes=5)
NEVER = Present("NEVER_SUBSCRIBED")


def present(subscriptions: object, channel: Channel) -> Present:
    """What is held of a channel: unknown when there are no subscriptions, never subscribed when they do not name it.

    An opt-out counts from the latest date beside it. Who left one list only is suppressed there, which a subscribe would lift as well.
    """
    if not isinstance(subscriptions, dict):
        return Present()
    medium, _, purpose = channel.partition("_")
    held = mapping(mapping(subscriptions.get(medium)).get(purpose))
    if held.get("consent") in (None, "NEVER_SUBSCRIBED") and not held.get("suppression") and not held.get("list_suppressions"):
        return NEVER
    status = STATUSES.get(text(held.get("consent")) or "NEVER_SUBSCRIBED", "unknown")
    dates = [date for date in (moment(held.get("consent_timestamp")), moment(held.get("last_updated"))) if date]
    at = max(dates, default=None) if status == "UNSUBSCRIBED" else subscribed_at(held)
    return Present(status, at, (*suppressions(held.get("suppression")), *suppressions(held.get("list_suppressions"))))


def subscribed_at(held: Json) -> datetime | None:
    """When the person subscribed; None when Klaviyo may only tell when that was passed on to it.

    A subscribe without a date, of ours for one, is stamped with the time of its call, and the person may have opted out before it:
    an opt-out must not pass for older. A date well before the record was made was given with the call.
    """
    consented, updated = moment(held.get("consent_timestamp")), moment(held.get("last_updated"))
    given = consented is not None and updated is not None and updated - consented > AT_ONCE
    return consented if given or text(held.get("method")).upper() not in TRANSFERS else None


def suppressions(listed: object) -> Iterator[Suppression]:
    """The suppressions of a list of Klaviyo's, or of a single one in its place."""
    for one in listed if isinstance(listed, list) else [listed] if listed else ():
        found = mapping(one)
        yield Suppression(text(found.get("reason")), moment(found.get("timestamp")))


def worse(one: Present, other: Present) -> Present:
    """Of two profiles' presents the one that speaks more against sending, with the suppressions of both."""
    first = min(one, other, key=lambda held: (WORST_FIRST.index(held.status), -held.at.timestamp() if held.at else -math.inf))
    return first._replace(suppressions=one.suppressions + other.suppressions)


def moment(value: object) -> datetime | None:
    """A date of Klaviyo's, in UTC; None for none, or one that cannot be read."""
    try:
        found = datetime.fromisoformat(text(value))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
