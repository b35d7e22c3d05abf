"""Import jobs of the sandbox: accepted at once, carried out later, in no order that anyone may rely on."""

from __future__ import annotations

from typing import Any

import pytest
from api_client import JOBS, Api, Clock, errors, whole

from klaviyo_sync.sandbox import Sandbox


def names(api: Api) -> list[str]:
    """The e-mail addresses of all profiles, in the order of creation."""
    return [profile["attributes"]["email"] for profile in api.get("/api/profiles").json()["data"]]


def test_the_answer_that_accepts_a_job(api: Api) -> None:
    """202 in the recorded shape: queued, nothing done, read for seven days, with its list and its links."""
    answer = api.imports({"email": "a@example.com"}, {"email": "b@example.com"}, lists=["Y6nRLr"])
    data = answer.json()["data"]
    base = f"{api.url}{JOBS}/{data['id']}"

    assert answer.status_code == 202
    assert answer.headers["Content-Type"] == "application/vnd.api+json"
    assert data["attributes"] == {
        "status": "queued",
        "created_at": "2026-01-01T00:00:00+00:00",
        "total_count": 2,
        "completed_count": 0,
        "failed_count": 0,
        "completed_at": None,
        "expires_at": "2026-01-08T00:00:00+00:00",
        "started_at": None,
    }
    assert data["relationships"]["lists"]["data"] == [{"type": "list", "id": "Y6nRLr"}]
    assert data["relationships"]["import-errors"]["links"] == {"related": f"{base}/import-errors/"}
    assert data["links"] == {"self": f"{base}/"}
    assert answer.json()["links"] == {"self": f"{api.url}{JOBS}"}


def test_a_job_goes_from_queued_to_complete(api: Api, clock: Clock) -> None:
    """queued, processing, complete; the profiles are there only at the end, and the times say when."""
    answer = api.imports({"email": "a@example.com"})
    clock.at += 2.9
    assert (api.job(answer)["status"], names(api)) == ("queued", [])

    clock.at += 0.2
    processing = api.job(answer)
    assert (processing["status"], processing["completed_count"], names(api)) == ("processing", 0, [])
    assert processing["started_at"] == "2026-01-01T00:00:03+00:00"

    clock.at += 7
    complete = api.job(answer)
    assert (complete["status"], complete["completed_count"], names(api)) == ("complete", 1, ["a@example.com"])
    assert complete["completed_at"] == "2026-01-01T00:00:10+00:00"


