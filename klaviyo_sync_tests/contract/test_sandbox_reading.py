"""Reading accounts, lists and profiles from the sandbox, and writing profiles one by one."""

from __future__ import annotations

from typing import Any

import pytest
from api_client import Api, Clock, errors

IMPORT = "/api/profile-import"


def send(api: Api, attributes: dict[str, Any], **more: Any) -> Any:
    """The answer to a profile that is created or updated."""
    return api.post(IMPORT, {"data": {"type": "profile", "attributes": attributes, **more}})


def change(api: Api, id_: str, attributes: dict[str, Any]) -> Any:
    """The answer to a profile that is updated."""
    return api.patch(f"/api/profiles/{id_}", {"data": {"type": "profile", "id": id_, "attributes": attributes}})


def test_the_account_is_a_list_of_one(either: Api) -> None:
    """Klaviyo's shape: six characters of id, and what a connection test needs."""
    (account,) = either.get("/api/accounts").json()["data"]

    assert len(account["id"]) == 6
    assert account["attributes"]["test_account"] is True
    assert {"timezone", "preferred_currency", "contact_information"} <= account["attributes"].keys()


def test_an_unknown_list_is_not_found(either: Api) -> None:
    """404 in the recorded words."""
    answer = either.get("/api/lists/NOPE01")
    (error,) = answer.json()["errors"]

    assert (answer.status_code, error["code"], error["title"]) == (404, "not_found", "Not found.")
    assert error["detail"] == "A list with id `NOPE01` does not exist."
    assert error["source"] == {"pointer": "/data/"}


def test_lists_are_found_by_id_and_name(api: Api) -> None:
    """Filters, and the opt-in process that decides how consent is taken."""
    by_id = api.get("/api/lists", filter="any(id,['Y6nRLr','NOPE01'])").json()["data"]
    by_name = api.get("/api/lists", filter='equals(name,"Loyalty members")').json()["data"]

    assert [(one["id"], one["attributes"]["opt_in_process"]) for one in by_id] == [("Y6nRLr", "double_opt_in")]
    assert [one["id"] for one in by_name] == ["VRgFBd"]


def test_a_page_has_ten_lists_at_most(api: Api) -> None:
    """A greater page size is refused, and links lead on and back."""
    for number in range(12):
        api.post("/sandbox/lists", {"id": f"L{number:05}", "name": "List"})
    first = api.get("/api/lists").json()
    second = api.get(first["links"]["next"]).json()

    assert errors(api.get("/api/lists", page_size=11)) == [("invalid", "page[size]")]
    assert (len(first["data"]), len(second["data"]), second["links"]["next"]) == (10, 4, None)
    assert api.get(second["links"]["prev"]).json()["data"] == first["data"]


def test_a_profile_is_created_and_then_updated(api: Api) -> None:
    """201 and then 200, with the whole profile and its id."""
    created, updated = send(api, {"email": "a@example.com"}), send(api, {"email": "A@example.com", "title": "Dr"})

    assert (created.status_code, updated.status_code) == (201, 200)
    assert created.json()["data"]["id"] == updated.json()["data"]["id"]
    assert updated.json()["data"]["attributes"]["title"] == "Dr"


def test_null_clears_and_absence_keeps(api: Api) -> None:
    """Profile by profile, null empties a field, a place in the location or a property; what is left out stays."""
    full = {
        "email": "a@example.com",
        "title": "Dr",
        "organization": "A",
        "location": {"city": "Bonn", "zip": "1"},
        "properties": {"x": 1, "y": 2},
    }
    send(api, full)
    answer = send(api, {"email": "a@example.com", "title": None, "location": {"city": None}, "properties": {"x": None}})
    attributes = answer.json()["data"]["attributes"]

    assert (attributes["title"], attributes["organization"]) == (None, "A")
    assert (attributes["location"]["city"], attributes["location"]["zip"]) == (None, "1")
    assert attributes["properties"] == {"y": 2}


