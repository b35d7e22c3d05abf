"""A script for consent: profiles with subscriptions that calls change, and a hook that may answer instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from scripted_klaviyo import Asked, Says, Scripted, errors, quick, serving

from klaviyo_sync.core.consent_counts import CONSENT_FATES
from klaviyo_sync.core.consent_result import BIRTH, MEANINGS, UNSTATED, ConsentOutcome, dated_column, stated_column, zoneless_column
from klaviyo_sync.core.result import FATES, Fate, Outcome
from klaviyo_sync.core.sync import Channel, Consent
from klaviyo_sync.klaviyo.consents import send_consent

SUBSCRIBE = "/api/profile-subscription-bulk-create-jobs"
UNSUBSCRIBE = "/api/profile-subscription-bulk-delete-jobs"
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


def attributes(asked: Asked) -> dict[str, Any]:
    """The attributes of a call."""
    return orjson.loads(asked.body)["data"]["attributes"]


def people(asked: Asked) -> list[dict[str, Any]]:
    """The attributes of the profiles of a call."""
    return [profile["attributes"] for profile in attributes(asked)["profiles"]["data"]]


def held(profile: Mapping[str, Any], channel: str) -> dict[str, Any]:
    """What a profile's subscriptions hold for a channel."""
    medium, _, purpose = channel.partition("_")
    return profile["subscriptions"][medium][purpose]


def subscriptions(**channels: str | tuple[str, str] | Mapping[str, Any]) -> dict[str, Any]:
    """Subscriptions: channel=status, or (status, date), or what is held."""
    found: dict[str, Any] = {}
    for channel, said in channels.items():
        medium, _, purpose = channel.partition("_")
        status, date = said if isinstance(said, tuple) else (said, None)
        own = {"consent": status, "consent_timestamp": date, "method": "PREFERENCE_PAGE", "suppression": []}
        cell = said if isinstance(said, Mapping) else own
        found.setdefault(medium, {})[purpose] = dict(cell)
    return found


@dataclass
class Consenting:
    """Profiles, and what calls make of them: subscribes lift suppressions, as Klaviyo's do. `judge` sees each call first.

    `exact`: whether a search minds the case of letters.
    """

    profiles: list[dict[str, Any]] = field(default_factory=list)
    judge: Callable[[Asked], Says | None] = lambda _: None
    exact: bool = False

    def __call__(self, asked: Asked) -> Says:
        """The answer to one request."""
        if said := self.judge(asked):
            return said
        if asked.method == "GET":
            asks = re.fullmatch(r"any\((email|phone_number|external_id),\[(.*)\]\)", asked.query["filter"], re.DOTALL)
            assert asks
            identifier, listed = asks.groups()
            wanted = set(orjson.loads(f"[{listed}]"))
            found = [one for one in self.profiles if wanted & {one.get(identifier), self.exact or (one.get(identifier) or "").lower()}]
            data = [{"type": "profile", "id": str(number), "attributes": profile} for number, profile in enumerate(found)]
            return Says(200, {"data": data, "links": {"next": None}})
        historical = attributes(asked).get("historical_import", False)
        for position, sent in enumerate(people(asked)):
            for medium, purposes in sent["subscriptions"].items():
                for purpose, stated in purposes.items():
                    if refused := self.change(sent, f"{medium}_{purpose}", stated, position if historical else None):
                        return refused
        return Says(202)

    def change(self, sent: Mapping[str, Any], channel: str, stated: Mapping[str, str], backdated: int | None) -> Says | None:
        """Changes a profile, or refuses a subscribe that is older than an opt-out."""
        identifier = "email" if channel.startswith("email") else "phone_number"
        profile = next((one for one in self.profiles if one.get(identifier) == sent[identifier]), None)
        if profile is None:
            return None
        medium, _, purpose = channel.partition("_")
        cell = (
            profile["subscriptions"].setdefault(medium, {}).setdefault(purpose, {"consent": "NEVER_SUBSCRIBED", "consent_timestamp": None})
        )
        if backdated is not None and cell["consent"] == "UNSUBSCRIBED" and cell["consent_timestamp"] > stated["consented_at"]:
            pointer = f"/data/attributes/profiles/data/{backdated}/attributes/subscriptions/{medium}/{purpose}/consented_at"
            return Says(400, errors((pointer, "consented_at is before current unsubscription date")))
        cell |= {"consent": stated["consent"], "consent_timestamp": stated.get("consented_at", "2026-06-01T00:00:00Z"), "suppression": []}
        return None


