"""The client: what it sends, how it waits, what it makes of every kind of answer."""

from __future__ import annotations

import gzip
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from scripted_klaviyo import KEY, Asked, FastTime, Says, batch, errors, quick, serving

from klaviyo_sync.core.errors import ConfigError, Refused, Unavailable
from klaviyo_sync.klaviyo.answers import Answer, Rejection, redact
from klaviyo_sync.klaviyo.client import Klaviyo, Request, StoppedError
from klaviyo_sync.klaviyo.limits import ACCOUNTS, IMPORT_ERRORS, IMPORT_JOB, IMPORT_PROFILES, LIMITS, PROFILES, SUBSCRIBE
from klaviyo_sync.klaviyo.transport import REVISION, Timeouts

ACCEPTED = Says(202, {"data": {"type": "profile-bulk-import-job", "id": "job0", "attributes": {"status": "queued"}}})
ADA, PHONE = "ada.l@shop.example", "+15005550006"
POST = Request(IMPORT_PROFILES, body=b"{}")
PATIENCE = 60.0
"""Seconds to wait for another thread, which comes at once."""


def in_turn(*says: Says) -> Callable[[Asked], Says]:
    """A script that gives these answers one after the other, the last one for ever."""
    left: Iterator[Says] = iter(says)
    last = says[-1]
    return lambda _: next(left, last)


def test_requests_carry_what_klaviyo_asks_for() -> None:
    """The key, the revision, the media types, our name and the length are on every request; a body in pieces arrives as one."""
    body = batch(2, list_id="Y6nRLr").body()
    with serving(in_turn(ACCEPTED)) as server, quick(server.url) as (klaviyo, _):
        answer = klaviyo.request(Request(IMPORT_PROFILES, body=body))
    assert isinstance(answer, Answer)
    assert answer.resource["id"] == "job0"
    (asked,) = server.asked
    assert asked.body == bytes(body)
    assert asked.headers["Content-Length"] == str(len(body))
    sent = {name: asked.headers[name] for name in ("Authorization", "Accept", "Content-Type")}
    assert sent == {
        "Authorization": f"Klaviyo-API-Key {KEY}",
        "Accept": "application/vnd.api+json",
        "Content-Type": "application/vnd.api+json",
    }
    assert asked.headers["revision"] == REVISION
    assert asked.headers["User-Agent"].startswith("klaviyo_sync/")


def test_a_body_in_pieces_is_sent_again_whole() -> None:
    """When a request is tried again, its body goes out from its first piece on."""
    body = batch(2).body()
    with serving(in_turn(Says(503), ACCEPTED)) as server, quick(server.url) as (klaviyo, _):
        klaviyo.request(Request(IMPORT_PROFILES, body=body))
    assert [asked.body for asked in server.asked] == [bytes(body)] * 2


def test_ids_cannot_leave_their_place_in_the_path() -> None:
    """An id is one segment of the path, whatever it holds."""
    with serving(in_turn(Says(404))) as server, quick(server.url) as (klaviyo, _):
        klaviyo.request(Request(IMPORT_JOB, id="../accounts?x=1"))
    assert server.asked[0].path == "/api/profile-bulk-import-jobs/..%2Faccounts%3Fx%3D1"


