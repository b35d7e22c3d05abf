"""A run that is killed between two of its steps: it runs again, and Klaviyo holds what it would hold without the kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from crash_place import FIRST, CrashPlace, crash_place

from klaviyo_sync.sandbox import Sandbox
from klaviyo_sync.sandbox.answers import Answer

IMPORT, SUBSCRIBE, UNSUBSCRIBE = "bulk_import_profiles", "bulk_subscribe_profiles", "bulk_unsubscribe_profiles"
MAIL = "email_marketing"
PEOPLE, MOST = 60, 25


class Moment(NamedTuple):
    """A run dies when Klaviyo has the so-manyth request of an operation, which it has carried out or not."""

    operation: str
    number: int
    carried_out: bool


MOMENTS = {
    "before the first opt-out": Moment(UNSUBSCRIBE, 1, carried_out=False),
    "between the opt-outs and the import": Moment(IMPORT, 1, carried_out=False),
    "while the import is answered": Moment(IMPORT, 1, carried_out=True),
    "between two batches": Moment(IMPORT, 2, carried_out=False),
    "between the import and the opt-outs that go again": Moment(UNSUBSCRIBE, 2, carried_out=False),
    "between the import and the subscribes": Moment(SUBSCRIBE, 1, carried_out=False),
    "between two kinds of subscribes": Moment(SUBSCRIBE, 1, carried_out=True),
}


class Deadly(Sandbox):
    """A local Klaviyo that has a run killed before it answers a certain request."""

    moment: Moment | None = None
    seen = 0
    child: Callable[[], int]

    def count(self, operation: str, answer: Answer) -> None:
        """Notes one request, and kills who sent it."""
        super().count(operation, answer)
        if self.moment is not None and operation == self.moment.operation:
            self.seen += 1
            if self.seen == self.moment.number:
                self.moment = None
                os.kill(self.child(), signal.SIGKILL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrashPlace]:
    """People whose rows changed on one day, three batches of them."""
    with crash_place(tmp_path_factory.mktemp("kills") / "place", PEOPLE, MOST, kind=Deadly, job_seconds=0.0) as made:
        made.change()
        yield made


def held_before(place: CrashPlace) -> None:
    """Klaviyo as it was: everybody who opts out is subscribed, and every other one who subscribes without a date has opted out."""
    place.box.reset()
    for number in range(PEOPLE):
        mail = f"p{number}@shop.example"
        if number % 5 == 1:
            place.box.opt_in(mail, MAIL, FIRST)
        if number % 10 == 0:
            place.box.opt_out(mail, MAIL, FIRST)


def state(place: CrashPlace) -> tuple[Any, ...]:
    """What Klaviyo holds."""
    return place.profiles(), place.consents(), place.members()


def test_killed_between_steps(place: CrashPlace) -> None:
    """No opt-out is missing, nobody is subscribed against one, and no number is lost, wherever between two steps a run died."""
    box = place.box
    assert isinstance(box, Deadly)
    held_before(place)
    assert place.run(range(1))[0] == 0
    place.child.get()
    expected = state(place)
    assert {expected[1][f"p{number}@shop.example"] for number in range(1, 46, 5)} == {"UNSUBSCRIBED"}
    assert {expected[1][f"p{number}@shop.example"] for number in range(0, 41, 10)} == {"UNSUBSCRIBED"}
    box.child = place.child.get
    for name, moment in MOMENTS.items():
        held_before(place)
        if not moment.carried_out:
            box.faults.add("503", endpoint=moment.operation, skip=moment.number - 1)
        box.seen, box.moment = 0, moment
        assert place.run(range(1))[0] == -signal.SIGKILL, f"{name}: the run was not killed"
        box.faults.clear()
        consents = place.consents()
        assert all(consents.get(f"p{number}@shop.example") == "UNSUBSCRIBED" for number in range(0, 41, 10)), name
        assert place.run(range(1))[0] == 0, name
        place.child.get()
        assert state(place) == expected, name
