"""What becomes of attributes, consent and list memberships when two profiles become one, or a phone number changes hands.

https://help.klaviyo.com/hc/en-us/articles/13756180653851
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.sandbox.consents import Consents, Person, Record
from klaviyo_sync.sandbox.readings import Readings

_BY_PHONE: frozenset[Channel] = frozenset(channel for channel, identifier in CHANNEL_IDENTIFIER.items() if identifier == "phone_number")


def combined(survivor: Mapping[str, Any], absorbed: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of two profiles in one.

    Where both have a value the survivor's counts, except that the fuller location is kept, with the time zone of the absorbed profile.
    """
    result = {**absorbed, **survivor}
    if "properties" in survivor and "properties" in absorbed:
        result["properties"] = {**absorbed["properties"], **survivor["properties"]}
    kept, other = survivor.get("location", {}), absorbed.get("location", {})
    location = dict(other if len(other) > len(kept) else kept)
    timezone = other.get("timezone") or kept.get("timezone")
    if timezone:
        location["timezone"] = timezone
    return {**result, "location": location} if location else result


class Merging:
    """Moves consent and list memberships along with profiles and phone numbers.

    `readings` gives the readings of now, `memberships` every list's members: profile numbers to when they joined.
    """

    def __init__(
        self, consents: Consents, readings: Callable[[], Readings], memberships: Callable[[], Collection[dict[int, float]]]
    ) -> None:
        self._consents = consents
        self._readings = readings
        self._memberships = memberships
        self.parked: dict[str, dict[Channel, Record]] = {}
        """Consent to texts of phone numbers that no profile has at present."""

    def absorb(self, survivor: int, absorbed: int, kept_phone: str | None, other_phone: str | None) -> None:
        """One profile takes over the consent, the suppressions and the list memberships of another.

        `kept_phone` is the phone number that the survivor had before, `other_phone` that of the absorbed profile.
        """
        for members in self._memberships():
            joined = members.pop(absorbed, None)
            if joined is not None:
                members[survivor] = min(joined, members.get(survivor, joined))
        other = self._consents.take(absorbed)
        if other is None:
            return
        kept = self._consents.of(survivor)
        apart = self._readings().phone_consent == "number" and kept_phone is not None and other_phone is not None
        if apart:
            self._park(other, other_phone)
        channels: dict[Channel, Record] = dict(kept.channels)
        merged = Person(channels, {**other.suppressions, **kept.suppressions}, {**other.list_suppressions, **kept.list_suppressions})
        for channel, record in other.channels.items():
            own = kept.channels.get(channel)
            channels[channel] = record if own is None else self._stronger(own, record)
        mail = channels.get("email_marketing")
        if mail is not None and mail.status == "SUBSCRIBED":
            merged.suppressions.pop("UNSUBSCRIBE", None)
        self._consents.put(survivor, merged)

    def rephoned(self, number: int, before: str | None, after: str | None) -> None:
        """A profile's phone number has changed. Consent to texts stays with the number that it was given for."""
        if self._readings().phone_consent == "profile":
            return
        person = self._consents.of(number)
        if before is not None:
            self._park(person, before)
        if after in self.parked:
            person.channels.update(self.parked.pop(after))
            self._consents.put(number, person)

    def _park(self, person: Person, phone: str | None) -> None:
        given: dict[Channel, Record] = {channel: person.channels.pop(channel) for channel in _BY_PHONE & person.channels.keys()}
        if given and phone is not None:
            self.parked[phone] = given

    def _stronger(self, survivor: Record, absorbed: Record) -> Record:
        """The record that holds after a merge: of two alike the older date, of two that differ what the readings say."""
        if survivor.status == absorbed.status:
            return replace(survivor, at=min(survivor.at, absorbed.at), created=min(survivor.created, absorbed.created))
        if self._readings().merged_consent == "strictest":
            return survivor if survivor.status == "UNSUBSCRIBED" else absorbed
        return survivor if survivor.at > absorbed.at else absorbed