def test_properties_can_be_patched(api: Api) -> None:
    """append, unappend and unset of meta.patch_properties."""
    send(api, {"email": "a@example.com", "properties": {"list": ["a", "b"], "old": 1}})
    patch = {"append": {"list": "c"}, "unappend": {"list": "a"}, "unset": ["old"]}
    answer = send(api, {"email": "a@example.com"}, meta={"patch_properties": patch})

    assert answer.json()["data"]["attributes"]["properties"] == {"list": ["b", "c"]}


def test_unset_takes_keys_away_and_nothing_else(api: Api) -> None:
    """One key or several, with dots in them or not there at all; null does nothing, and values beside it are written."""
    send(api, {"email": "a@example.com", "title": "Dr", "properties": {"a": 1, "b.c": 2, "d": 0, "e": False}})
    for unset in ("a", ["b.c", "missing"], None):
        answer = send(api, {"email": "a@example.com", "properties": {"new": 1}}, meta={"patch_properties": {"unset": unset}})
        assert answer.status_code == 200

    attributes = answer.json()["data"]["attributes"]
    assert (attributes["title"], attributes["properties"]) == ("Dr", {"d": 0, "e": False, "new": 1})
    refused = send(api, {"email": "a@example.com"}, meta={"patch_properties": {"unset": [1]}})
    assert errors(refused) == [("invalid", "/data/meta/patch_properties/unset")]


def test_a_bad_profile_is_refused(api: Api) -> None:
    """The checks of the import job hold here too; the pointer starts at /data."""
    assert errors(send(api, {"email": "nothing"})) == [("invalid", "/data/attributes/email")]
    assert errors(send(api, {"email": "a@example.com", "properties": {"n": 2**64}})) == [("invalid", "/data/attributes/properties/n")]
    assert send(api, {"email": "a@example.com", "properties": {"x": "x" * 100_000}}).status_code == 413
    assert api.post(IMPORT, []).status_code == 400


def test_a_dropped_phone_number_shows_in_a_header(api: Api) -> None:
    """201 with X-Klaviyo-Partial-Failure, and no number in the profile."""
    answer = send(api, {"email": "a@example.com", "phone_number": "123"})

    assert (answer.status_code, answer.headers["X-Klaviyo-Partial-Failure"]) == (201, "phone_number")
    assert answer.json()["data"]["attributes"]["phone_number"] is None


def test_an_identifier_cannot_be_taken_from_somebody(api: Api) -> None:
    """409 duplicate_profile that names the owner; nothing has changed."""
    owner = send(api, {"email": "a@example.com"}).json()["data"]["id"]
    other = send(api, {"email": "b@example.com"}).json()["data"]["id"]
    answer = change(api, other, {"email": "A@example.com"})

    assert (answer.status_code, errors(answer)) == (409, [("duplicate_profile", "/data/attributes")])
    assert answer.json()["errors"][0]["meta"] == {"duplicate_profile_id": owner}
    assert api.profile("b@example.com")


def test_an_update_needs_no_identifier_but_the_right_id(api: Api) -> None:
    """200 for a title alone; 400 when path and body disagree; 404 for an unknown id."""
    id_ = send(api, {"email": "a@example.com"}).json()["data"]["id"]
    body = {"data": {"type": "profile", "id": "01GDDKASAP8TKDDA2GRZDSVP4H", "attributes": {}}}

    assert change(api, id_, {"title": "Dr"}).json()["data"]["attributes"]["title"] == "Dr"
    assert errors(api.patch(f"/api/profiles/{id_}", body)) == [("invalid", "/data/id")]
    assert change(api, "01GDDKASAP8TKDDA2GRZDSVP4H", {}).status_code == 404
    assert api.get("/api/profiles/x").status_code == 404
    assert send(api, {"title": "Dr"}, id="01GDDKASAP8TKDDA2GRZDSVP4H").status_code == 404


