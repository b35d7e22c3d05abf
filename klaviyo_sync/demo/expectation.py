"""What must come out: worked out from what the sample knows about its own rows, without the code that imports them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb

# The sandbox's import jobs fail for these customers, as Klaviyo's sometimes do.
NOT_STORED = "C-00777"


class Expected(NamedTuple):
    """The counts of one sync, over all windows of the demo."""

    read: int
    imported: int
    superseded: int
    rejected: int
    failed: int


class Person(NamedTuple):
    """Someone in all four datasets, and what Klaviyo must know about them."""

    email: str
    first_name: object
    phone_number: object
    city: object
    balance: object
    segments: object
    churn_score: object
    audiences: object


class ExpectedConsent(NamedTuple):
    """The counts of one sync's statements for one channel, over all windows of the demo."""

    channel: str
    stated: int
    subscribed: int
    unsubscribed: int
    guarded: int
    skipped: int
    refused: int
    rejected: int


class Refuser(NamedTuple):
    """Someone who said no to Klaviyo itself, whatever the warehouse says. `phone_number` is there for who also said no to texts."""

    email: str
    phone_number: str | None


KNOWN = """
    WITH known AS (
        SELECT *,
            printf('C-%06d', person) LIKE $not_stored || '%' AND sync <> 'segments' AS not_stored,
            row_number() OVER (PARTITION BY person, rejected ORDER BY modified_at DESC) AS age
        FROM sample.rows
        WHERE sync = $sync AND modified_at <= $now
    )
"""

COUNTS = """
    SELECT
        count(*),
        count(*) FILTER (NOT rejected AND age = 1 AND NOT not_stored),
        count(*) FILTER (NOT rejected AND age > 1),
        count(*) FILTER (rejected),
        count(*) FILTER (NOT rejected AND age = 1 AND not_stored)
    FROM known
    WHERE modified_at < $until
"""

CONSENT = """
    , newest AS (
        SELECT *, unnest(stated, recursive := true), NOT rejected AND age > 1 AS superseded FROM known WHERE modified_at < $until
    ),
    -- An opt-out goes out without its row, where the row says whose it is.
    leaving AS (SELECT *, meaning = 'unsubscribe' AND (NOT rejected OR dirt = 'huge_text' OR repaired) AS leaves_alone FROM newest),
    judged AS (
        SELECT
            channel,
            meaning,
            CASE
                -- Its person's newest row says the same.
                WHEN superseded THEN 'skipped'
                WHEN wrong OR (rejected AND NOT leaves_alone) THEN 'rejected'
                WHEN not_stored AND NOT leaves_alone THEN 'refused'
                WHEN meaning = 'unsubscribe' OR no.n IS NULL OR (channel = 'sms_marketing' AND NOT no.sms) THEN 'sent'
                WHEN leaving.dated THEN 'skipped'
                ELSE 'guarded'
            END AS fate
        FROM leaving LEFT JOIN sample.opted_out AS no ON no.n = person
        WHERE NOT (superseded AND wrong)
    )
    SELECT
        channel,
        count(*),
        count(*) FILTER (fate = 'sent' AND meaning = 'subscribe'),
        count(*) FILTER (fate = 'sent' AND meaning = 'unsubscribe'),
        count(*) FILTER (fate = 'guarded'),
        count(*) FILTER (fate = 'skipped'),
        count(*) FILTER (fate = 'refused'),
        count(*) FILTER (fate = 'rejected')
    FROM judged
    GROUP BY channel
    ORDER BY channel
"""

REFUSERS = "SELECT no.email, CASE WHEN no.sms THEN phone_e164 END FROM sample.opted_out AS no JOIN sample.people USING (n) ORDER BY n"

PEOPLE = """
    SELECT email, first_name, phone_e164, city, balance::DOUBLE, segments, score, audiences::JSON::VARCHAR[]
    FROM sample.people
    JOIN analytics.loyalty_members AS loyalty USING (customer_id, email, first_name, city)
    JOIN (SELECT customer_id, arg_max(score, scored_at) AS score FROM ml.churn_scores GROUP BY customer_id) USING (customer_id)
    JOIN marketing.segments ON "E-Mail" = email
    WHERE phone_e164 IS NOT NULL AND len(segments) > 0
        AND n NOT IN (SELECT person FROM sample.rows WHERE dirt IS NOT NULL OR modified_at >= $until)
        AND n NOT IN (SELECT person FROM sample.rows WHERE sync <> 'churn_scores' GROUP BY person, sync HAVING count(*) > 1)
        AND n IN (SELECT person FROM sample.rows WHERE sync = 'crm_contacts')
        AND customer_id NOT LIKE $not_stored || '%'
    ORDER BY n
    LIMIT $number
"""


class Sample:
    """The sample warehouse, asked what must come of its rows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def counts(self, sync: str, until: datetime, now: datetime) -> Expected:
        """What must become of the rows of one sync that were changed before `until`, `now` being the time of the import."""
        found = self.rows(KNOWN + COUNTS, {"sync": sync, "until": until, "now": now, "not_stored": NOT_STORED})
        return Expected(*found[0])

    def consent(self, sync: str, until: datetime, now: datetime) -> list[ExpectedConsent]:
        """The same of what the rows state about consent, a line per channel."""
        found = self.rows(KNOWN + CONSENT, {"sync": sync, "until": until, "now": now, "not_stored": NOT_STORED})
        return [ExpectedConsent(*row) for row in found]

    def refusers(self) -> list[Refuser]:
        """Those whose rows say Subscribe, and who have said no to Klaviyo itself."""
        return [Refuser(*row) for row in self.rows(REFUSERS, {})]

    def people(self, number: int, until: datetime) -> list[Person]:
        """So many people who are clean in every dataset, and in whom nothing changed since `until`."""
        return [Person(*row) for row in self.rows(PEOPLE, {"until": until, "number": number, "not_stored": NOT_STORED})]

    def rows(self, query: str, values: dict[str, object]) -> list[tuple]:
        """The rows of a query."""
        with duckdb.connect(str(self.path), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(query, values).fetchall()
