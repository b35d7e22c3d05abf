"""The sample warehouse keeps its promises: the same every time, dirty in known ways, and nobody real in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import phonenumbers
import pytest

from klaviyo_sync.demo.warehouse import OPTED_OUT, build

NOW = datetime(2026, 11, 24, 11, tzinfo=UTC)
RESERVED = re.compile(r"(example\.(com|org|net)|[a-z]+\.example)", re.IGNORECASE)
DATASETS = {
    "crm.contacts": "updated_at",
    "analytics.loyalty_members": "updated_at",
    "ml.churn_scores": "timezone('UTC', timezone('Europe/Berlin', scored_at))",
    "marketing.segments": '"Modified At"',
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse in its full size, read-only."""
    path = tmp_path_factory.mktemp("sample") / "warehouse.duckdb"
    build(path, NOW)
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def column(sample: duckdb.DuckDBPyConnection, query: str) -> list[object]:
    """The first column of a query's rows."""
    return [row[0] for row in sample.execute(query).fetchall()]


def international(phone: str, country: str) -> str | None:
    """The number in E.164 form, or None when there can be no such number."""
    try:
        number = phonenumbers.parse(phone, country)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_valid_number(number) else None


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every dataset, as text, in the order in which they are stored."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return {dataset: connection.execute(f"SELECT rows::VARCHAR FROM {dataset} AS rows").fetchall() for dataset in DATASETS}


def test_the_same_moment_gives_the_same_warehouse(tmp_path: Path) -> None:
    """Two builds for one moment hold the same rows in the same order, also over an older file."""
    first, again = tmp_path / "first.duckdb", tmp_path / "again.duckdb"
    build(again, NOW - timedelta(days=3), people=50)
    for path in (first, again):
        build(path, NOW, people=600)
    assert contents(first) == contents(again)


def test_every_dataset_holds_tens_of_thousands_or_nearly(sample: duckdb.DuckDBPyConnection) -> None:
    """Enough rows for batches to fill, few enough to build in seconds."""
    sizes = {dataset: sample.execute(f"SELECT count(*) FROM {dataset}").fetchall()[0][0] for dataset in DATASETS}
    assert sizes["crm.contacts"] > 20_000
    assert sizes["ml.churn_scores"] > 40_000
    assert min(sizes.values()) > 8_000


def test_every_kind_of_dirt_is_there(sample: duckdb.DuckDBPyConnection) -> None:
    """Each kind that sample.dirt names stands in at least one row of its dataset."""
    missing = sample.execute("""
        SELECT dataset, kind FROM sample.dirt
        EXCEPT
        SELECT CASE sync WHEN 'crm_contacts' THEN 'contacts' ELSE split_part(sync, '_', 1) END, dirt FROM sample.rows
    """).fetchall()
    assert missing == []


def test_three_to_five_rows_in_a_hundred_are_dirty(sample: duckdb.DuckDBPyConnection) -> None:
    """As dirty as real tables, no more: what is clean must stay the rule."""
    shares = column(sample, "SELECT count(dirt) / count(*) FROM sample.rows GROUP BY sync")
    assert all(isinstance(share, float) and 0.025 <= share <= 0.05 for share in shares)


def test_addresses_are_on_reserved_domains(sample: duckdb.DuckDBPyConnection) -> None:
    """Nothing that could be delivered to anyone: RFC 2606 domains only, in the junk too."""
    texts = column(
        sample,
        'SELECT email FROM crm.contacts UNION SELECT email FROM analytics.loyalty_members UNION SELECT "E-Mail" FROM marketing.segments',
    )
    domains = {text.rpartition("@")[2].strip(" .") for text in texts if isinstance(text, str) and "@" in text}
    assert len(domains) > 5
    assert [domain for domain in domains if domain and not RESERVED.fullmatch(domain)] == []


def test_clean_phones_exist_and_junk_phones_do_not(sample: duckdb.DuckDBPyConnection) -> None:
    """The rules of libphonenumber agree with the sample about which telephone numbers can exist."""
    rows = sample.execute("""
        SELECT coalesce(dirt, '') = 'junk_phone', phone, contacts.country_code, phone_e164
        FROM sample.rows JOIN sample.people ON n = person JOIN crm.contacts ON contacts.customer_id = people.customer_id
        WHERE sync = 'crm_contacts' AND n % 3 = 0 AND phone IS NOT NULL AND (dirt IS NULL OR dirt = 'junk_phone')
    """).fetchall()
    assert len(rows) > 4_000
    for junk, phone, country, expected in rows:
        assert international(phone, country) == (None if junk else expected), (phone, country)


