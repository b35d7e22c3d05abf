"""Requests that Klaviyo refuses: the rows it means are found, and all others are imported."""

from __future__ import annotations

import pytest
from importing import counted, fates, no_threads_left, people, reasons, run, shop
from scripted_klaviyo import Asked, Importing, Says, batch, errors, quick, serving

from klaviyo_sync.core.errors import Refused
from klaviyo_sync.core.result import Reason
from klaviyo_sync.klaviyo.imports import import_batches


def test_one_bad_row_in_ten_thousand() -> None:
    """One refused row stays behind with its reason; the other 9,999 are imported by one more request."""
    outcomes, server = run(shop(*people([7_311])), batch(10_000))
    assert counted(outcomes) == {"imported": 9_999, "refused": 1}
    assert fates(outcomes)["row 7311"] == "refused"
    assert reasons(outcomes) == {Reason("refused", "email", "Invalid email address")}
    assert len(server.bodies()) == sum(outcome.requests for outcome in outcomes) == 2


def test_only_the_first_bad_rows_are_named() -> None:
    """When an answer names three rows at most, sending goes on until all bad rows are out, and only those."""
    bad = {n for n in range(400) if n % 7 == 0}
    outcomes, server = run(shop(*people(bad), most=3), batch(400))
    assert {int(key.split()[1]) for key, fate in fates(outcomes).items() if fate == "refused"} == bad
    assert len(server.bodies()) <= len(bad) // 3 + 20


@pytest.mark.parametrize("most", [1, None])
def test_every_row_is_bad(most: int | None) -> None:
    """When every row is refused, every row comes back as refused and no job exists."""
    script = shop(*people(range(40)), most=most)
    outcomes, _ = run(script, batch(40))
    assert counted(outcomes) == {"refused": 40}
    assert script.jobs == []


def test_halving_finds_rows_that_are_not_named() -> None:
    """A refusal that names no row halves the batch until the bad rows stand alone."""
    outcomes, server = run(shop(*people([3, 777]), named=False), batch(1_000))
    assert sorted(key for key, fate in fates(outcomes).items() if fate == "refused") == ["row 3", "row 777"]
    assert reasons(outcomes) == {Reason("refused", None, "Something is wrong.")}
    assert len(server.bodies()) < 45


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Bad request</html>",
        errors(("/data/attributes/profiles/data/9999/attributes/email", "No.")),
        errors((None, "No.")),
        errors(("/data/attributes/profiles/data", "No.")),
    ],
)
def test_refusals_that_point_nowhere_end(body: object) -> None:
    """Pages, pointers past the end and pointers to nothing name no row: the rows are refused one by one."""
    outcomes, _ = run(Importing(judge=lambda _: Says(400, body)), batch(9))
    assert counted(outcomes) == {"refused": 9}


def test_a_request_that_is_refused_whatever_it_holds() -> None:
    """When nothing is accepted and no cause is named, the run ends instead of asking twice for every row."""
    quoting = Says(400, errors(("/data", "Jane Doe is not a valid value for first_name")))
    with serving(Importing(judge=lambda _: quoting)) as server, quick(server.url) as (klaviyo, _):
        with pytest.raises(Refused, match="one by one") as caught:
            list(import_batches(klaviyo, [batch(10_000)]))
        assert len(server.bodies()) < 400
    assert "Jane" not in str(caught.value), "the error of a run ends up in Dagster, which shows nobody's data"


def test_too_large_a_body_is_halved() -> None:
    """413 halves; a profile that is too large alone is refused."""
    script = Importing(judge=lambda profiles: Says(413, b"") if len(profiles) > 30 or "title" in profiles[0]["attributes"] else None)
    outcomes, _ = run(script, batch(100), batch(1, start=100, pad=10))
    assert counted(outcomes) == {"imported": 100, "refused": 1}
    assert [len(job) for job in script.jobs] == [25] * 4


def test_conflicts_are_refusals_of_rows() -> None:
    """A 409 that names a row takes that row out, as a 400 does."""
    judge = shop(*people([2])).judge
    script = Importing(judge=lambda profiles: Says(409, said.body) if (said := judge(profiles)) else None)
    assert counted(run(script, batch(5))[0]) == {"imported": 4, "refused": 1}


@pytest.mark.parametrize(
    "says", [Says(400, errors(("/data/relationships/lists/data/0/id", "List does not exist."))), Says(404, errors(("/data/", "No list.")))]
)
def test_a_list_that_is_gone_ends_the_run(says: Says) -> None:
    """A list that Klaviyo does not know is nobody's row: the error names the list."""
    with serving(Importing(judge=lambda _: says)) as server, quick(server.url) as (klaviyo, _), pytest.raises(Refused, match="list Y6nRLr"):
        list(import_batches(klaviyo, [batch(10, list_id="Y6nRLr")]))
    assert no_threads_left()


def test_personal_data_stays_in_reasons() -> None:
    """Klaviyo's words go whole into the reason of the row, and without the address into the error of the run."""
    said = errors(("/data/relationships/lists/data/0/id", "ada@shop.example may not join."))
    with serving(Importing(judge=lambda _: Says(400, said))) as server, quick(server.url) as (klaviyo, _), pytest.raises(Refused) as raised:
        list(import_batches(klaviyo, [batch(3, list_id="Y6nRLr")]))
    assert "ada@" not in str(raised.value)
    row = errors(("/data/attributes/profiles/data/0/attributes/email", "ada@shop.example is no address."))
    outcomes, _ = run(Importing(judge=lambda profiles: Says(400, row) if len(profiles) == 3 else None), batch(3))
    assert reasons(outcomes) == {Reason("refused", "email", "ada@shop.example is no address.")}


# The answer is lost.


@pytest.mark.parametrize(
    "says", [Says(how="reset"), Says(202, b"\x00{]"), Says(202, {"data": {"id": "j"}}, how="truncated"), Says(504, b"<html>")]
)
def test_a_lost_answer_is_asked_for_again(says: Says) -> None:
    """Whether or not Klaviyo took the request, sending it again is safe, and each row counts once."""
    script = Importing()
    first = iter([says])

    def lossy(asked: Asked) -> Says:
        answer = script(asked)
        return next(first, answer) if asked.method == "POST" else answer

    outcomes, server = run(lossy, batch(20))
    assert counted(outcomes) == {"imported": 20}
    assert sum(outcome.requests for outcome in outcomes) == len(server.bodies()) == 2
