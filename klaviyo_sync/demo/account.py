"""The Klaviyo account of the demo: the sandbox, and questions to it over HTTP like anybody's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from klaviyo_sync.demo.expectation import NOT_STORED, Person, Refuser
from klaviyo_sync.sandbox import Sandbox, serve

ACCOUNT = "SANDBX"
API_KEY = "pk_demo_of_the_sandbox"
HEADERS = {"Authorization": f"Klaviyo-API-Key {API_KEY}", "revision": "2026-07-15", "Accept": "application/vnd.api+json"}
TIMEOUT = 30
TOO_MANY = 429
WRITTEN_DOWN = {"created", "updated", "last_event_date", "subscriptions"}


@contextmanager
def account(port: int = 0) -> Iterator[str]:
    """The address of a running sandbox with Klaviyo's limits. Once it answers 503, and some profiles its import jobs cannot store."""
    sandbox = Sandbox(account=ACCOUNT, job_seconds=(0.2, 0.8))
    sandbox.faults.add("503", endpoint="bulk_import_profiles", skip=2)
    sandbox.faults.add("row", containing=NOT_STORED, detail="The profile could not be stored: the demo's sandbox fails it on purpose.")
    with serve(sandbox, port=port) as server:
        yield server.url


class Questions:
    """What the account holds, asked over its public API (https://developers.klaviyo.com/en/reference/get_profiles)."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **params: str) -> Any:
        """The `data` of an answer."""
        with direct_session() as session:
            answer = session.get(f"{self.url}{path}", params=params, headers=HEADERS, timeout=TIMEOUT)
        answer.raise_for_status()
        return answer.json()["data"]

    def everybody(self) -> Iterator[str]:
        """Every profile as a line of JSON, sorted, without what tells one account or one hour from another."""
        found = []
        address: str | None = f"{self.url}/api/profiles?page[size]=100&additional-fields[profile]=subscriptions"
        with direct_session() as session:
            while address:
                answer = session.get(address, headers=HEADERS, timeout=TIMEOUT)
                if answer.status_code == TOO_MANY:
                    time.sleep(float(answer.headers.get("Retry-After", "1")))
                    continue
                answer.raise_for_status()
                page = answer.json()
                found += [timeless(one["attributes"]) for one in page["data"]]
                address = page["links"]["next"]
        yield from sorted(json.dumps(one, sort_keys=True, ensure_ascii=False) for one in found)

    def person(self, email: str) -> Person | None:
        """What the account knows of someone, or None when it knows nobody of this address."""
        found = self.get("/api/profiles", filter=f'equals(email,"{email}")')
        if not found:
            return None
        attributes = found[0]["attributes"]
        location, properties = attributes.get("location") or {}, attributes.get("properties") or {}
        return Person(
            email=attributes.get("email"),
            first_name=attributes.get("first_name"),
            phone_number=attributes.get("phone_number"),
            city=location.get("city"),
            balance=properties.get("Loyalty_Balance"),
            segments=properties.get("Segments"),
            churn_score=properties.get("Churn_Score"),
            audiences=properties.get("Audiences"),
        )

    def consent(self, email: str) -> dict[str, str]:
        """What the account holds of someone's consent, by channel; empty when it knows nobody of this address."""
        found = self.get("/api/profiles", filter=f'equals(email,"{email}")', **{"additional-fields[profile]": "subscriptions"})
        held = found[0]["attributes"]["subscriptions"] if found else {}
        return {f"{medium}_marketing": held[medium]["marketing"]["consent"] for medium in ("email", "sms") if medium in held}

    def members(self, list_id: str) -> int:
        """How many profiles a list has."""
        return self.get(f"/api/lists/{list_id}", **{"additional-fields[list]": "profile_count"})["attributes"]["profile_count"]


def timeless(attributes: dict[str, Any]) -> dict[str, Any]:
    """A profile's attributes, less the moments at which Klaviyo wrote something down; of consent what holds."""
    consent = {
        f"{medium}_{purpose}": held[purpose]["consent"]
        for medium, held in attributes["subscriptions"].items()
        for purpose in ("marketing", "transactional")
        if held and "consent" in (held.get(purpose) or {})
    }
    return {name: value for name, value in attributes.items() if name not in WRITTEN_DOWN} | {"subscriptions": consent}


def refuse(url: str, refuser: Refuser) -> None:
    """Someone becomes a profile of the account and then opts out by their own hand: of mail, and of texts if they gave a number."""
    attributes = {name: value for name, value in refuser._asdict().items() if value is not None}
    post(f"{url}/api/profile-import", {"data": {"type": "profile", "attributes": attributes}})
    for channel, person in (("email_marketing", refuser.email), ("sms_marketing", refuser.phone_number)):
        if person is not None:
            post(f"{url}/sandbox/consent", {"person": person, "channel": channel, "consent": "UNSUBSCRIBED"})


def post(address: str, body: object) -> None:
    """Sends JSON; raises when it was not taken."""
    with direct_session() as session:
        session.post(address, json=body, headers=HEADERS, timeout=TIMEOUT).raise_for_status()


def direct_session() -> requests.Session:
    """A session that uses no proxy: the sandbox listens on this machine."""
    session = requests.Session()
    session.trust_env = False
    return session
