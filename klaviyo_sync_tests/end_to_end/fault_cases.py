"""The fault matrix as data: what is made to go wrong where, and what is then true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Where = Literal["first", "middle", "last"]
Fault = dict[str, Any]

WHERE: tuple[Where, ...] = ("first", "middle", "last")
IMPORT, JOB, JOBS = "bulk_import_profiles", "get_bulk_import_profiles_job", "get_bulk_import_profiles_jobs"
ERRORS, SUBSCRIBE, UNSUBSCRIBE = "get_errors_for_bulk_import_profiles_job", "bulk_subscribe_profiles", "bulk_unsubscribe_profiles"
PLACES: dict[Where, dict[str, Any]] = {
    "first": {"number": 4, "one": "n0_@", "many": "n1", "order": 0, "page": 0, "start": 3},
    "middle": {"number": 20, "one": "n5000_@", "many": "n5", "order": 2, "page": 5, "start": 6},
    "last": {"number": 36, "one": "n9999_@", "many": "n9", "order": 4, "page": 11, "start": 9},
}
"""A row of the first, the middle or the last of five batches; the same for jobs, for pages of errors, for all requests of a run."""


@dataclass(frozen=True)
class Truth:
    """What is true of a run that met a fault, and of the next one, which meets none.

    `run`: green, red, or green after Dagster tried `attempts` times. `says`: what a red run says. The counts are of all
    windows; of a run that broke there are none. `next`: what the next run is while the fault's traces last.
    """

    run: Literal["green", "red"] = "green"
    says: str = ""
    attempts: int = 1
    broke: bool = False
    refused: int = 0
    failed: int = 0
    unknown: int = 0
    unsent: int = 0
    next: Literal["green", "red"] = "green"


@dataclass(frozen=True)
class Case:
    """A fault, where it can strike, and the truth about it. In `faults`, names in capitals stand for what depends on the place."""

    name: str
    faults: tuple[Fault, ...]
    truth: Truth
    where: tuple[Where, ...] = WHERE
    sync: Literal["members", "subscribers", "many"] = "members"
    speed: float = 10_000.0
    read: float = 60.0

    def at(self, where: Where) -> list[Fault]:
        """The faults at a place."""
        place = PLACES[where]
        words = {
            "ROW": f"{self.sync[0]}{place['number']}_@",
            "ONE": place["one"],
            "ROWS": place["many"],
            "OPTED": f"{self.sync[0]}{place['number'] + 1}_@",
        }
        numbers = {"ORDER": place["order"], "PAGE": place["page"], "START": place["start"]}
        made = []
        for fault in self.faults:
            if fault.get("containing") == "BATCH":
                start = place["number"] // 8 * 8
                made += [{**fault, "containing": f"{self.sync[0]}{number}_@"} for number in range(start, start + 8)]
            else:
                made.append(
                    {name: {**words, **numbers}.get(value, value) if isinstance(value, str) else value for name, value in fault.items()}
                )
        return made


def post(kind: str, **options: Any) -> tuple[Fault, ...]:
    """A fault of the import request that holds the row."""
    return ({"kind": kind, "endpoint": IMPORT, "containing": "ROW", **options},)


def consent(kind: str, endpoint: str = SUBSCRIBE, **options: Any) -> tuple[Fault, ...]:
    """A fault of the consent call that holds the row."""
    return ({"kind": kind, "endpoint": endpoint, "containing": "OPTED" if endpoint == UNSUBSCRIBE else "ROW", **options},)


PASSES = Truth()
RETRIED = Truth(attempts=2)
UNAVAILABLE = Truth("red", "Unavailable: ", attempts=3, broke=True)
REFUSED = Truth("red", "Refused: ", broke=True)
NO_LIST = Truth("red", "ConfigError: ", broke=True)
UNPROVEN = Truth("red", "did not say whether", unknown=8)

CASES = (
    Case("429 burst", post("429", times=12), PASSES),
    Case("429 without Retry-After", post("429", times=12, retry_after=None), PASSES),
    Case("500 twice", post("500", times=2), PASSES),
    Case("500, 8 times", post("500", times=4 + 3), RETRIED),
    Case("500 for ever", post("500", times=0), UNAVAILABLE),
    Case("502, a web page", post("502", times=3), PASSES),
    Case("503", post("503", times=7), PASSES),
    Case("504, though carried out", post("504", carried_out=True), PASSES),
    Case("connection refused a while", post("outage", seconds=0.1), PASSES, speed=20.0),
    Case("connection refused for long", post("outage", seconds=600), UNAVAILABLE),
    Case("reset before the body", post("reset", times=3), PASSES),
    Case("reset after accept", post("reset", carried_out=True), PASSES),
    Case("answer cut short", post("truncated", times=2), PASSES),
    Case("garbage for an answer", post("garbage", times=3), PASSES),
    Case("garbage for ever", post("garbage", times=0), UNAVAILABLE),
    Case("slower than the time-out", post("slow", seconds=2.0), PASSES, read=1.0),
    Case("401 from here on", ({"kind": "401", "times": 0, "skip": "START"},), REFUSED),
    Case("403", post("403", times=0), REFUSED),
    Case("403, a web page, once", post("403_html"), PASSES),
    Case("413", post("413", times=3), PASSES),
    Case("413 for one row", post("413", times=0), Truth(refused=1)),
    Case("one bad row in 10,000", ({"kind": "row", "containing": "ONE", "early": True},), Truth(refused=1), sync="many"),
    Case(
        "1,111 bad rows in 10,000",
        ({"kind": "row", "containing": "ROWS", "early": True},),
        Truth(refused=1111),
        sync="many",
        where=("middle",),
    ),
    Case("one bad row", ({"kind": "row", "containing": "ROW", "early": True},), Truth(refused=1)),
    Case("every row bad", ({"kind": "row", "containing": "BATCH", "early": True},), Truth(refused=8)),
    Case("400 without a row, once", post("400"), PASSES),
    Case("400 without a row, for one row", post("400", times=0), Truth(refused=1)),
    Case("one row fails late", ({"kind": "row", "containing": "ROW"},), Truth(failed=1)),
    Case("every row fails late", ({"kind": "row", "containing": "BATCH"},), Truth(failed=8)),
    Case("1,111 rows fail late, 12 pages", ({"kind": "row", "containing": "ROWS"},), Truth(failed=1111), sync="many"),
    Case("job cancelled", ({"kind": "job_cancelled", "containing": "ROW"},), UNPROVEN),
    Case(
        "job stuck in the queue", ({"kind": "job_stuck_queued", "containing": "ROW"},), Truth("red", UNPROVEN.says, unknown=8, next="red")
    ),
    Case("job never ends", ({"kind": "job_stuck_processing", "containing": "ROW"},), Truth("red", UNPROVEN.says, unknown=8, next="red")),
    Case("job vanishes", ({"kind": "job_vanished", "containing": "ROW"},), UNPROVEN),
    Case("a page of errors fails twice", ({"kind": "502", "endpoint": ERRORS, "skip": "ORDER", "times": 2},), PASSES),
    Case(
        "no page of errors can be read",
        ({"kind": "500", "endpoint": ERRORS, "times": 0},),
        Truth("red", UNPROVEN.says, unknown=40),
        where=("first",),
    ),
    Case("the last page of errors fails", ({"kind": "500", "endpoint": ERRORS, "skip": "ORDER", "times": 0},), UNPROVEN, where=("last",)),
    Case(
        "one of 12 pages of errors fails",
        ({"kind": "row", "containing": "ROWS"}, {"kind": "garbage", "endpoint": ERRORS, "skip": "PAGE", "times": 4}),
        Truth("red", UNPROVEN.says, unknown=10_000),
        sync="many",
        where=("first", "last"),
    ),
    Case(
        "job states cannot be read",
        ({"kind": "503", "endpoint": JOB, "times": 0}, {"kind": "503", "endpoint": JOBS, "times": 0, "skip": 1}),
        UNAVAILABLE,
        where=("last",),
    ),
    Case("list gone before", ({"kind": "lists_gone", "endpoint": "get_list"},), NO_LIST, where=("first",)),
    Case("list gone", post("lists_gone"), REFUSED),
    Case("subscribe: 400 for one person", consent("400", times=0), Truth(unsent=1), sync="subscribers"),
    Case("subscribe: 413", consent("413"), PASSES, sync="subscribers", where=("middle",)),
    Case("subscribe: 403", consent("403", times=0), REFUSED, sync="subscribers"),
    Case("subscribe: reset after accept", consent("reset", carried_out=True), PASSES, sync="subscribers"),
    Case("unsubscribe: 400 for one person", consent("400", UNSUBSCRIBE, times=0), Truth(unsent=1), sync="subscribers"),
    Case("unsubscribe: 503 for ever", consent("503", UNSUBSCRIBE, times=0), UNAVAILABLE, sync="subscribers"),
    Case(
        "consent cannot be read",
        ({"kind": "500", "endpoint": "get_profiles", "skip": "ORDER", "times": 0},),
        UNAVAILABLE,
        sync="subscribers",
    ),
    Case("consent of a failed row", ({"kind": "row", "containing": "ROW"},), Truth(failed=1, unsent=1), sync="subscribers"),
    Case(
        "consent of a cancelled job",
        ({"kind": "job_cancelled", "containing": "ROW"},),
        Truth("red", UNPROVEN.says, unknown=8, unsent=4),  # their two opt-outs go out
        sync="subscribers",
    ),
)