def test_phones_belong_to_one_person_each(sample: duckdb.DuckDBPyConnection) -> None:
    """No two people share a number or an address: an identifier names one profile."""
    assert column(sample, "SELECT phone_e164 FROM sample.people WHERE phone_e164 IS NOT NULL GROUP BY ALL HAVING count(*) > 1") == []
    assert column(sample, "SELECT email FROM sample.people GROUP BY ALL HAVING count(*) > 1") == []


@pytest.mark.parametrize("dataset", DATASETS)
def test_windows_of_the_last_days_hold_rows(sample: duckdb.DuckDBPyConnection, dataset: str) -> None:
    """Each of the last 72 hours has changes, and most rows are older than that."""
    moment = DATASETS[dataset]
    hours = column(
        sample, f"SELECT DISTINCT date_trunc('hour', {moment}::TIMESTAMPTZ) FROM {dataset} WHERE {moment}::TIMESTAMPTZ <= '{NOW}'"
    )
    assert {NOW - timedelta(hours=age) for age in range(1, 73)} <= {hour.astimezone(UTC) for hour in hours if isinstance(hour, datetime)}
    older = column(sample, f"SELECT avg(({moment}::TIMESTAMPTZ < '{NOW - timedelta(days=3)}')::INTEGER) FROM {dataset}")[0]
    assert isinstance(older, float)
    assert older > 0.6


@pytest.mark.parametrize(
    ("what", "query"),
    [
        ("NULL modified_at", "FROM crm.contacts WHERE updated_at IS NULL"),
        ("modified_at in the future", f"FROM analytics.loyalty_members WHERE updated_at > '{NOW}'"),
        ("no identifier at all", "FROM crm.contacts WHERE coalesce(email, phone, customer_id) IS NULL"),
        ("one address in two spellings", "FROM crm.contacts GROUP BY lower(trim(email)) HAVING count(DISTINCT email) > 1"),
        ("control characters", "FROM crm.contacts WHERE regexp_matches(first_name, '[\\x00-\\x1f]')"),
        ("emoji", "FROM crm.contacts WHERE first_name LIKE '%🌻%'"),
        ("empty strings", "FROM crm.contacts WHERE first_name = ''"),
        ("more text than a profile may hold", 'FROM crm.contacts WHERE length("Street Address") > 100000'),
        ("national telephone numbers", "FROM crm.contacts WHERE phone LIKE '0%' AND country_code = 'DE'"),
        ("national telephone numbers without a country", "FROM crm.contacts WHERE phone NOT LIKE '+%' AND country_code IS NULL"),
        ("NaN", "FROM ml.churn_scores WHERE isnan(score)"),
        ("infinity", "FROM analytics.loyalty_members WHERE isinf(lifetime_value)"),
        ("zero", "FROM analytics.loyalty_members WHERE balance = 0"),
        ("NULL in a list", "FROM analytics.loyalty_members WHERE len(segments) > list_count(segments)"),
        ("lists that are not JSON", "FROM marketing.segments WHERE NOT json_valid(audiences)"),
        ("several scores to a customer", "FROM ml.churn_scores GROUP BY customer_id HAVING count(DISTINCT scored_at) > 2"),
        ("postal codes with a leading zero", "FROM crm.contacts WHERE zip LIKE '0%'"),
        ("consent in words that say nothing", "FROM crm.contacts WHERE email_consent = 'true'"),
    ],
)  # fmt: skip
def test_the_dirt_is_what_it_says(sample: duckdb.DuckDBPyConnection, what: str, query: str) -> None:
    """Each mess that the documentation names can be found in the rows themselves."""
    assert sample.execute(f"SELECT 1 {query} LIMIT 1").fetchall(), f"no row with {what}"


def test_three_people_will_have_opted_out(sample: duckdb.DuckDBPyConnection) -> None:
    """Their rows say Subscribe, once with a date, once without, once for text messages too; and they are not new."""
    rows = sample.execute("""
        SELECT sample.opted_out.n, contacts.email, email_consent_at IS NOT NULL, sms_consent IS NOT NULL
        FROM sample.opted_out JOIN crm.contacts ON customer_id = printf('C-%06d', opted_out.n)
        WHERE email_consent = 'Subscribe' AND updated_at < '2026-11-20'
    """).fetchall()
    assert sorted(rows) == [tuple(person) for person in OPTED_OUT]
