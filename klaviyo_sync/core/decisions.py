"""Decisions: what a statement of consent becomes, given what Klaviyo holds. The newest statement wins; in doubt the opt-out does.

Klaviyo's subscribe call lifts the suppressions UNSUBSCRIBE, SPAM_REPORT and USER_SUPPRESSED
(https://developers.klaviyo.com/en/reference/bulk_subscribe_profiles), so it would bring back whoever opted out since the
warehouse last looked. HARD_BOUNCE and INVALID_EMAIL it leaves (https://help.klaviyo.com/hc/en-us/articles/115005246108).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Literal, NamedTuple

from klaviyo_sync.core.consent_dates import WIDEST_OFFSET

Stated = Literal["subscribe", "unsubscribe"]
Mode = Literal["guard", "ignore", "resubscribe"]
Status = Literal["SUBSCRIBED", "UNSUBSCRIBED", "NEVER_SUBSCRIBED", "unknown"]
Hold = Literal["free", "liftable", "final"]
Age = Literal["older", "same", "newer", "undated"]
Action = Literal["subscribe", "unsubscribe", "already", "guard", "skip", "nothing"]

A_MOMENT = timedelta(seconds=1)
FINAL = frozenset({"HARD_BOUNCE", "INVALID_EMAIL"})


class Suppression(NamedTuple):
    """Why Klaviyo mails a profile no more, and since when."""

    reason: str
    at: datetime | None


class Present(NamedTuple):
    """What Klaviyo holds about one channel of a profile: status, since when, and the suppressions (e-mail only)."""

    status: Status = "unknown"
    at: datetime | None = None
    suppressions: tuple[Suppression, ...] = ()

    @property
    def hold(self) -> Hold:
        """Whether a suppression stands, and whether a subscribe would lift it. A reason we do not know counts as liftable."""
        if any(one.reason not in FINAL for one in self.suppressions):
            return "liftable"
        return "final" if self.suppressions else "free"


class Statement(NamedTuple):
    """What a row states for one channel; `at` is None when it is undated. `zoneless`: its date has no zone."""

    meaning: Stated
    at: datetime | None = None
    zoneless: bool = False

    @property
    def compared_at(self) -> datetime | None:
        """The date that is compared: of a subscribe without a zone the earliest possible; that of an opt-out is the latest already."""
        return self.at - WIDEST_OFFSET if self.at is not None and self.zoneless and self.meaning == "subscribe" else self.at


class Rule(NamedTuple):
    """One line of the table. A column holds the values that it applies to, separated by blanks; `*` is any.

    `code` is the reason, from the catalogue of consent_reasons, for what is not sent though it could be.
    """

    meaning: str
    dated: str
    mode: str
    status: str
    hold: str
    age: str
    action: Action
    code: str = ""


# The first line that applies decides. `age` is that of what Klaviyo holds against the statement, seen from its date.
RULES: tuple[Rule, ...] = (
    Rule("unsubscribe", "dated", "*", "SUBSCRIBED", "*", "newer", "skip", "consent_older"),
    Rule("unsubscribe", "dated", "*", "UNSUBSCRIBED", "*", "older", "unsubscribe"),
    Rule("unsubscribe", "*", "*", "UNSUBSCRIBED", "*", "*", "already"),
    Rule("unsubscribe", "*", "*", "*", "*", "*", "unsubscribe"),
    Rule("subscribe", "undated", "ignore", "*", "*", "*", "nothing"),
    Rule("subscribe", "undated", "resubscribe", "*", "*", "*", "subscribe"),
    Rule("subscribe", "*", "*", "unknown", "*", "*", "guard", "consent_unreadable"),
    Rule("subscribe", "*", "*", "*", "final", "*", "guard", "consent_undeliverable"),
    Rule("subscribe", "undated", "*", "UNSUBSCRIBED", "*", "*", "guard", "consent_guarded"),
    Rule("subscribe", "undated", "*", "*", "liftable", "*", "guard", "consent_guarded"),
    Rule("subscribe", "dated", "*", "UNSUBSCRIBED", "*", "same newer undated", "skip", "consent_older"),
    Rule("subscribe", "dated", "*", "*", "liftable", "same newer undated", "skip", "consent_older"),
    Rule("subscribe", "dated", "*", "SUBSCRIBED", "liftable", "older", "guard", "consent_suppressed"),
    Rule("subscribe", "*", "*", "SUBSCRIBED", "free", "*", "already"),
    Rule("subscribe", "*", "*", "*", "*", "*", "subscribe"),
)


class Case(NamedTuple):
    """What the table is asked: a fact for each of its columns but the last two."""

    meaning: Stated
    dated: Literal["dated", "undated"]
    mode: Mode
    status: Status
    hold: Hold
    age: Age


@cache
def rule(case: Case) -> Rule:
    """The line that decides."""
    return next(line for line in RULES if all(cell == "*" or fact in cell.split() for fact, cell in zip(case, line, strict=False)))


def against(statement: Statement, present: Present) -> Age:
    """When Klaviyo came to hold what a statement is measured against, seen from its date; `undated` if that is not known.

    For a subscribe that is the latest opt-out or suppression, for an unsubscribe the consent or opt-out that is held. Dates in the
    same second are the same: Klaviyo shows some of them without the fraction.
    """
    if statement.meaning == "unsubscribe":
        dates = [present.at] if present.status in ("SUBSCRIBED", "UNSUBSCRIBED") else []
    else:
        dates = [one.at for one in present.suppressions if one.reason not in FINAL]
        dates += [present.at] if present.status == "UNSUBSCRIBED" else []
    known = [date for date in dates if date is not None]
    said = statement.compared_at
    if said is None or not known or len(known) < len(dates):
        return "undated"
    newest = max(known)
    if abs(newest - said) < A_MOMENT:
        return "same"
    return "newer" if newest > said else "older"


def decide(statement: Statement, present: Present, mode: Mode) -> Rule:
    """The line of the table that says what becomes of a statement.

    `subscribe` and `unsubscribe` are to be sent; `already` is so; `guard`: the person stays as Klaviyo has them;
    `skip`: what Klaviyo holds is newer, or as old; `nothing` is asked for.
    """
    dated = "undated" if statement.at is None else "dated"
    return rule(Case(statement.meaning, dated, mode, present.status, present.hold, against(statement, present)))


def needs_status(statement: Statement, mode: Mode) -> bool:
    """Whether Klaviyo's present status must be read first: for whatever has a date, and for undated subscribes in guard mode.

    Klaviyo compares a dated subscribe with opt-outs itself, but is not known to compare it with suppressions, which it lifts.
    """
    return statement.at is not None or (statement.meaning == "subscribe" and mode == "guard")
