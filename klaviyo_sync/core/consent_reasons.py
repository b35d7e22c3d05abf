"""The catalogue of reasons for which a statement of consent was not carried out, and of Klaviyo's words for them.

Klaviyo publishes no list of these messages: the words were seen in practice or come from its changelog, and anything else is
`consent_refused` with Klaviyo's own words beside it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from klaviyo_sync.core.consent_counts import ConsentFate
from klaviyo_sync.core.issues import CODES, Code

UNDATED = "consent_date_not_sent"

CONSENT_CODES: dict[str, Code] = {
    code.code: code
    for code in (
        Code(
            "consent_guarded",
            "note",
            "The person is unsubscribed or suppressed in Klaviyo, and the subscribe has no date.",
            "Nothing; if the person really came back, give the statement a date later than the opt-out.",
        ),
        Code(
            "consent_suppressed",
            "note",
            "The person is subscribed in Klaviyo and yet suppressed, which no date of ours is known to lift.",
            "Lift the suppression in Klaviyo, if the person may be mailed again.",
        ),
        Code(
            "consent_undeliverable",
            "note",
            "The address is invalid or bounces, and Klaviyo mails it no more, whoever subscribes it.",
            "Correct the address.",
        ),
        Code(
            "consent_older",
            "note",
            "Klaviyo holds a newer statement of the person, or a newer suppression.",
            "Nothing: the newest statement wins.",
        ),
        Code(
            "consent_outweighed",
            "note",
            "Another row states something for the same address or number, and that statement counts.",
            "Nothing: the newest statement wins, and in doubt the opt-out.",
        ),
        Code(
            "consent_superseded",
            "note",
            "A row of a later window, or of another profile, has the address or number, and a subscribe goes out only with its profile.",
            "Nothing; if the person is to be subscribed, state it in the newest row.",
        ),
        Code("consent_unreadable", "note", "Klaviyo's present status could not be read, so nothing was sent.", "Correct the identifier."),
        Code(
            "consent_unseen",
            "cell",
            "Klaviyo does not show the imported profile yet, so its status is not known.",
            "Nothing: the window is asked for again.",
        ),
        Code(
            "consent_without_address",
            "cell",
            "Klaviyo shows the imported profile without the address or number that the consent is for.",
            "Correct the address or number: Klaviyo did not take it.",
        ),
        Code(
            UNDATED,
            "note",
            "The subscribe went out without its date, beside one that has none: Klaviyo takes one call per person in 30 minutes.",
            "Give every channel a timestamp column.",
        ),
        Code("consent_without_profile", "cell", "The profile itself was not imported.", "Correct what is said about the row."),
        Code(
            "channel_not_set_up",
            "cell",
            "The Klaviyo account is not set up for the channel.",
            "Set it up in Klaviyo, or unmap the channel.",
        ),
        Code("region_without_sender", "cell", "The Klaviyo account cannot text the number's country.", "Add a sending number for it."),
        Code("age_gated", "cell", "The Klaviyo account wants a valid date of birth.", "Map consent.age_gated_date_of_birth."),
        Code("consent_refused", "cell", "Klaviyo refused the consent.", "Correct what the message names."),
    )
}

ALL_CODES: dict[str, Code] = {**CODES, **CONSENT_CODES}


class Saying(NamedTuple):
    """What a message of Klaviyo's means."""

    words: re.Pattern[str]
    fate: ConsentFate
    code: str


def _saying(words: str, fate: ConsentFate, code: str = "") -> Saying:
    return Saying(re.compile(words, re.IGNORECASE), fate, code)


SAYINGS: tuple[Saying, ...] = (
    _saying(r"before (the )?current unsubscri", "skipped", "consent_older"),
    _saying(r"after (the )?current subscription|already subscribed", "already"),
    _saying(r"age.?gat|date of birth|birth ?date", "refused", "age_gated"),
    _saying(r"configuration is required|not (set up|configured|enabled)", "refused", "channel_not_set_up"),
    _saying(r"region|country|sending number|sender", "refused", "region_without_sender"),
    _saying(r"", "refused", "consent_refused"),
)


def saying(detail: str) -> Saying:
    """What a message means; the last of the catalogue takes any."""
    return next(one for one in SAYINGS if one.words.search(detail))