@pytest.mark.parametrize(
    "trouble",
    [
        Says(429, errors(("/data", "Request was throttled.")), {"Retry-After": "7"}),
        Says(429, errors(("/data", "Request was throttled."))),
        Says(429, b"", {"Retry-After": "soon"}),
        Says(500, errors((None, "A server error occurred."))),
        Says(502, b"<html><body>502</body></html>", {"Content-Type": "text/html"}),
        Says(503, errors((None, "Try again later."))),
        Says(504, b"<html>"),
        Says(524, b""),
        Says(how="reset"),
        Says(202, ACCEPTED.body, how="truncated"),
        Says(202, b"\x00{]garbage"),
        Says(202, b""),
        Says(202, {"data": {"type": "profile-bulk-import-job"}}),
        Says(202, {"data": []}),
        Says(202, b"x" * 1000, {"Content-Encoding": "gzip"}),
        Says(403, b"<html>Attention Required!</html>", {"Content-Type": "text/html"}),
    ],
    ids=lambda says: f"{says.status}-{says.how}-{str(says.body)[:20]}",
)
def test_passing_trouble_is_tried_again(trouble: Says) -> None:
    """After trouble that can pass, the same bytes go out again, and the answer counts the attempts."""
    with serving(in_turn(trouble, ACCEPTED)) as server, quick(server.url) as (klaviyo, _):
        answer = klaviyo.request(POST)
    assert isinstance(answer, Answer)
    assert answer.attempts == 2
    assert [asked.body for asked in server.asked] == [b"{}", b"{}"]


def test_retry_after_is_kept_by_all_threads() -> None:
    """Nothing reaches the endpoint before the moment that Retry-After names; other endpoints go on."""
    moments: list[tuple[str, float]] = []
    passing = FastTime()
    throttled = iter([Says(429, b"", {"Retry-After": "7"})])
    waits, other_waits = threading.Event(), threading.Event()

    def script(asked: Asked) -> Says:
        moments.append((asked.method, passing.clock()))
        return next(throttled, ACCEPTED) if asked.method == "POST" else Says(200, {"data": []})

    def sleep(seconds: float) -> None:
        """Keeps the throttled thread, and with it the clock, where it is until the other one waits too."""
        if threading.current_thread() is first:
            waits.set()
            assert other_waits.wait(PATIENCE)
        else:
            other_waits.set()
        passing.sleep(seconds)

    with serving(script) as server, quick(server.url, clock=passing.clock, sleep=sleep) as (klaviyo, _):
        first = threading.Thread(target=klaviyo.request, args=(POST,))
        first.start()
        assert waits.wait(PATIENCE)
        klaviyo.request(Request(PROFILES))
        assert not other_waits.is_set()
        klaviyo.request(POST)
        other_waits.set()
        first.join()
    begun, *posts = [moment for method, moment in moments if method == "POST"]
    assert len(posts) == 2
    assert min(posts) >= begun + 7
    assert ("GET", begun) in moments


def test_waits_double_without_retry_after() -> None:
    """Without Retry-After the waits double, up to a minute."""
    with serving(in_turn(*[Says(503)] * 7, ACCEPTED)) as server, quick(server.url) as (klaviyo, passing):
        klaviyo.request(POST)
    assert passing.slept == pytest.approx(1 + 2 + 4 + 8 + 16 + 32 + 60, abs=0.01)


@pytest.mark.parametrize(
    ("says", "most"), [(Says(503), 8), (Says(500), 4), (Says(how="reset"), 7), (Says(200, b"<html>"), 4), (Says(429), 20)]
)
def test_trouble_that_stays_ends_as_unavailable(says: Says, most: int) -> None:
    """Attempts are bounded by kind; the error says that nobody has to act."""
    with serving(lambda _: says) as server, quick(server.url) as (klaviyo, _), pytest.raises(Unavailable, match="next run asks again"):
        klaviyo.request(POST)
    assert 2 <= len(server.asked) <= most


