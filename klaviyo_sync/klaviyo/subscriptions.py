"""Subscribe and unsubscribe calls: each sent until Klaviyo takes it, less what it names as wrong, one channel at a time.

https://developers.klaviyo.com/en/reference/bulk_subscribe_profiles and
https://developers.klaviyo.com/en/reference/bulk_unsubscribe_profiles. A 400 has processed nothing, so the rest is sent again.
A person is never in two calls that were both accepted: Klaviyo ignores a second one within 30 minutes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Event
from typing import Literal

import orjson

from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER
from klaviyo_sync.core.consent_counts import ConsentFate
from klaviyo_sync.core.consent_reasons import saying
from klaviyo_sync.core.consent_result import BIRTH, Ledger
from klaviyo_sync.core.errors import Refused
from klaviyo_sync.core.result import Reason
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.klaviyo.answers import Answer, ApiError, Rejection
from klaviyo_sync.klaviyo.attribution import LONGEST_REASON, PLACE, place
from klaviyo_sync.klaviyo.client import Klaviyo, Request
from klaviyo_sync.klaviyo.limits import SUBSCRIBE, UNSUBSCRIBE, Endpoint
from klaviyo_sync.klaviyo.side_by_side import side_by_side
from klaviyo_sync.klaviyo.submission import BLIND_LIMIT, NOT_FOUND, ROUNDS, TOO_LARGE

# What Klaviyo wants of text messages, and is not known to want of WhatsApp.
ABOUT_TEXTS = frozenset({"region_without_sender", "age_gated"})

Verdict = tuple[ConsentFate, Reason]
Asks = list["Ask"]


@dataclass(frozen=True)
class Kind:
    """A kind of call. `historical` ones carry dates, and start no double opt-in."""

    endpoint: Endpoint
    type: str
    consent: Literal["SUBSCRIBED", "UNSUBSCRIBED"]
    most: int
    historical: bool = False


UNSUBSCRIBES = Kind(UNSUBSCRIBE, "profile-subscription-bulk-delete-job", "UNSUBSCRIBED", 100)
SUBSCRIBES = Kind(SUBSCRIBE, "profile-subscription-bulk-create-job", "SUBSCRIBED", 1_000)
DATED_SUBSCRIBES = replace(SUBSCRIBES, historical=True)


@dataclass(frozen=True)
class Ask:
    """One person in a call: the row, its identifiers and date of birth, and the channels with their dates.

    `held` are channels left out of the call because of `doubt`: one of the person's channels is at fault, but not said which. `beside` are
    identifiers that the call names whatever its channels, where a profile may come of it.
    """

    row: int
    identifiers: Mapping[str, str]
    birth: str | None
    channels: Mapping[Channel, datetime | None]
    held: Mapping[Channel, datetime | None] = field(default_factory=dict)
    doubt: Verdict | None = None
    beside: Mapping[str, str] = field(default_factory=dict)

    def profile(self, kind: Kind) -> dict[str, object]:
        """The person as the call carries it, with the identifiers of its channels and those `beside`: they are written to the profile."""
        subscriptions: dict[str, dict[str, dict[str, str]]] = {}
        for channel, at in self.channels.items():
            medium, _, purpose = channel.partition("_")
            dated = {"consented_at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000Z", "Z")} if kind.historical and at else {}
            subscriptions.setdefault(medium, {})[purpose] = {"consent": kind.consent, **dated}
        needed = dict.fromkeys(CHANNEL_IDENTIFIER[channel] for channel in self.channels)
        own: dict[str, object] = {**{name: self.identifiers[name] for name in needed}, **self.beside}
        if self.birth is not None and "phone_number" in needed and kind.consent == "SUBSCRIBED":
            own[BIRTH] = self.birth
        return {"type": "profile", "attributes": {**own, "subscriptions": subscriptions}}

    def without(self, channels: Iterable[Channel]) -> Ask | None:
        """The person less some channels: with the held ones in their place once none is left, None when nothing is."""
        gone = set(channels)
        left = {channel: at for channel, at in self.channels.items() if channel not in gone}
        if left:
            return replace(self, channels=left)
        return replace(self, channels=self.held, held={}, doubt=None) if self.held else None


def body(kind: Kind, asks: Sequence[Ask], list_id: str | None, source: str | None) -> bytes:
    """The body of one call. Never a list on unsubscribes: people who are not its members would be unsubscribed from everything."""
    given: dict[str, object] = {}
    data: dict[str, object] = {"type": kind.type, "attributes": given}
    if kind.consent == "SUBSCRIBED":
        if source is not None:
            given["custom_source"] = source
        if kind.historical:
            given["historical_import"] = True
        if list_id is not None:
            data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
    given["profiles"] = {"data": [ask.profile(kind) for ask in asks]}
    return orjson.dumps({"data": data})


@dataclass
class Calls:
    """The sending of a batch's asks. Every answer but 202 takes a channel out, halves a call or divides a person: so it ends."""

    klaviyo: Klaviyo
    ledger: Ledger
    list_id: str | None = None
    source: str | None = None
    stop: Event | None = None
    accepted: bool = False
    blind: int = 0

    def send(self, kind: Kind, asks: Asks) -> None:
        """Returns when the fate of every ask is settled. Errors as for `Klaviyo.request`; `Refused` also when the list is gone."""
        parts = deque((asks[start : start + kind.most], 1) for start in range(0, len(asks), kind.most))
        for (part, round_), (answer, size) in side_by_side(lambda item: self._call(kind, item[0]), parts):
            self.ledger.requests += answer.attempts
            self.ledger.bytes += answer.attempts * size
            if isinstance(answer, Answer):
                self.accepted = True
                self._taken(part)
            else:
                parts.extend(self._rest(kind, part, round_, answer))

    def _call(self, kind: Kind, part: Asks) -> tuple[Answer | Rejection, int]:
        """Klaviyo's answer to one call, and the size of its body."""
        content = body(kind, part, self.list_id, self.source)
        return self.klaviyo.request(Request(kind.endpoint, body=content), self.stop), len(content)

    def _taken(self, part: Asks) -> None:
        for ask in part:
            for channel in ask.channels:
                self.ledger.settle(ask.row, channel, "sent")
            for channel in ask.held:
                assert ask.doubt is not None
                self.ledger.settle(ask.row, channel, *ask.doubt)

    def _rest(self, kind: Kind, part: Asks, round_: int, answer: Rejection) -> list[tuple[Asks, int]]:
        """What is to be sent after a rejection, each with the number of its round."""
        check_call(kind, self.list_id, answer)
        if answer.status != TOO_LARGE:
            named = self._named(part, answer)
            left = self._for_all(part, answer) if named is None else named
            if left is not None:
                if not left:
                    return []
                return [(left, round_ + 1)] if round_ < ROUNDS or len(left) == 1 else [(half, 1) for half in halves(left)]
        if len(part) > 1:
            return [(half, 1) for half in halves(part)]
        return [(left, 1)] if (left := self._alone(part[0], answer)) else []

    def _named(self, part: Asks, answer: Rejection) -> Asks | None:
        """The part less what the errors name; None when they name nobody."""
        changed: dict[int, Ask | None] = {}
        for error in answer.errors:
            at = place(error.pointer, len(part))
            if at is not None and at not in changed:
                wrong = [other for other in answer.errors if place(other.pointer, len(part)) == at]
                changed[at] = self._judged(part[at], wrong)
        if not changed:
            return None
        kept = (changed.get(position, ask) for position, ask in enumerate(part))
        return [ask for ask in kept if ask is not None]

    def _for_all(self, part: Asks, answer: Rejection) -> Asks | None:
        """The part less a medium that Klaviyo says the account is not set up for; None when it says something else.

        The message is about people known by phone number only, so these go first; the others only if it comes again.
        """
        fate = verdict(answer.errors[0]) if answer.errors else None
        if fate is None or fate[1].code != "channel_not_set_up":
            return None
        medium = next((name for name in ("whatsapp", "sms") if name in fate[1].detail.lower()), None)
        reached: dict[int, list[Channel]] = {}  # by position in the part: a row may be in two calls
        for position, ask in enumerate(part):
            found: list[Channel] = [channel for channel in ask.channels if channel.partition("_")[0] == medium]
            if found:
                reached[position] = found
        alone = {position for position in reached if "email_marketing" not in part[position].channels} or set(reached)
        if not alone:
            return None
        left = (self._dropped(ask, reached[position], fate) if position in alone else ask for position, ask in enumerate(part))
        return [ask for ask in left if ask is not None]

    def _alone(self, ask: Ask, answer: Rejection) -> Asks | None:
        """What is left of a person who was refused alone, with nothing named."""
        self.blind += 1
        if self.blind >= BLIND_LIMIT and not self.accepted:
            raise Refused(
                f"Klaviyo refused the consent of {self.blind} people one by one, accepted none, and named no cause: {answer.heading}. "
                "The requests themselves are at fault: report this to the authors of klaviyo_sync."
            )
        left = self._judged(ask, answer.errors or [ApiError("", "", f"Refused with status {answer.status}, no reason given.", "")])
        return [left] if left else None

    def _judged(self, ask: Ask, errors: Sequence[ApiError]) -> Ask | None:
        """The person less the channels that the errors name; divided, when they name none and it could be either identifier's."""
        wrong: dict[Channel, Verdict] = {}
        for error in errors:
            for channel in blamed(error, ask.channels):
                wrong.setdefault(channel, verdict(error))
        if wrong:
            left: Ask | None = ask
            for channel, fate in wrong.items():
                left = self._dropped(left, [channel], fate) if left else None
            return left
        fate = verdict(errors[0])
        mailed = {channel: at for channel, at in ask.channels.items() if CHANNEL_IDENTIFIER[channel] == "email"}
        if mailed and len(mailed) < len(ask.channels):
            rest = {channel: at for channel, at in ask.channels.items() if channel not in mailed}
            return replace(ask, channels=mailed, held=rest, doubt=fate)
        return self._dropped(ask, list(ask.channels), fate)

    def _dropped(self, ask: Ask, channels: Sequence[Channel], fate: Verdict) -> Ask | None:
        for channel in channels:
            self.ledger.settle(ask.row, channel, *fate)
        return ask.without(channels)


