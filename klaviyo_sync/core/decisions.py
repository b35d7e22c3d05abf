"""Decisions: what a statement of consent becomes, given what Klaviyo holds. The newest statement wins; in doubt the opt-out does.

Klaviyo's subscribe call lifts the suppressions UNSUBSCRIBE, SPAM_REPORT and USER_SUPPRESSED
(https://developers.klaviyo.com/en/reference/bulk_subscribe_profiles), so it would bring back whoever opted out since the
warehouse last looked. HARD_BOUNCE and INVALID_EMAIL it leaves (https://help.klaviyo.com/hc/en-us/articles/115005246108).
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Literal, NamedTuple

Stated = Literal["subscribe", "unsubscribe"]
Mode = Literal["guard", "ignore", "resubscribe"]
Status = Literal["SUBSCRIBED", "UNSUBSCRIBED", "NEVER_SUBSCRIBED", "unknown"]
Hold = Literal["free", "liftable", "final"]
Age = Literal["older", "same", "newer", "undated"]
Action = Literal["subscribe", "unsubscribe", "already", "guard", "skip", "nothing"]

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
    """What a row states for one channel; `at` is None when it is undated."""

    meaning: Stated
    at: datetime | None = None


class Rule(NamedTuple):
    """One line of the table. A column holds the values that it applies to, separated by blanks; `*` is any."""

    meaning: str
    dated: str
    mode: str
    status: str
    hold: str
    age: str
    action: Action


# The first line that applies decides. `age` is that of what Klaviyo holds against the statement, seen from its date.
RULES: tuple[Rule, ...] = (
    Rule("unsubscribe", "*", "*", "UNSUBSCRIBED", "*", "*", "already"),
    Rule("unsubscribe", "dated", "*", "SUBSCRIBED", "*", "newer", "skip"),
    Rule("unsubscribe", "*", "*", "*", "*", "*", "unsubscribe"),
    Rule("subscribe", "undated", "ignore", "*", "*", "*", "nothing"),
    Rule("subscribe", "undated", "resubscribe", "*", "*", "*", "subscribe"),
    Rule("subscribe", "undated", "guard", "UNSUBSCRIBED unknown", "*", "*", "guard"),
    Rule("subscribe", "undated", "guard", "*", "liftable final", "*", "guard"),
    Rule("subscribe", "undated", "guard", "SUBSCRIBED", "free", "*", "already"),
    Rule("subscribe", "undated", "guard", "NEVER_SUBSCRIBED", "free", "*", "subscribe"),
    Rule("subscribe", "dated", "*", "UNSUBSCRIBED", "*", "same newer undated", "skip"),
    Rule("subscribe", "dated", "*", "*", "liftable", "same newer undated", "skip"),
    Rule("subscribe", "dated", "*", "SUBSCRIBED", "free final", "*", "already"),
    Rule("subscribe", "dated", "*", "*", "*", "*", "subscribe"),
)


class Case(NamedTuple):
    """What the table is asked: a fact for each of its columns but the last."""

    meaning: Stated
    dated: Literal["dated", "undated"]
    mode: Mode
    status: Status
    hold: Hold
    age: Age


@cache
def action(case: Case) -> Action:
    """What the table says."""
    return next(rule.action for rule in RULES if all(cell == "*" or fact in cell.split() for fact, cell in zip(case, rule, strict=False)))


def against(statement: Statement, present: Present) -> Age:
    """When Klaviyo came to hold what speaks against the statement, seen from the statement's date; `undated` if that is not known."""
    if statement.meaning == "unsubscribe":
        dates = [present.at] if present.status == "SUBSCRIBED" else []
    else:
        dates = [one.at for one in present.suppressions if one.reason not in FINAL]
        dates += [present.at] if present.status == "UNSUBSCRIBED" else []
    known = [date for date in dates if date is not None]
    if statement.at is None or not known or len(known) < len(dates):
        return "undated"
    newest = max(known)
    return "same" if newest == statement.at else "newer" if newest > statement.at else "older"


def decide(statement: Statement, present: Present, mode: Mode) -> Action:
    """What becomes of a statement.

    `subscribe` and `unsubscribe` are to be sent; `already` is so; `guard`: an undated subscribe may not undo an opt-out;
    `skip`: what Klaviyo holds is newer; `nothing` is asked for. A dated subscribe whose status was not read is sent: Klaviyo
    compares the dates itself, and refuses it when it is older than an opt-out.
    """
    dated = "undated" if statement.at is None else "dated"
    return action(Case(statement.meaning, dated, mode, present.status, present.hold, against(statement, present)))


def needs_status(statement: Statement, mode: Mode, *, mixed: bool = False) -> bool:
    """Whether Klaviyo's present status must be read first: for undated subscribes in guard mode, and for dated unsubscribes.

    `mixed` people also state an undated subscribe for another channel. One call must carry both, and an undated call has no
    dates for Klaviyo to compare, so theirs are compared here.
    """
    if statement.meaning == "unsubscribe":
        return statement.at is not None
    return mode == "guard" if statement.at is None else mixed


def mixes(statements: tuple[Statement, ...], mode: Mode) -> bool:
    """Whether a person states both dated and undated subscribes that may go out."""
    dated = {statement.at is not None for statement in statements if statement.meaning == "subscribe"}
    return len(dated) > 1 and mode != "ignore"