def test_jobs_do_not_end_in_the_order_in_which_they_were_made(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """With durations that vary, some later job ends before an earlier one."""
    sandbox.job_seconds = (1, 10)
    sandbox.reset()
    for number in range(5):
        api.imports({"email": f"{number}@example.com"})
    clock.at += 10

    assert sorted(names(api)) == [f"{number}@example.com" for number in range(5)] != names(api)


def test_a_job_expires_after_seven_days(api: Api, clock: Clock) -> None:
    """After `expires_at` it is not found any more, and not listed."""
    id_ = api.imports({"email": "a@example.com"}).json()["data"]["id"]
    clock.at += 7 * 24 * 3600 - 1
    assert api.get(f"{JOBS}/{id_}").status_code == 200

    clock.at += 1
    assert api.get(f"{JOBS}/{id_}").status_code == 404
    assert api.get(JOBS).json()["data"] == []


@pytest.mark.parametrize("part", ["", "/import-errors", "/profiles", "/relationships/profiles", "/lists"])
def test_an_unknown_job_is_not_found(api: Api, part: str) -> None:
    """404 not_found in Klaviyo's words, for the job and everything under it."""
    answer = api.get(f"{JOBS}/nope{part}")

    assert (answer.status_code, errors(answer)) == (404, [("not_found", "/data/")])
    assert answer.json()["errors"][0]["detail"] == "A profile-bulk-import-job with id `nope` does not exist."


def test_profiles_are_matched_by_any_identifier(api: Api, clock: Clock) -> None:
    """A known id, external id, e-mail address (in any case) or phone number updates; what is not sent stays."""
    api.imports({"email": "Ann@Example.com", "external_id": "1", "phone_number": "+15005550006", "properties": {"a": 1}})
    clock.at += 10
    (id_,) = [profile["id"] for profile in api.get("/api/profiles").json()["data"]]

    for attributes in ({"email": "ann@example.COM"}, {"external_id": "1"}, {"phone_number": "+15005550006"}):
        api.imports({**attributes, "properties": {next(iter(attributes)): True}})
        clock.at += 10
    api.imports({**whole({"first_name": "Ann"}), "id": id_})
    clock.at += 10

    (profile,) = api.get("/api/profiles").json()["data"]
    assert profile["id"] == id_
    assert profile["attributes"]["first_name"] == "Ann"
    assert profile["attributes"]["properties"] == {"a": 1, "email": True, "external_id": True, "phone_number": True}


def test_a_bulk_import_cannot_clear(api: Api, clock: Clock) -> None:
    """Nulls are ignored, also inside location and properties; zero, false and empty text are values."""
    full = {"email": "a@example.com", "title": "Dr", "location": {"city": "Bonn"}, "properties": {"a": 1, "b": 2, "c": "x"}}
    api.imports(full)
    clock.at += 10
    api.imports({"email": "a@example.com", "title": None, "location": {"city": None}, "properties": {"a": None, "b": 0, "c": ""}})
    clock.at += 10

    profile = api.profile("a@example.com")
    assert (profile["title"], profile["location"]["city"]) == ("Dr", "Bonn")
    assert profile["properties"] == {"a": 1, "b": 0, "c": ""}


def test_an_import_may_change_identifiers(api: Api, clock: Clock) -> None:
    """A new e-mail address for a known external id: the old address finds nobody, and is free."""
    for email in ("old@example.com", "new@example.com"):
        api.imports({"external_id": "1", "email": email})
        clock.at += 10
    api.imports({"email": "old@example.com"})
    clock.at += 10

    assert names(api) == ["new@example.com", "old@example.com"]


def test_duplicates_in_a_job_are_folded_without_a_word(api: Api, clock: Clock) -> None:
    """Equal e-mail addresses in one job make one profile and no error, and the last row does not win."""
    answer = api.imports(*({"email": "a@example.com", "external_id": str(number), "title": str(number)} for number in range(3)))
    clock.at += 10

    assert names(api) == ["a@example.com"]
    assert {name: api.job(answer)[name] for name in ("completed_count", "failed_count")} == {"completed_count": 3, "failed_count": 0}
    assert api.profile("a@example.com")["title"] == "0"


def test_a_taken_identifier_fails_late(api: Api, clock: Clock) -> None:
    """Read as a refusal, an address of one person beside the external id of another is an import error, and both stay as they were."""
    api.post("/sandbox/readings", {"conflict": "refused", "external_id_conflict": "refused"})
    api.imports({"external_id": "1", "email": "a@example.com"}, {"external_id": "2", "email": "b@example.com"})
    clock.at += 10
    answer = api.imports({"external_id": "1", "email": "b@example.com"})
    clock.at += 10

    assert api.job(answer)["failed_count"] == 1
    (error,) = api.get(f"{JOBS}/{answer.json()['data']['id']}/import-errors").json()["data"]
    assert (error["attributes"]["code"], error["attributes"]["source"]) == ("duplicate_profile", {"pointer": "/data/attributes/email"})
    assert sorted(names(api)) == ["a@example.com", "b@example.com"]


def test_an_unknown_id_and_a_huge_profile_fail_late(api: Api, clock: Clock) -> None:
    """Neither refuses the request: both are import errors, and the other rows go in."""
    huge = {"email": "huge@example.com", "properties": {"x": "x" * 100_000}}
    answer = api.imports({**whole({"title": "Dr"}), "id": "01GDDKASAP8TKDDA2GRZDSVP4H"}, huge, {"email": "a@example.com"})
    clock.at += 10
    found = api.get(f"{JOBS}/{answer.json()['data']['id']}/import-errors").json()["data"]

    assert sorted(error["attributes"]["code"] for error in found) == ["invalid", "not_found"]
    assert names(api) == ["a@example.com"]


def test_a_bad_phone_number_beside_an_address_is_dropped(api: Api, clock: Clock) -> None:
    """The profile goes in without it, and nothing is said."""
    answer = api.imports({"email": "a@example.com", "phone_number": "123"})
    clock.at += 10

    assert (answer.status_code, api.job(answer)["failed_count"], api.profile("a@example.com")["phone_number"]) == (202, 0, None)


def test_members_join_the_lists_of_the_job(api: Api, clock: Clock) -> None:
    """All profiles of the job join, known and new; who is a member already keeps the date of joining."""
    api.imports({"email": "a@example.com"}, lists=["Y6nRLr"])
    clock.at += 10
    answer = api.imports({"email": "a@example.com"}, {"email": "b@example.com"}, lists=["Y6nRLr", "VRgFBd"])
    clock.at += 10

    members = api.get("/api/lists/Y6nRLr/profiles", {"fields[profile]": "email"}).json()["data"]
    joined = {one["attributes"]["email"]: one["attributes"]["joined_group_at"] for one in members}
    assert joined == {"a@example.com": "2026-01-01T00:00:10+00:00", "b@example.com": "2026-01-01T00:00:20+00:00"}
    assert len(api.get("/api/lists/VRgFBd/profiles").json()["data"]) == 2
    lists = api.get(f"{JOBS}/{answer.json()['data']['id']}/lists").json()["data"]
    assert [one["id"] for one in lists] == ["Y6nRLr", "VRgFBd"]


def test_import_never_changes_consent(api: Api, clock: Clock) -> None:
    """An imported member of a list was still never subscribed."""
    api.imports({"email": "a@example.com", "phone_number": "+15005550006"}, lists=["VRgFBd"])
    clock.at += 10
    (profile,) = api.get("/api/profiles", {"additional-fields[profile]": "subscriptions"}).json()["data"]
    subscriptions = profile["attributes"]["subscriptions"]

    assert subscriptions["email"]["marketing"]["consent"] == subscriptions["sms"]["marketing"]["consent"] == "NEVER_SUBSCRIBED"


def test_jobs_are_listed_by_status_and_time(api: Api, clock: Clock) -> None:
    """Filters on status, sorts by creation, pages until links.next is null."""
    ids = []
    for number in range(5):
        ids.append(api.imports({"email": f"{number}@example.com"}).json()["data"]["id"])
        clock.at += 4  # at the end: complete, complete, complete, processing, processing

    def listed(**query: Any) -> list[str]:
        return [one["id"] for one in api.get(JOBS, sort="created_at", **query).json()["data"]]

    assert listed(filter="equals(status,'complete')") == ids[:3]
    assert listed(filter='any(status,["processing","queued"])') == ids[3:]
    assert [one["id"] for one in api.get(JOBS, sort="-created_at").json()["data"]] == ids[::-1]
    assert pages(api, JOBS, page_size=2, sort="created_at", filter="any(status,['complete','processing'])") == [ids[:2], ids[2:4], ids[4:]]


def test_import_errors_and_profiles_come_in_pages(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """20 a page by default, 100 at most, links.next until it is null."""
    sandbox.faults.add("row", containing="bad")
    rows = [{"email": f"{'bad' if number % 2 else 'good'}{number}@example.com"} for number in range(250)]
    id_ = api.imports(*rows).json()["data"]["id"]
    clock.at += 10

    for part in ("import-errors", "profiles", "relationships/profiles"):
        assert [len(page) for page in pages(api, f"{JOBS}/{id_}/{part}")] == [20] * 6 + [5]
        assert [len(page) for page in pages(api, f"{JOBS}/{id_}/{part}", page_size=100)] == [100, 25]
        assert api.get(f"{JOBS}/{id_}/{part}", page_size=101).status_code == 400


def pages(api: Api, path: str, **query: Any) -> list[list[str]]:
    """The ids on every page, each asked for by the address that the page before gave."""
    answer = api.get(path, **query).json()
    found = [answer]
    while answer["links"]["next"]:
        answer = api.get(answer["links"]["next"]).json()
        found.append(answer)
    ids = [[one["id"] for one in page["data"]] for page in found]
    assert len({id_ for page in ids for id_ in page}) == sum(map(len, ids))
    return ids


def test_a_job_with_nothing_wrong_has_an_empty_page_of_errors(api: Api, clock: Clock) -> None:
    """`data` is an empty list and `links.next` is null."""
    id_ = api.imports({"email": "a@example.com"}).json()["data"]["id"]
    clock.at += 10
    answer = api.get(f"{JOBS}/{id_}/import-errors").json()

    assert (answer["data"], answer["links"]["next"], answer["links"]["prev"]) == ([], None, None)


def test_a_job_can_be_read_in_part(api: Api) -> None:
    """`fields` leaves out attributes, `include=lists` adds the lists."""
    id_ = api.imports({"email": "a@example.com"}, lists=["VRgFBd"]).json()["data"]["id"]
    answer = api.get(f"{JOBS}/{id_}", {"fields[profile-bulk-import-job]": "status,total_count"}, include="lists").json()

    assert answer["data"]["attributes"] == {"status": "queued", "total_count": 1}
    assert [one["id"] for one in answer["included"]] == ["VRgFBd"]


def test_jobs_run_faster_with_the_clock(api: Api, sandbox: Sandbox, clock: Clock) -> None:
    """At time_scale 10 a job of ten sandbox seconds is complete after one real second, and its times are real."""
    sandbox.time_scale = 10
    answer = api.imports({"email": "a@example.com"})
    clock.at += 1

    assert api.job(answer)["completed_at"] == "2026-01-01T00:00:01+00:00"
