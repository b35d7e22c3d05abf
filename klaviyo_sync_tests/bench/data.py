"""The table that every benchmark reads: 20 columns, 19 of them mapped, about 580 bytes of JSON a profile."""

from __future__ import annotations

from pathlib import Path

import duckdb

TABLE = """
CREATE TABLE profiles AS
WITH pools AS (
  SELECT ['Anna','Björn','Chloé','Dmitri','Eve','François','Grace','Hiroshi','Ines','João','Kim','Léa','Nina','Olga','Paul','Rosa','Søren','Tom'] AS first,
         ['Smith','García','Müller','Nguyen','O''Brien','Kowalski','Tanaka','Rossi','Dubois','Andersen','Silva','Johansson','Ivanov','Yılmaz'] AS last,
         ['New York','Köln','Paris','São Paulo','Tokyo','London','Kraków','Roma','Boston','Malmö','Athína','Sydney'] AS city,
         ['US','DE','FR','BR','JP','GB','PL','IT','US','SE','GR','AU'] AS country,
         ['gold','silver','bronze','vip','newsletter','churn-risk','b2b','loyal'] AS tag)
SELECT 'cust_' || lpad(i::VARCHAR, 9, '0') AS external_id,
       CASE WHEN i % 20 <> 0 THEN 'user' || i || '@' || ['mail.example.com','example.org','mail.example.co.uk','post.example.net'][1 + i % 4] END AS email,
       CASE WHEN i % 1000 < {national} THEN '0151 ' ELSE '+49151' END || lpad((10000000 + i)::VARCHAR, 8, '0') AS phone,
       first[1 + i % 18] AS first_name, last[1 + (i // 3) % 14] AS last_name, city[1 + i % 12] AS city,
       CASE WHEN i % 1000 < {national} THEN 'DE' ELSE country[1 + i % 12] END AS country, lpad((i % 99999)::VARCHAR, 5, '0') AS zip,
       (i * 37) % 100000 AS loyalty_points, CASE WHEN i % 7 <> 0 THEN (i * 7919 % 500000) / 97.0 END AS ltv, i % 3 = 0 AS is_vip,
       CASE WHEN i % 4 <> 0 THEN DATE '1960-01-01' + ((i * 13) % 18000)::INT END AS birthday,
       TIMESTAMP '2024-01-01' + to_seconds((i * 11) % 50000000) AS last_order_at, ((i * 31) % 1000000 / 100)::DECIMAL(12, 2) AS avg_order_value,
       CASE WHEN i % 10 <> 0 THEN [tag[1 + i % 8], tag[1 + (i // 8) % 8], tag[1 + (i // 64) % 8]] END AS tags,
       CASE WHEN i % 6 <> 0 THEN ('{{"source":"web","utm":{{"campaign":"c' || (i % 50) || '","medium":"email"}},"scores":[' || (i % 10) || ',' || (i % 7) || '.5,null],"note":"café"}}')::JSON END AS attrs,
       i % 2 = 0 AS app_user, i % 9 = 0 AS store_card, TIMESTAMP '2023-06-01' + to_seconds((i * 3) % 30000000) AS joined_at,
       TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_microseconds(i * 1000000) AS modified_at
FROM range({rows}) AS r(i), pools
"""

SYNC = {
    "name": "bench",
    "connection": "local",
    "dataset": "profiles",
    "modified_at": "modified_at",
    "frequency": "monthly",
    "start": "2026-01-01",
    "profile": {
        "external_id": "external_id",
        "email": "email",
        "phone_number": {"column": "phone", "country": "country"},
        "first_name": "first_name",
        "last_name": "last_name",
        "location.city": "city",
        "location.country": "country",
        "location.zip": "zip",
    },
    "properties": {
        name: name
        for name in (
            "loyalty_points", "ltv", "is_vip", "birthday", "last_order_at", "avg_order_value", "tags", "attrs", "app_user", "store_card", "joined_at",
        )
    },
}  # fmt: skip


CONTESTED = """
CREATE TABLE profiles AS
SELECT * REPLACE ('cust_' || customer AS external_id, 'user' || customer || '@mail.example.com' AS email,
                  '+49151' || lpad((10000000 + customer)::VARCHAR, 8, '0') AS phone, 'DE' AS country),
       ['Subscribe', 'Unsubscribe', NULL][1 + i % 3] AS email_consent, modified_at AS email_consent_at
FROM (SELECT *, row_number() OVER () - 1 AS i, i % {customers} AS customer FROM plain)
"""

CONSENT = {"consent": {"email_marketing": {"column": "email_consent", "timestamp": "email_consent_at"}}}


def make_contested_table(path: Path, rows: int, share: float) -> None:
    """Writes the table with consent; so large a share of its rows is about somebody whom another row is about as well."""
    make_table(path, rows, 0.0)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 2; SET enable_progress_bar = false; ALTER TABLE profiles RENAME TO plain")
        connection.execute(CONTESTED.format(customers=rows - round(rows * share / 2)))
        connection.execute("DROP TABLE plain")


def make_table(path: Path, rows: int, national_share: float = 0.05) -> None:
    """Writes the table; `national_share` of the phone numbers are in national form, so that they need parsing."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 2; SET enable_progress_bar = false")
        connection.execute(TABLE.format(rows=rows, national=round(national_share * 1000)))
