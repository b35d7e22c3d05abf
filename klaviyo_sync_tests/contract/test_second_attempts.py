"""Cells that Klaviyo refuses, over real HTTP: their rows go again without them, once, and every row is accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from importing import fates, no_threads_left, run
from scripted_klaviyo import Importing, Says, batch, complete, errors, import_error, quick

from how_many import examples
from klaviyo_sync.core.packing import MAX_PROFILES
from klaviyo_sync.core.result import Outcome
from klaviyo_sync.klaviyo.imports import import_batches
from klaviyo_sync.klaviyo.jobs import Patience
from klaviyo_sync.sandbox import Readings, Sandbox, serve

CELLS = ("title", "location.city", "properties.Points", "properties.a/b", "email", "phone_number", "external_id")
SOON = Patience(shortest=0.01, longest=0.05)


def profile(number: int, *, external_id: bool = True) -> dict[str, Any]:
    """A person with every cell."""
    return {
        **({"external_id": f"c{number:05}x"} if external_id else {}),
        "email": f"p{number:05}x@shop.example",
        "phone_number": f"+1202555{number:04}",
        "title": "Dr",
        "location": {"city": "Bonn", "zip": "1"},
        "properties": {"Points": number, "a/b": [1], "Kept": 1.5},
    }


def without(profile: Mapping[str, Any], cell: str) -> dict[str, Any]:
    """The person less one cell."""
    name, _, inner = cell.partition(".")
    rest = {key: value for key, value in profile.items() if key != name}
    return {**rest, name: {key: value for key, value in profile[name].items() if key != inner}} if inner else rest


def imported(box: Sandbox, *profiles: list[dict[str, Any]]) -> list[Outcome]:
    """The outcomes of importing these profiles, a batch for each list of them."""
    starts = [sum(map(len, profiles[:place])) for place in range(len(profiles))]
    with serve(box) as server, quick(server.url) as (klaviyo, _):
        found = list(import_batches(klaviyo, (batch(one, start=start) for one, start in zip(profiles, starts, strict=True)), patience=SOON))
    assert no_threads_left()
    return found


def box(**options: Any) -> Sandbox:
    """A sandbox without limits or waits."""
    return Sandbox(**{"limits": False, "job_seconds": 0.0, **options})


def sent_without(outcomes: list[Outcome]) -> dict[str, list[str | None]]:
    """The cells that rows were imported without, by the key of the row."""
    return {
        outcome.rows["key"][row].as_py(): [reason.attribute for reason in reasons]
        for outcome in outcomes
        for row, reasons in outcome.without.items()
    }


Refusals = Mapping[int, tuple[str, bool]]
"""The cell that is refused of a person, and whether the request is refused for it or the job fails it."""


@settings(max_examples=examples(60), deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    refusals=st.dictionaries(st.integers(0, 35), st.tuples(st.sampled_from(CELLS), st.booleans()), max_size=20),
    reported=st.sampled_from([None, 1, 3]),
    shape=st.sampled_from(["flat", "attributes"]),
)
def test_any_refused_cells(sizes: list[int], refusals: Refusals, reported: int | None, shape: Any) -> None:
    """Each row counts once; one that can do without the cell is imported without it, by one attempt more; the others fail as they did."""
    sandbox = box(errors_reported=reported, original_payload=shape)
    people = [profile(number) for number in range(sum(sizes))]
    for number, (cell, early) in refusals.items():
        sandbox.faults.add("row", cell=cell, containing=f"{number:05}x", early=early, detail="Invalid value.")
    parts = [people[sum(sizes[:place]) : sum(sizes[: place + 1])] for place in range(len(sizes))]
    outcomes = imported(sandbox, *parts)

    refused = {number: refusals[number] for number in refusals if number < len(people)}
    lost = {f"row {number}": "refused" if early else "failed" for number, (cell, early) in refused.items() if cell == "external_id"}
    spared = {f"row {number}": [cell] for number, (cell, _) in refused.items() if cell != "external_id"}
    found = {key: fate for key, fate in fates(outcomes).items() if fate != "imported"}
    assert found == lost
    assert sent_without(outcomes) == spared
    assert len(fates(outcomes)) == len(people)
    held = {one["external_id"]: one for one in map(sandbox.profiles.attributes, sandbox.profiles.numbers())}
    expected = {
        one["external_id"]: without(one, refused[number][0]) if number in refused else one
        for number, one in enumerate(people)
        if f"row {number}" not in lost
    }
    assert held == expected


@pytest.mark.parametrize("early", [True, False])
def test_a_property_that_is_refused_in_every_row(*, early: bool) -> None:
    """One batch more, without the property, brings them all in: in all two requests for ten thousand profiles."""
    sandbox = box()
    sandbox.faults.add("row", cell="properties.Points", early=early)
    people = [{"email": f"p{number}@shop.example", "properties": {"Points": number, "Kept": 1}} for number in range(MAX_PROFILES)]
    outcomes = imported(sandbox, people)

    assert Counter(fates(outcomes).values()) == {"imported": MAX_PROFILES}
    assert len(sent_without(outcomes)) == MAX_PROFILES
    assert sum(outcome.requests for outcome in outcomes) == 2
    assert len({job for outcome in outcomes for job in outcome.jobs}) == (1 if early else 2)
    assert all("Points" not in sandbox.profiles.attributes(number)["properties"] for number in sandbox.profiles.numbers())


def test_refused_rows_of_many_batches_go_together() -> None:
    """Thirty batches with one refused cell each take one request more, not thirty."""
    sandbox = box()
    sandbox.faults.add("row", cell="title", containing="000")
    people = [[profile(10 * part + number) for number in range(3)] for part in range(30)]
    outcomes = imported(sandbox, *people)

    assert set(fates(outcomes).values()) == {"imported"}
    assert sum(outcome.requests for outcome in outcomes) == 31


def test_more_rows_than_one_request_takes() -> None:
    """Rows that go again are sent in full requests as they come, and few of them wait at any time."""
    sandbox = box()
    sandbox.faults.add("row", cell="title")
    people = [[{"email": f"p{part}.{number}@shop.example", "title": "Dr"} for number in range(4_000)] for part in range(6)]
    outcomes = imported(sandbox, *people)

    assert Counter(fates(outcomes).values()) == {"imported": 24_000}
    assert sum(outcome.requests for outcome in outcomes) == 6 + 3


def test_a_row_that_is_refused_again() -> None:
    """It is not sent a third time, and its reason has the words of both refusals."""
    sandbox = box()
    sandbox.faults.add("row", cell="title", containing="c00001", detail="Titles are out.")
    sandbox.faults.add("row", cell="location.city", containing="c00001", detail="No cities.", early=True)
    outcomes = imported(sandbox, [profile(1), profile(2)])
    (reason,) = [reason for outcome in outcomes for reason in outcome.reasons.values()]

    assert fates(outcomes) == {"row 0": "failed", "row 1": "imported"}
    assert reason.detail.startswith("Titles are out.")
    assert "location.city (invalid: No cities.)" in reason.detail


def test_both_reasons_of_a_row_that_fails_twice() -> None:
    """The first job names one cell and the second another: the row has failed, and is told with both."""
    script = Importing(look=lambda _, __, size: complete(size, failed=1))
    cells = ["title", "location/city"]
    script.pages = lambda number, _: ([import_error(f"/data/attributes/profiles/data/0/attributes/{cells[number]}")], None)
    outcomes, server = run(script, batch([profile(1), profile(2)]))
    (reason,) = [reason for outcome in outcomes for reason in outcome.reasons.values()]

    assert fates(outcomes) == {"row 0": "failed", "row 1": "imported"}
    assert reason.attribute == "location.city"
    assert "with title (invalid: Could not be written.)" in reason.detail
    assert len(server.bodies()) == 2


def test_the_jobs_of_both_attempts_are_told() -> None:
    """When all rows of a job go again, its id and what it cost come with the outcome of the second job."""
    sandbox = box()
    sandbox.faults.add("row", cell="title")
    (outcome,) = imported(sandbox, [profile(1)])
    assert (len(outcome.jobs), outcome.requests) == (2, 2)


def test_a_taken_number_beside_a_stronger_identifier() -> None:
    """Klaviyo's duplicate error names the number: the profile goes again without it, and the owner keeps it."""
    sandbox = box(readings=Readings("refused", "refused"))
    imported(sandbox, [{"external_id": "c1", "phone_number": "+12025550001"}, without(profile(1), "phone_number")])
    outcomes = imported(sandbox, [profile(1)])

    assert sent_without(outcomes) == {"row 0": ["phone_number"]}
    assert outcomes[0].left_out(0) == {"phone_number"}
    held = {one["external_id"]: one.get("phone_number") for one in map(sandbox.profiles.attributes, sandbox.profiles.numbers())}
    assert held == {"c1": "+12025550001", "c00001x": None}