def test_profiles_are_found_by_every_identifier(api: Api) -> None:
    """Equals and any, with either quotation mark, alone and together."""
    id_ = send(api, {"email": "o'hara@example.com", "external_id": 'x"1', "phone_number": "+15005550006"}).json()["data"]["id"]
    send(api, {"email": "b@example.com"})

    for text in (
        f"equals(id,'{id_}')",
        'equals(email,"O\'Hara@example.com")',
        "equals(email,'o\\'hara@example.com')",
        'any(external_id,["y","x\\"1"])',
        "any(phone_number,['+15005550006'])",
        'any(email,["o\'hara@example.com","b@example.com"]),equals(phone_number,"+15005550006")',
        'and(equals(email,"o\'hara@example.com"),equals(phone_number,"+15005550006"))',
    ):
        assert [profile["id"] for profile in api.get("/api/profiles", filter=text).json()["data"]] == [id_]
    assert api.get("/api/profiles", filter="equals(email,'nobody@example.com')").json()["data"] == []


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "equals(first_name,'Ann')",
        "greater-than(email,'a')",
        "any(email,'a')",
        "equals(email,'a",
        "any(id,[" + "'x'," * 100 + "'x'])",
    ],
)
def test_a_filter_that_cannot_be_is_refused(api: Api, text: str) -> None:
    """400 that names the parameter: never a filter that is quietly ignored."""
    answer = api.get("/api/profiles", filter=text)

    assert (answer.status_code, errors(answer)) == (400, [("invalid", "filter")])


def test_profiles_are_paged_sorted_and_filtered_by_time(api: Api, clock: Clock) -> None:
    """By id (the order of creation) unless told otherwise; `updated` moves with every write."""
    for name in "bca":
        send(api, {"email": f"{name}@example.com"})
        clock.at += 1
    send(api, {"email": "b@example.com", "title": "Dr"})

    def shown(**query: Any) -> str:
        return "".join(profile["attributes"]["email"][0] for profile in api.get("/api/profiles", **query).json()["data"])

    assert (shown(), shown(sort="-id"), shown(sort="email"), shown(sort="-updated")) == ("bca", "acb", "abc", "bac")
    assert shown(filter="greater-than(updated,2026-01-01T00:00:01Z)") == "ba"
    assert shown(filter="less-than(created,2026-01-01T00:00:01Z)") == "b"
    assert errors(api.get("/api/profiles", sort="title")) == [("invalid", "sort")]
    assert errors(api.get("/api/profiles", page_cursor="?")) == [("invalid", "page[cursor]")]
    first = api.get("/api/profiles", page_size=2).json()
    assert [len(first["data"]), len(api.get(first["links"]["next"]).json()["data"])] == [2, 1]


def test_a_profile_shows_every_attribute(api: Api) -> None:
    """Null where there is nothing, as recorded; subscriptions only when they are asked for."""
    send(api, {"email": "a@example.com"})
    attributes = api.profile("a@example.com")

    assert {name for name, value in attributes.items() if value is not None} == {"email", "created", "updated", "location", "properties"}
    assert attributes["created"] == "2026-01-01T00:00:00+00:00"
    assert set(attributes["location"].values()) == {None}
    assert "subscriptions" not in attributes


def test_list_members_are_found_by_their_address(api: Api, clock: Clock) -> None:
    """The filter of a list looks among its members only."""
    api.imports({"email": "a@example.com"}, {"email": "b@example.com"}, lists=["VRgFBd"])
    send(api, {"email": "c@example.com"})
    clock.at += 10
    path = "/api/lists/VRgFBd/profiles"

    assert len(api.get(path).json()["data"]) == 2
    assert len(api.get(path, filter="any(email,['a@example.com','c@example.com'])").json()["data"]) == 1
    assert api.get("/api/lists/NOPE01/profiles").status_code == 404
    assert api.get("/api/lists/VRgFBd", {"additional-fields[list]": "profile_count"}).json()["data"]["attributes"]["profile_count"] == 2