@pytest.mark.parametrize("value", ["3600", "99999999999999999999"])
def test_a_wait_over_the_deadline_is_not_begun(value: str) -> None:
    """A Retry-After longer than the request may take ends at once: waiting less would be against Klaviyo's word."""
    with serving(lambda _: Says(429, b"", {"Retry-After": value})) as server, quick(server.url) as (klaviyo, passing):
        with pytest.raises(Unavailable):
            klaviyo.request(POST)
        assert passing.slept == 0
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("says", "advice"),
    [
        (Says(401, errors(("/data/", "Incorrect authentication credentials."), code="authentication_failed")), "klaviyo.api_key"),
        (Says(403, errors((None, "You do not have permission."), code="permission_denied")), "lists:write profiles:write"),
        (Says(403, b"<html>"), "Settings > API keys"),
        (Says(410, b""), "update klaviyo_sync"),
        (Says(302, b"", {"Location": "https://elsewhere.example/"}), "base_url"),
        (Says(415, b""), "base_url"),
    ],
)
def test_refusals_say_what_to_do(says: Says, advice: str) -> None:
    """What would be the same again is raised as Refused, with the request's id and the next step."""
    says = Says(says.status, says.body, {**says.headers, "X-Klaviyo-Req-Id": "req-77"})
    with serving(lambda _: says) as server, quick(server.url) as (klaviyo, _), pytest.raises(Refused, match=advice) as raised:
        klaviyo.request(POST)
    assert f"{says.status} (request req-77)" in str(raised.value)
    assert len(server.asked) == (2 if says.body == b"<html>" else 1)


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
@pytest.mark.parametrize("body", [errors(("/data/x", f"Bad: {ADA}")), b"<html>", b"", [1], {"errors": [None, 3]}, {"errors": {"a": 1}}])
def test_rejections_are_values(status: int, body: object) -> None:
    """What the caller can act on comes back as a value, whatever the body is; pointer and full detail are kept."""
    with serving(lambda _: Says(status, body)) as server, quick(server.url) as (klaviyo, _):
        answer = klaviyo.request(POST)
    assert isinstance(answer, Rejection)
    assert (answer.status, len(server.asked)) == (status, 1)
    if isinstance(body, dict) and isinstance(body["errors"], list) and body["errors"][0]:
        assert (answer.errors[0].pointer, answer.errors[0].detail) == ("/data/x", f"Bad: {ADA}")
        assert ADA not in answer.safe


