"""The sandbox's own addresses for consent: what people do in Klaviyo, where no call of ours has a part."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from klaviyo_sync.core.sync import CHANNELS, Channel
from klaviyo_sync.sandbox.answers import Answer
from klaviyo_sync.sandbox.request import Request
from klaviyo_sync.sandbox.state import Sandbox
from klaviyo_sync.sandbox.subscribing import named
from klaviyo_sync.sandbox.subscriptions import rendered

STATEMENT = 'A statement is an object with "person", "channel", "consent" (SUBSCRIBED or UNSUBSCRIBED) and, if it is not new, "at".'
SUPPRESSION = 'A suppression is an object with "email", "reason" and, if it is not new, "at".'


def plain(status: int, body: object) -> Answer:
    """An answer that is not in Klaviyo's form."""
    return Answer(status, orjson.dumps(body), content_type="application/json")


def _options(request: Request, names: tuple[str, ...], otherwise: str) -> dict[str, str]:
    options: Any = request.json()
    if not isinstance(options, dict) or not set(names) <= options.keys() <= {*names, "at"}:
        raise ValueError(otherwise)
    if not all(isinstance(value, str) for value in options.values()):
        raise ValueError(otherwise)
    return options


def _moment(options: dict[str, str]) -> datetime | None:
    text = options.get("at")
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _channel(name: str) -> Channel:
    found = named(name)
    if found is None:
        raise ValueError(f"{name!r} is not a channel. Channels: {', '.join(CHANNELS)}.")
    return found


def _state_consent(sandbox: Sandbox, request: Request) -> Answer:
    options = _options(request, ("person", "channel", "consent"), STATEMENT)
    says = {"SUBSCRIBED": sandbox.opt_in, "UNSUBSCRIBED": sandbox.opt_out}.get(options["consent"])
    if says is None:
        raise ValueError(STATEMENT)
    says(options["person"], _channel(options["channel"]), _moment(options))
    return Answer(204)


def _suppress(sandbox: Sandbox, request: Request) -> Answer:
    options = _options(request, ("email", "reason"), SUPPRESSION)
    sandbox.suppress(options["email"], options["reason"], _moment(options))
    return Answer(204)


def _confirm(sandbox: Sandbox, request: Request) -> Answer:
    options: Any = request.json() if request.read() else {}
    if not isinstance(options, dict) or not isinstance(options.get("person"), (str, type(None))) or not options.keys() <= {"person"}:
        raise ValueError('A confirmation is an object with "person", or empty for everybody.')
    return plain(200, {"confirmed": sandbox.confirm(options.get("person"))})


def _get_consent(sandbox: Sandbox, request: Request) -> Answer:
    """Everybody of whose consent something is held, in the form of Klaviyo's `subscriptions`; and how many are asked to confirm."""
    del request
    with sandbox.lock:
        sandbox.settle()
        people = [
            {
                "email": (held := sandbox.profiles.attributes(number)).get("email"),
                "phone_number": held.get("phone_number"),
                "subscriptions": rendered(sandbox.consents.of(number)),
            }
            for number in sandbox.consents.numbers()
        ]
        return plain(200, {"people": people, "pending": len(sandbox.consent_jobs.pending), "ignored": sandbox.consent_jobs.ignored})


CONSENT_CONTROLS: dict[tuple[str, str], Callable[[Sandbox, Request], Answer]] = {
    ("GET", "/sandbox/consent"): _get_consent,
    ("POST", "/sandbox/consent"): _state_consent,
    ("POST", "/sandbox/suppressions"): _suppress,
    ("POST", "/sandbox/confirmations"): _confirm,
}
