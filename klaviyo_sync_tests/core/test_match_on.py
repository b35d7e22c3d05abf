"""Which identifiers match rows, given what is mapped and what `match_on` names."""

from __future__ import annotations

from typing import Any

import pytest

from klaviyo_sync.core.sync import Sync

BASE = {
    "name": "people",
    "connection": "local",
    "dataset": "people",
    "modified_at": "changed",
    "frequency": "hourly",
    "start": "2026-01-01",
}


@pytest.mark.parametrize(
    ("profile", "keys", "matching"),
    [
        (("email", "phone_number", "external_id", "id"), {}, ("id", "external_id", "email")),
        (("email", "phone_number"), {}, ("email",)),
        (("phone_number",), {}, ()),
        (("email", "external_id"), {"match_on": ["external_id"]}, ("external_id",)),
        (("email", "external_id"), {"match_on": ["email", "external_id"]}, ("external_id", "email")),
    ],
)
def test_rows_match_on_what_is_mapped(profile: tuple[str, ...], keys: dict[str, Any], matching: tuple[str, ...]) -> None:
    """By default rows match on id, external_id and email as mapped, else on those that match_on names; never on the phone number."""
    sync = Sync.model_validate({**BASE, "profile": dict.fromkeys(profile, "column"), **keys})
    assert sync.matching == matching


def test_klaviyo_is_asked_about_shared_numbers_by_default() -> None:
    """A phone number that says nothing else is asked about in Klaviyo."""
    sync = Sync.model_validate({**BASE, "profile": {"email": "email", "phone_number": "phone"}})
    assert sync.profile["phone_number"].shared == "ask"