def outcome(rows: Sequence[Mapping[str, Any]], fates: Sequence[Fate] = ()) -> Outcome:
    """An outcome whose rows state `channel=(meaning, date or None)`; all of them imported if nothing else is said."""
    channels: dict[Channel, None] = {name: None for row in rows for name in row if "_" in name and isinstance(row[name], tuple)}  # type: ignore[misc]
    columns: dict[str, Any] = {"window": pa.array([0] * len(rows), pa.int32())}
    for name in ("email", "phone_number", "external_id", BIRTH):
        columns[name] = pa.array([row.get(name) for row in rows], pa.string())
    for channel in channels:
        words = [row.get(channel, (None, None)) for row in rows]
        places = pa.array([None if word is None else MEANINGS.to_pylist().index(word) for word, _ in words], pa.int8())
        columns[stated_column(channel)] = pa.DictionaryArray.from_arrays(places, MEANINGS)
        columns[dated_column(channel)] = pa.array([date for _, date in words], pa.timestamp("us", "UTC"))
        columns[zoneless_column(channel)] = pa.repeat(pa.scalar(value=False), len(rows))
    positions = [FATES.index(fate) for fate in fates or ["imported"] * len(rows)]
    return Outcome(pa.table(columns), np.array(positions, np.uint8))


GUARD = Consent(email_marketing="e", sms_marketing="s")  # type: ignore[arg-type]
ADA, BOB = "ada@shop.example", "bob@shop.example"
PHONE = "+15005550006"
IN, OUT = ("subscribe", None), ("unsubscribe", None)
IN_MAY, OUT_MAY = ("subscribe", AT), ("unsubscribe", AT)
LATER, EARLIER = "2026-05-02T00:00:00Z", "2026-04-01T00:00:00Z"
PLACE = "/data/attributes/profiles/data"


def show(script: Consenting, rows: Sequence[Mapping[str, Any]]) -> None:
    """Gives Klaviyo the profiles of some rows that it does not have, as their import has done."""
    held = {one[name].lower() for one in script.profiles for name in ("email", "phone_number") if one[name]}
    for row in rows:
        if not held & {str(row.get(name)).lower() for name in ("email", "phone_number")}:
            script.profiles.append(profile(row.get("email"), row.get("phone_number")))


def run(
    script: Consenting, rows: Sequence[Mapping[str, Any]], consent: Consent = GUARD, fates: Sequence[Fate] = (), *, shown: bool = True
) -> tuple[ConsentOutcome, Scripted]:
    """Sends the consent of some rows; everything is accounted for. Klaviyo shows their profiles, or only those it has already."""
    if shown:
        show(script, rows)
    with serving(script) as server, quick(server.url) as (klaviyo, _):
        found = send_consent(klaviyo, outcome(rows, fates), consent)
    stated = sum(isinstance(value, tuple) for row in rows for value in row.values())
    counts = found.counts()
    assert all(one.balanced for one in counts.values())
    assert sum(one.stated for one in counts.values()) == stated
    assert found.requests == len(server.asked)
    return found, server


def fates(found: ConsentOutcome) -> list[dict[str, str]]:
    """The fate of each row's statements, by channel."""
    return [
        {channel: CONSENT_FATES[fate] for channel, fate in zip(found.channels, row, strict=True) if fate != UNSTATED}
        for row in found.fates.tolist()
    ]


def codes(found: ConsentOutcome) -> dict[tuple[int, str], str]:
    """The code of each reason."""
    return {key: reason.code for key, reason in found.reasons.items()}


def profile(email: str | None = None, phone: str | None = None, **channels: Any) -> dict[str, Any]:
    """A profile as Klaviyo holds it."""
    return {"email": email, "phone_number": phone, "subscriptions": subscriptions(**channels)}
