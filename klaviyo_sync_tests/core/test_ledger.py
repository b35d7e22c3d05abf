"""The ledger: from which dataset into which account, and what becomes of results that do not say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klaviyo_sync.core.coverage import BEGINNING, Coverage, Span
from klaviyo_sync.core.ledger import ANYWHERE, MOST_SPANS, Destination, Entry, Ledger, Origin, WasFirst, closed_ledger, expanded

MEMBERS, SCORES = "local/crm.members", "local/ml.scores"
SHOP, OTHER, SANDBOX = (
    Origin(MEMBERS, "AbC123", sandbox=False),
    Origin(MEMBERS, "XyZ789", sandbox=False),
    Origin(MEMBERS, "SANDBX", sandbox=True),
)
REAL, TRY = Destination(None, sandbox=False), Destination(None, sandbox=True)

ORIGINS = st.builds(
    Origin, st.sampled_from([None, MEMBERS, SCORES]), st.sampled_from([None, "AbC123", "XyZ789"]), st.sampled_from([None, True, False])
)
SPANS = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda pair: Span(float(pair[0]), float(sum(pair))))
ENTRIES = st.lists(st.builds(Entry, SPANS, ORIGINS, st.booleans()), max_size=15)
DESTINATIONS = st.builds(Destination, st.sampled_from([None, "AbC123"]), st.sampled_from([None, True, False]))


def covered(*entries: Entry, dataset: str = MEMBERS, destination: Destination = REAL) -> tuple[Span, ...]:
    """What these entries, newest first, cover."""
    return closed_ledger(entries, began_at(2)).coverage(dataset, destination).spans


def began_at(moment: float) -> WasFirst:
    """Whether a window is the first of a sync whose windows begin at this moment."""
    return lambda span: span.start <= moment


def old(start: int, end: int) -> Entry:
    """A result of a version that stored no more than its window."""
    return Entry(Span(start, end), may_have_history=True)


def test_the_same_dataset_and_account() -> None:
    """Spans count for the dataset and the account that they were imported from and into."""
    done = Entry(Span(0, 5), SHOP)
    assert covered(done) == (Span(0, 5),)
    assert covered(done, dataset=SCORES) == ()
    assert covered(done, destination=Destination("AbC123", sandbox=False)) == (Span(0, 5),)
    assert covered(done, destination=Destination("XyZ789", sandbox=False)) == ()


def test_the_account_of_the_newest_result_is_the_present_one() -> None:
    """Where the configuration names no account, it is the one that was last imported into; what went into another is not done."""
    assert covered(Entry(Span(5, 6), OTHER), Entry(Span(0, 5), SHOP)) == (Span(5, 6),)
    assert covered(Entry(Span(6, 7), SHOP), Entry(Span(5, 6), OTHER), Entry(Span(0, 5), SHOP)) == (Span(0, 5), Span(6, 7))


def test_a_sandbox_is_another_account_before_anybody_asks() -> None:
    """What was imported into the sandbox is not done once the address is Klaviyo's, and the other way round."""
    tried = Entry(Span(0, 5), SANDBOX)
    assert covered(tried, destination=REAL) == ()
    assert covered(tried, destination=TRY) == (Span(0, 5),)
    assert covered(tried, destination=ANYWHERE) == (Span(0, 5),)


def test_an_upgrade_reloads_nothing() -> None:
    """Results of earlier versions count, the first window with its history, before and after the first run that stores an account."""
    assert covered(old(5, 9), old(2, 5)) == (Span(BEGINNING, 9),)
    assert covered(Entry(Span(9, 10), SHOP), old(5, 9), old(2, 5)) == (Span(BEGINNING, 10),)
    assert covered(Entry(Span(9, 10), SHOP), old(2, 5), old(7, 9)) == (Span(BEGINNING, 5), Span(7, 10))


def test_the_earliest_result_of_an_earlier_version_need_not_be_the_first_window() -> None:
    """Where the first window was never imported, neither is what lies before the earliest result, nor the history."""
    assert covered(old(7, 9), old(5, 7)) == (Span(5, 9),)
    assert covered(Entry(Span(9, 10), SHOP), old(5, 9)) == (Span(5, 10),)


@pytest.mark.parametrize(
    ("origin", "dataset"), [(OTHER, MEMBERS), (Origin(SCORES, "AbC123", sandbox=False), SCORES)], ids=["another account", "another dataset"]
)
def test_results_of_earlier_versions_stay_with_their_account_and_dataset(origin: Origin, dataset: str) -> None:
    """They belong to the account and the dataset of the first run after the upgrade; those that come later do not inherit them."""
    later = Entry(Span(9, 10), origin)
    assert covered(later, Entry(Span(8, 9), SHOP), old(2, 8), dataset=dataset) == (Span(9, 10),)


def test_results_of_earlier_versions_are_no_sandboxs() -> None:
    """Whoever tries the sandbox first after the upgrade still finds them done in the account."""
    assert covered(Entry(Span(9, 10), SANDBOX), old(2, 9), destination=REAL) == (Span(BEGINNING, 9),)


def test_a_hand_written_result_has_no_history() -> None:
    """Only a result that a run stored can have taken older rows along."""
    assert covered(Entry(Span(2, 5))) == (Span(2, 5),)


@given(ENTRIES, ENTRIES, st.sampled_from([MEMBERS, SCORES]), DESTINATIONS)
def test_a_checkpoint_is_as_good_as_everything_before_it(
    newer: list[Entry], older: list[Entry], dataset: str, destination: Destination
) -> None:
    """Reading back to a ledger that was written down gives what reading everything gives."""
    newer = [Entry(entry.span, entry.origin) for entry in newer]  # what is stored beside checkpoints says its history
    ledger = Ledger()
    for entry in newer:
        ledger.add(entry)
    written = closed_ledger(older, began_at(2)).compact()
    assert written is not None
    ledger.continue_with(expanded(json.loads(json.dumps(written))))
    assert ledger.coverage(dataset, destination).spans == closed_ledger([*newer, *older], began_at(2)).coverage(dataset, destination).spans


@given(ENTRIES, DESTINATIONS)
def test_nothing_is_covered_that_was_not_imported(entries: list[Entry], destination: Destination) -> None:
    """Whatever the origins, what is covered lies in the spans of the entries, of which the first window may reach back."""
    firsts = [Span(BEGINNING, entry.span.end) for entry in entries if entry.may_have_history and entry.span.start <= 2]
    spans = [*(entry.span for entry in entries), *firsts]
    assert Coverage(spans).covers_all(closed_ledger(entries, began_at(2)).coverage(MEMBERS, destination).spans)


def test_a_ledger_full_of_holes_is_not_written_down() -> None:
    """A checkpoint stays small: with very many holes the results themselves are read."""
    assert closed_ledger((Entry(Span(2 * n, 2 * n + 1), SHOP) for n in range(MOST_SPANS + 1)), began_at(0)).compact() is None
    assert closed_ledger((Entry(Span(n, n + 1), SHOP) for n in range(MOST_SPANS + 1)), began_at(0)).compact() is not None