def halves(asks: Asks) -> tuple[Asks, Asks]:
    """Both halves."""
    return asks[: len(asks) // 2], asks[len(asks) // 2 :]


def verdict(error: ApiError) -> Verdict:
    """What Klaviyo's message makes of a statement, with its own words."""
    detail = (error.detail or error.title)[:LONGEST_REASON]
    means = saying(detail)
    return means.fate, Reason(means.code, None, detail)


def blamed(error: ApiError, channels: Iterable[Channel]) -> list[Channel]:
    """Those of a person's channels that an error is about: by its pointer, else by its words; none when neither says."""
    own = list(channels)
    leaf = PLACE.split(error.pointer)[-1] if PLACE.search(error.pointer) else ""
    for words in (leaf.replace("/", "_").lower(), error.detail.lower()):
        named: list[Channel] = [channel for channel in own if channel in words]
        named = named or [channel for channel in own if channel.partition("_")[0] in words]
        if not named and ("phone" in words or "birth" in words):
            named = [channel for channel in own if CHANNEL_IDENTIFIER[channel] == "phone_number"]
            if saying(error.detail).code in ABOUT_TEXTS:
                named = [channel for channel in named if channel.startswith("sms")] or named
        if named:
            return named
    return own if len(own) == 1 else []


def check_call(kind: Kind, list_id: str | None, answer: Rejection) -> None:
    """Returns when a rejection is about people.

    Raises:
        Refused: It is about the list, or about the call as a whole.
    """
    about_list = any("/relationships/list" in error.pointer for error in answer.errors)
    if not about_list and answer.status != NOT_FOUND:
        return
    named = list_id is not None and kind.consent == "SUBSCRIBED"
    advice = f"The sync subscribes people to list {list_id}: check that it still exists." if named else "Check klaviyo.base_url."
    raise Refused(f"Klaviyo refused the consent: {answer.safe}. {advice}")