def test_a_duplicate_that_is_named_in_words() -> None:
    """An error that points nowhere and says that the phone number is taken names that cell; one that could mean two names none."""
    for detail, fate in (("A profile with this phone number exists already.", "imported"), ("Phone number or email are taken.", "failed")):
        script = Importing(look=lambda number, __, size: complete(size, failed=1 - min(number, 1)))
        said = import_error("/data/attributes", {"external_id": "c00001x"}, detail)
        said["attributes"]["code"] = "duplicate_profile"
        script.pages = lambda number, _, said=said: ([said] if number == 0 else [], None)
        assert fates(run(script, batch([profile(1)]))[0]) == {"row 0": fate}


def test_never_down_to_a_phone_number() -> None:
    """A malformed address beside a number alone costs the row."""
    sandbox = box()
    outcomes = imported(sandbox, [{**profile(1, external_id=False), "email": "not an address"}, {**profile(2), "email": "not an address"}])

    assert fates(outcomes) == {"row 0": "refused", "row 1": "imported"}
    assert sent_without(outcomes) == {"row 1": ["email"]}


def test_an_answer_that_names_a_row_and_no_cell() -> None:
    """Without a cell that could be taken out nothing goes again."""
    script = Importing(judge=lambda people: None if len(people) < 2 else Says(400, errors(("/data/attributes/profiles/data/0", "No."))))
    outcomes, server = run(script, batch([profile(1), profile(2)]))
    assert fates(outcomes) == {"row 0": "refused", "row 1": "imported"}
    assert len(server.bodies()) == 2
