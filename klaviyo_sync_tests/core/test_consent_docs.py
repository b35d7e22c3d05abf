"""docs/consent.md keeps up with the table of decisions, the words, and the catalogue of reasons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from klaviyo_sync.core.consent import CHANNEL_IDENTIFIER
from klaviyo_sync.core.consent_reasons import CONSENT_CODES
from klaviyo_sync.core.consent_words import WORDS
from klaviyo_sync.core.decisions import RULES, Rule
from klaviyo_sync.core.issues import CODES, Code
from klaviyo_sync.klaviyo.limits import PROFILES
from klaviyo_sync.klaviyo.statuses import PER_CALL, WAITS
from klaviyo_sync.klaviyo.subscriptions import SUBSCRIBES, UNSUBSCRIBES

PAGE = (Path(__file__).parents[2] / "docs" / "consent.md").read_text(encoding="utf-8")

DATED = {"dated": ", dated", "undated": ", no date", "*": ""}
STATUS = {"SUBSCRIBED": "subscribed", "UNSUBSCRIBED": "unsubscribed", "unknown": "not readable", "*": "anything"}
HOLD = {"free": "no", "liftable": "opt-out, spam report, by hand", "final": "bounce, invalid address", "*": "yes or no"}
AGE = {"older": "earlier", "newer": "later", "same newer undated": "later, the same, not known", "*": "any"}
DONE = {
    "subscribe": ("the person is subscribed", "sent"),
    "unsubscribe": ("the person is unsubscribed", "sent"),
    "already": ("nothing: it is so", "already so"),
    "guard": ("nothing: the person stays as Klaviyo has them", "guarded"),
    "skip": ("nothing: what Klaviyo has is newer", "skipped"),
    "nothing": ("nothing", "nothing to do"),
}


def table(heading: str) -> list[list[str]]:
    """The lines of the first table under a heading, less its head."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = section[section.index("\n|") + 1 :].split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def told(rule: Rule) -> list[str]:
    """A line of the decisions as the page tells it."""
    mode = "" if rule.mode == "*" else f", `undated: {rule.mode}`"
    code = f"`{rule.code}`" if rule.code else ""
    return [f"{rule.meaning}{DATED[rule.dated]}{mode}", STATUS[rule.status], HOLD[rule.hold], AGE[rule.age], *DONE[rule.action], code]


def test_every_decision_has_its_line() -> None:
    """The page has the lines of the decisions, in their order, and no others."""
    expected = [told(rule) for rule in RULES]
    assert table("What happens on conflicts") == expected, "\n".join(f"| {' | '.join(line)} |" for line in expected)


@pytest.mark.parametrize("code", CONSENT_CODES.values(), ids=lambda code: code.code)
def test_every_reason_has_its_line(code: Code) -> None:
    """Each reason has one line, with the message and the advice of the catalogue."""
    name = f"`{code.code}`"
    assert [row for row in table("Reasons") if row[0] == name] == [[name, code.message, code.advice]]


def test_no_reason_is_made_up() -> None:
    """The page names no code that does not exist."""
    assert len(table("Reasons")) == len(CONSENT_CODES)
    named = set(re.findall(r"`(consent_[a-z_]+)`", PAGE))
    assert named <= {*CONSENT_CODES, *CODES}


def test_every_word_is_there() -> None:
    """What a word means stands beside it, and every channel has its identifier."""
    means = {"subscribe": "subscribes", "unsubscribe": "is unsubscribed", "nothing": "nothing"}
    for words, meaning in table("What each value does"):
        for word in re.findall(r"`([^`]+)`", words):
            known = WORDS.get(re.sub(r"[ _-]", "", word.lower()))
            assert means[known] in meaning if known else "an issue" in meaning
    assert all(f"`{channel}`" in PAGE for channel in CHANNEL_IDENTIFIER)


def test_what_it_costs() -> None:
    """The page says how many people go into each call, how many calls a minute has, and how long new profiles are waited for."""
    section = PAGE.split("\n## What is read first, and what it costs\n", 1)[1].split("\n## ", 1)[0]
    for number in (PER_CALL, PROFILES.tier.steady, UNSUBSCRIBES.most, SUBSCRIBES.most):
        assert f"{number:,}" in section
    assert f"{sum(WAITS):.0f} seconds" in section