@pytest.mark.parametrize("says", [Says(401, errors((None, f"{ADA} {PHONE} %s" % ADA.replace("@", "%40")))), Says(503), Says(how="reset")])
def test_no_error_or_log_shows_key_address_or_payload(says: Says, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the key nor an e-mail address nor a phone number gets into an exception, its chain, or our log."""
    caplog.set_level(logging.DEBUG, "klaviyo_sync")
    request = Request(PROFILES, params={"filter": f'any(email,["{ADA}"])'}, body=PHONE.encode())
    with serving(lambda _: says) as server, quick(server.url) as (klaviyo, _), pytest.raises((Refused, Unavailable)) as raised:
        klaviyo.request(request)
    chain = [raised.value, raised.value.__cause__, raised.value.__context__]
    shown = " ".join(
        [*map(repr, chain), repr(klaviyo), *(record.getMessage() for record in caplog.records if record.name.startswith("klaviyo"))]
    )
    for secret in (KEY, ADA, ADA.replace("@", "%40"), PHONE, "ada.l"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'ada@shop.example' is taken", "<...> is taken"),
        ("mail ada+x@shop.example, phone +1 (500) 555-0006.", "mail <...> phone <...>."),
        ("A list with id `NOPE01` does not exist.", "A list with id `NOPE01` does not exist."),
        ("at most 10000 profiles", "at most 10000 profiles"),
        ("x" * 5000, "x" * 300),
    ],
)
def test_redaction(text: str, shown: str) -> None:
    """What looks like an e-mail address or a phone number is taken out; words and small numbers stay."""
    assert redact(text) == shown


def test_an_answer_without_end_is_cut_off() -> None:
    """An answer that trickles on beyond its time is given up, tried again, and in the end unavailable."""
    drip = Says(200, b" " * 200, how="drip")
    timeouts = Timeouts(connect=1, read=1, whole=0.1)
    with (
        serving(lambda _: drip) as server,
        quick(server.url, timeouts=timeouts, request_seconds=1) as (klaviyo, _),
        pytest.raises(Unavailable),
    ):
        klaviyo.request(Request(PROFILES))


def test_a_silent_server_is_given_up() -> None:
    """Without an answer in time, the request is tried again."""
    answers = in_turn(Says(200, {"data": []}, wait=2.0), Says(200, {"data": []}))
    with serving(answers) as server, quick(server.url, timeouts=Timeouts(read=1.0)) as (klaviyo, _):
        answer = klaviyo.request(Request(PROFILES))
    assert isinstance(answer, Answer)
    assert answer.attempts == 2


@pytest.mark.parametrize("says", [Says(200, b" " * 1_000_000), Says(200, gzip.compress(b" " * 1_000_000), {"Content-Encoding": "gzip"})])
def test_a_huge_answer_does_not_fill_memory(says: Says) -> None:
    """More than the largest answer of an endpoint is not read to its end, nor unpacked."""
    with serving(lambda _: says) as server, quick(server.url) as (klaviyo, _), pytest.raises(Unavailable):
        klaviyo.request(Request(replace(PROFILES, largest=100_000)))


def test_consent_answers_are_empty() -> None:
    """Endpoints that answer with nothing are content with nothing."""
    with serving(lambda _: Says(202, b"", {"X-Klaviyo-Partial-Failure": "phone_number"})) as server, quick(server.url) as (klaviyo, _):
        answer = klaviyo.request(Request(SUBSCRIBE, body=b"{}"))
    assert isinstance(answer, Answer)
    assert (answer.resources, answer.headers["x-klaviyo-partial-failure"]) == ((), "phone_number")


def test_nobody_listening_is_unavailable() -> None:
    """A refused connection is tried again and then raised, naming the kind of failure."""
    with serving(lambda _: Says()) as server:
        pass
    with quick(server.url) as (klaviyo, _), pytest.raises(Unavailable, match="ConnectionError"):
        klaviyo.request(POST)


@pytest.mark.parametrize(
    "base_url",
    ["http://a.klaviyo.com", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "ftp://a.klaviyo.com", "a.klaviyo.com", "",
     "https://user:word@a.klaviyo.com", "https://a.klaviyo.com/v2", "https://a.klaviyo.com?x=1", "http://[::1", "https://a.klaviyo.com:port"],
)  # fmt: skip
def test_addresses_that_would_show_the_key(base_url: str) -> None:
    """Only https, or http to this machine, and nothing but host and port; a password in it is not repeated."""
    with pytest.raises(ConfigError) as raised:
        Klaviyo(KEY, base_url)
    assert "word@" not in str(raised.value)


@pytest.mark.parametrize(
    "base_url", ["https://a.klaviyo.com", "https://a.klaviyo.com/", "http://127.0.0.1:80", "http://localhost:80", "http://[::1]:80"]
)
def test_addresses_that_are_fine(base_url: str) -> None:
    """Over https anywhere, over http on this machine."""
    with Klaviyo(KEY, base_url):
        pass


@pytest.mark.parametrize("key", ["", " ", "pk_1\n", "pk 1", "pk_ü", "pk_1\r\nX: y"])
def test_keys_that_cannot_be_sent(key: str) -> None:
    """A key that would break the header is refused before it is sent, and not repeated."""
    with pytest.raises(ConfigError) as raised:
        Klaviyo(key)
    assert "pk_1" not in str(raised.value)


def test_a_netrc_file_does_not_replace_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The key goes out, whatever the environment has for this host."""
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("default login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(lambda _: Says(200, {"data": []})) as server, quick(server.url) as (klaviyo, _):
        klaviyo.request(Request(PROFILES))
    assert server.asked[0].headers["Authorization"] == f"Klaviyo-API-Key {KEY}"


def listing(pages: dict[str, tuple[list[str], str | None]]) -> Callable[[Asked], Says]:
    """A script of pages: their ids, and where they lead."""

    def script(asked: Asked) -> Says:
        ids, following = pages[asked.query.get("page[cursor]", "first")]
        return Says(200, {"data": [{"type": "import-error", "id": one} for one in ids], "links": {"next": following}})

    return script


def test_pages_are_followed_to_the_last() -> None:
    """All pages are read, absolute and relative addresses alike, with the query that Klaviyo put into them."""
    path = "/api/profile-bulk-import-jobs/j/import-errors"
    pages: dict[str, tuple[list[str], str | None]] = {"2": ([], f"{path}/?page%5Bcursor%5D=3"), "3": (["c"], None)}
    with serving(listing(pages)) as server, quick(server.url) as (klaviyo, _):
        pages["first"] = (["a", "b"], f"{server.url}{path}?page[cursor]=2")
        found = klaviyo.pages(Request(IMPORT_ERRORS, id="j", params={"page[size]": "100"}))
        assert [item["id"] for page in found for item in page.resources] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "following",
    [
        "https://evil.example/api/x",
        "//evil.example/api/x",
        "{url}@evil.example/api/",
        "{url}.evil.example/api/x",
        "/admin",
        "/api/x?page[cursor]=first",
    ],
)
def test_pages_never_leave_klaviyo(following: str) -> None:
    """A next page elsewhere, or one that was read already, is not followed: the key would go with it."""
    pages: dict[str, tuple[list[str], str | None]] = {}
    with serving(listing(pages)) as server, quick(server.url) as (klaviyo, _):
        pages["first"] = (["a"], following.format(url=server.url))
        with pytest.raises(Unavailable, match="not a new page"):
            list(klaviyo.pages(Request(IMPORT_ERRORS, id="j")))
    assert len(server.asked) <= 2


def test_a_waiting_request_can_be_stopped() -> None:
    """Whoever waits for Retry-After leaves soon after being told to stop."""
    stop = threading.Event()
    with serving(lambda _: Says(429, b"", {"Retry-After": "300"})) as server, Klaviyo(KEY, server.url) as klaviyo:
        threading.Timer(0.1, stop.set).start()
        began = time.monotonic()
        with pytest.raises(StoppedError):
            klaviyo.request(POST, stop)
    assert time.monotonic() - began < PATIENCE


def test_account_and_list() -> None:
    """The account and a list are read; a list that is not there is refused by its id."""

    def script(asked: Asked) -> Says:
        if asked.path == "/api/accounts":
            attributes = {"test_account": True, "timezone": "Europe/Berlin", "contact_information": {"organization_name": "Shop"}}
            return Says(200, {"data": [{"type": "account", "id": "AbC123", "attributes": attributes}]})
        if asked.path == "/api/lists/Y6nRLr":
            return Says(200, {"data": {"type": "list", "id": "Y6nRLr", "attributes": {"name": "News", "opt_in_process": "double_opt_in"}}})
        return Says(404, errors(("/data/", "A list with id `NOPE01` does not exist."), code="not_found"))

    with serving(script) as server, quick(server.url) as (klaviyo, _):
        account, details = klaviyo.account(), klaviyo.list_details("Y6nRLr")
        with pytest.raises(ConfigError, match="no list 'NOPE01'"):
            klaviyo.list_details("NOPE01")
    assert (account.id, account.name, account.timezone, account.test_account) == ("AbC123", "Shop", "Europe/Berlin", True)
    assert (details.name, details.opt_in_process) == ("News", "double_opt_in")


def test_pace_is_kept_on_the_wire() -> None:
    """Through several threads no request reaches the server sooner than the pace lets it."""
    with (
        serving(lambda _: Says(200, {"data": [{"type": "account", "id": "A"}]})) as server,
        Klaviyo(KEY, server.url, limits=LIMITS.scaled(10)) as klaviyo,
    ):
        threads = [threading.Thread(target=lambda: [klaviyo.request(Request(ACCOUNTS)) for _ in range(2)]) for _ in range(3)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    moments = sorted(asked.at for asked in server.asked)
    assert all(moment >= began + 0.1 * number for number, moment in enumerate(moments))
