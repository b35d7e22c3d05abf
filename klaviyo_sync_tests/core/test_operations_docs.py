"""docs/operations.md names everything that an operator can meet, as the catalogues have it, and nothing that is gone.

`python test_operations_docs.py` writes the tables of codes and of failures anew.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from klaviyo_sync.core.clear_counts import ClearCounts
from klaviyo_sync.core.consent_counts import CONSENT_PARTS, ConsentCounts
from klaviyo_sync.core.consent_reasons import ALL_CODES
from klaviyo_sync.core.coverage import Span
from klaviyo_sync.core.result import IssueKind, Result
from klaviyo_sync.core.stopping import NO_CHANGES, Reason, Stop
from klaviyo_sync.core.sync import Sync
from klaviyo_sync.core.windows import Window
from klaviyo_sync.klaviyo.accounts import Account
from klaviyo_sync.orchestration import checks
from klaviyo_sync.orchestration.checks import CONSENT_ISSUES, DELIVERY_CODES, OVERALL, PER_WINDOW, Overview, stopped_metadata
from klaviyo_sync.orchestration.failures import BUG, NEXT, UNPROVEN
from klaviyo_sync.orchestration.late import Late
from klaviyo_sync.orchestration.schedules import LATE_ROWS_JOB
from klaviyo_sync.orchestration.stops import Stopped, judged, observations
from klaviyo_sync.orchestration.stored import IMPORTED_BEFORE, metadata
from klaviyo_sync.sync_window import Report

FILE = Path(__file__).parents[2] / "docs" / "operations.md"
CODES = "| code | check | effect | means | what to do |"
FAILURES = "| it says | who | what to do | what happens by itself |"
EFFECTS = {"row": "stays behind", "superseded": "superseded", "cell": "left out", "note": "told"}
WHO = {
    "HaltedError": ("the owner of the dataset", "nothing until it is let through or the data change; each tick tries once"),
    "ConfigError": ("the author of the YAML", "nothing until it is corrected; each tick of the schedule tries once"),
    "Refused": ("the owner of the API key or of the warehouse rights", "likewise"),
    "SlotTakenError": ("nobody", "by the next tick"),
    "Unavailable": ("nobody", "tried again twice inside the run, after about 30 and 60 seconds, then by the next tick"),
}
DAY = datetime(2026, 1, 1, tzinfo=UTC)
SYNC = Sync.model_validate(
    {
        "name": "people",
        "connection": "there",
        "dataset": "people",
        "modified_at": "changed",
        "frequency": "daily",
        "start": "2026-01-01",
        "profile": {"email": "email"},
        "consent": {"email_marketing": "email_consent"},
    }
)
RESULT = Result(
    read=1,
    imported=1,
    consent={"email_marketing": ConsentCounts(stated=1, sent=1)},
    clears=ClearCounts(to_clear=1, cleared=1),
    issues=Counter(dict.fromkeys((IssueKind("column", code) for code in ALL_CODES), 1)),
)


def lines(head: str) -> list[str]:
    """The lines of the table with this head."""
    page = FILE.read_text(encoding="utf-8")
    return page[page.index(head) :].split("\n\n", 1)[0].splitlines()[2:]


def table(rows: Iterable[Iterable[str]]) -> list[str]:
    """Rows as the page has them."""
    return [f"| {' | '.join(row)} |" for row in rows]


def code_lines() -> list[str]:
    """The table of codes as it should be."""
    order = {name: place for place, name in enumerate(PER_WINDOW)}
    found = [(check_of(name), f"`{name}`", EFFECTS[code.effect], code.message, code.advice) for name, code in ALL_CODES.items()]
    return table((name, f"`{check}`", *rest) for check, name, *rest in sorted(found, key=lambda row: order[row[0]]))


def check_of(code: str) -> str:
    """The check that shows a code."""
    return "delivery" if code in DELIVERY_CODES else "consent" if code in CONSENT_ISSUES else "mapping"


def failure_lines() -> list[str]:
    """The table of failures as it should be."""
    kinds = [(f"`{kind.__name__}`", WHO[kind.__name__][0], advice, WHO[kind.__name__][1]) for kind, (_, advice) in NEXT.items()]
    unproven = ("Klaviyo did not say whether these went in", "nobody", UNPROVEN, "the next tick asks again for the windows that are named")
    bug = ("(text withheld, it may quote a cell)", "us", BUG, "tried again twice inside the run, then by the next tick")
    return table([*kinds, unproven, bug])


def named() -> list[str]:
    """Everything in code marks."""
    return re.findall(r"`([^`\n]+)`", FILE.read_text(encoding="utf-8"))


def test_every_code_has_its_line() -> None:
    """Each code has one line with its check, effect, meaning and remedy, and no line names a code that is gone."""
    assert lines(CODES) == code_lines()


def test_every_failure_has_its_line() -> None:
    """Each kind of failure has one line with the advice that the run gives."""
    assert lines(FAILURES) == failure_lines()


def test_every_check_has_its_line() -> None:
    """Each check has one line in the table of checks, and the table has no other."""
    told = [line.split(" | ")[0].strip("| `") for line in lines("| check | green |")]
    assert told == [*PER_WINDOW, *OVERALL]
    assert LATE_ROWS_JOB in named()


def test_every_name_in_the_metadata_is_told() -> None:
    """What a window or a check shows beside its verdict is named on the page."""
    window = Window("2026-01-01", DAY, DAY + timedelta(days=1), first=True)
    report = Report({}, 0, 0, 1.0, "single_opt_in", account=Account("AbC123", "Shop", "UTC", test_account=False))
    query = SYNC.model_copy(update={"dataset": None, "query": "SELECT 1"})
    names = set(metadata(query, window, RESULT, report, "rejects.csv", sandbox=False)) | {IMPORTED_BEFORE}
    for check in (checks.mapping, checks.consent, checks.delivery, checks.accounting):
        names |= set(check(SYNC, RESULT).metadata)
    report = Report({}, 0, 0, 1.0, changes={window.key: NO_CHANGES}, exceeded={window.key: (Reason("rows", ""),)})
    names |= set(judged(report, window, {}, "run", DAY)) | set(stopped_metadata([Stopped(window.key, Span(0, 1), "", 1, 0, DAY, 0, 1)]))
    [observed] = observations(dg.AssetKey("a"), [window], {window.key: Stop((), 1, 1, DAY)})
    names |= set(observed.metadata)
    late = Late(DAY, 1, 1, 1, {"2026-01-01": 1}, "Unavailable: no answer")
    names |= set(checks.completeness(SYNC, Overview(2, ["2026-01-02"], 1, 1, {"2026-01-01": 1}, 1, 1, late)).metadata)
    channels = {f"<channel>_{name.removeprefix('email_marketing_')}" if name.startswith("email_marketing_") else name for name in names}
    assert channels - set(named()) == set()
    assert set(CONSENT_PARTS) - set(named()) == set()


if __name__ == "__main__":
    text = FILE.read_text(encoding="utf-8")
    for head_, found_ in ((CODES, code_lines()), (FAILURES, failure_lines())):
        before, after = text.split(head_, 1)
        rule = re.sub(r"[^|]+", "---", head_)
        text = "\n".join([f"{before}{head_}", rule, *found_]) + "\n\n" + after.split("\n\n", 1)[1]
    FILE.write_text(text, encoding="utf-8")
