"""A run that is killed leaves nothing behind that the next run does not put right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from crash_place import CrashPlace, crash_place

PEOPLE = 300
SLOW = {"job_seconds": (0.0, 0.3), "seed": 7}
KILLS_A_ROUND = 3
FEWEST = 40


@pytest.fixture
def place(tmp_path: Path) -> Iterator[CrashPlace]:
    """A Klaviyo whose jobs outlive the runs that started them."""
    with crash_place(tmp_path / "killed", PEOPLE, **SLOW) as made:
        yield made


def versions(place: CrashPlace) -> dict[str, int]:
    """The version of everybody who was imported into Klaviyo; an opt-out that went out before makes a profile without one."""
    profiles = {name: attributes.get("properties", {}) for name, attributes in place.profiles().items()}
    return {name: properties["Version"] for name, properties in profiles.items() if "Version" in properties}


def kill(random: Random, events: int) -> dict[str, int | float]:
    """A way to die: at one of the events inside the run, at a request to Klaviyo, at a moment."""
    return random.choice([{"dies": random.randint(1, events)}, {"requests": random.randint(1, 36)}, {"seconds": random.random() * 0.5}])


@pytest.mark.parametrize("rounds", [3, pytest.param(12, marks=pytest.mark.long)])
def test_killed_anywhere_and_run_again(place: CrashPlace, tmp_path: Path, rounds: int) -> None:
    """After dozens of kills, with rows that change meanwhile, one whole run ends where runs without kills end."""
    random = Random(5)
    kills, events = 0, FEWEST
    with crash_place(tmp_path / "undisturbed", PEOPLE, job_seconds=0.0) as undisturbed:
        for _ in range(rounds):
            step = random.choice([1, 2, 3, 5])
            place.change(step)
            undisturbed.change(step)
            for _ in range(KILLS_A_ROUND):
                before = versions(place)
                ended, _ = place.run(range(place.day), **kill(random, events))  # type: ignore[arg-type]
                kills += ended != 0
                after, newest = versions(place), place.expected()
                assert all(after[name] >= version for name, version in before.items()), "a profile went back in time"
                assert all(version <= newest[name] for name, version in after.items())
                assert all(text.endswith("\n") for name, text in place.rejects().items() if name.endswith(".csv"))
            ended, events = undisturbed.run(range(undisturbed.day))
            assert (ended, events > FEWEST) == (0, True), "a run has events all along, at which it can be killed"
        assert place.run(range(place.day))[0] == 0
        assert kills >= rounds * KILLS_A_ROUND * 0.6
        assert versions(place) == place.expected()
        assert place.profiles() == undisturbed.profiles()
        assert place.consents() == undisturbed.consents()
        assert place.rejects() == undisturbed.rejects()
        assert place.members() == undisturbed.members()
