"""The queries, run on a real DuckDB: awkward names, what is not there, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from query_place import TABLE, Opens, taken

from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.query import Column, find_column


@pytest.mark.parametrize(
    "name",
    [
        'the "id"',
        "it's",
        "a.b",
        "id; DROP TABLE people",
        "back\\slash",
        "🎉",
        "select",
        "{x}",
        "%s",
        "$lower",
        "src",
        "lower",
        "-- x",
        "/*",
    ],
)
def test_awkward_column_names(opens: Opens, name: str) -> None:
    """Any name that DuckDB can quote can be an identifier's column, and a property's."""
    quoted = '"' + name.replace('"', '""') + '"'
    source = opens(
        f"CREATE TABLE people ({quoted} VARCHAR, changed TIMESTAMP); INSERT INTO people VALUES ('x', '2026-01-02')",
        profile={"external_id": name},
        properties={"P": name},
    )
    assert taken(source, "2026-01-02") == {"2026-01-02": ["x"]}


@pytest.mark.parametrize(
    ("dataset", "made"),
    [
        ("people", "people"),
        ("main.people", "people"),
        ("PEOPLE", "people"),
        ('crm."the people"', 'crm."the people"'),
        ('"crm"."a.b"', 'crm."a.b"'),
        ('"say ""hi"""', '"say ""hi"""'),
    ],
)
@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_awkward_datasets(opens: Opens, dataset: str, made: str, kind: str) -> None:
    """Tables and views are found by quoted and unquoted names of up to three parts."""
    source = opens(f"CREATE SCHEMA crm; CREATE {kind} {made} AS SELECT 'x' AS id, TIMESTAMP '2026-01-02' AS changed", dataset=dataset)
    assert taken(source, "2026-01-02") == {"2026-01-02": ["x"]}


@pytest.mark.parametrize("dataset", ["people; DROP TABLE people", "a.b.c.d", "", " ", "(SELECT 1)", "read_csv('x')", "a b c"])
def test_datasets_that_are_no_name(opens: Opens, dataset: str) -> None:
    """A dataset is the name of a table or view, and nothing that could be run."""
    with pytest.raises(ConfigError):
        opens(TABLE + "('x', '2026-01-02')", dataset=dataset or "''")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, changed FROM people",
        "select id, changed from people;",
        "SELECT id, changed FROM people -- all of them",
        "SELECT id, changed FROM people /* ; */ ; -- done",
        "WITH p AS (SELECT * FROM people) SELECT * FROM p",
        "SELECT id, changed FROM people UNION ALL SELECT id, changed FROM people WHERE false",
        "(SELECT id, changed FROM people)",
        "SELECT 'DROP; TABLE' AS note, id, changed FROM people ORDER BY changed LIMIT 10",
        "SELECT lower AS id, changed FROM (SELECT id AS lower, changed FROM people)",
        "FROM people",
        "SELECT id, changed FROM people WHERE id NOT LIKE '%$lower%' AND id <> ':upper ?'",
    ],
)
def test_queries(opens: Opens, query: str) -> None:
    """One SELECT is run as it was written."""
    source = opens(TABLE + "('x', '2026-01-02'), ('y', '2026-01-03')", dataset=None, query=query)
    assert taken(source, "2026-01-02", "2026-01-03") == {"2026-01-02": ["x"], "2026-01-03": ["y"]}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; SELECT 2",
        "SELECT id, changed FROM people; DROP TABLE people",
        "INSERT INTO people VALUES ('x', NULL)",
        "INSERT INTO people SELECT * FROM people RETURNING *",
        "UPDATE people SET id = NULL",
        "DELETE FROM people",
        "DROP TABLE people",
        "CREATE TABLE more AS SELECT * FROM people",
        "COPY people TO 'people.csv'",
        "COPY (SELECT * FROM people) TO 'people.csv'",
        "SELECT * INTO more FROM people",
        "WITH gone AS (DELETE FROM people RETURNING *) SELECT * FROM gone",
        "ATTACH 'other.duckdb'",
        "PRAGMA database_list",
        "SET memory_limit = '1GB'",
        "EXPORT DATABASE 'x'",
        "CALL pragma_version()",
        "INSTALL httpfs",
        "LOAD httpfs",
        "EXPLAIN ANALYZE SELECT 1",
        "TRUNCATE people",
        "SELECT id, changed FROM people) AS src; DROP TABLE people; SELECT * FROM (people",
        "SELECT id, changed FROM people FOR UPDATE",
        "",
        ";",
        "-- nothing",
        "people",
        "SELECT FROM WHERE",
    ],
)
def test_queries_that_are_not_one_select(opens: Opens, query: str) -> None:
    """Two statements, and whatever could change something, are refused before they reach the warehouse."""
    with pytest.raises(ConfigError, match=r"query|SELECT"):
        opens(TABLE + "('x', '2026-01-02')", dataset=None, query=query or " ")


@pytest.mark.parametrize(
    ("tables", "changes", "said"),
    [
        (TABLE + "('x', NULL)", {"dataset": "peple"}, "people"),
        (TABLE + "('x', NULL)", {"modified_at": "chnged"}, "Did you mean changed?"),
        (TABLE + "('x', NULL)", {"profile": {"external_id": "idd"}}, "Did you mean id?"),
        (TABLE + "('x', NULL)", {"properties": {"P": "nothing like it"}}, "It has: id, changed"),
        (TABLE + "('x', NULL)", {"modified_at": "id"}, "VARCHAR; expected a timestamp or a date"),
        ("CREATE TABLE people (id VARCHAR, changed BIGINT)", {}, "BIGINT; expected a timestamp or a date"),
        ("CREATE TABLE people (id VARCHAR, changed TIME)", {}, "TIME; expected a timestamp or a date"),
        ("CREATE TABLE people (id BLOB, changed TIMESTAMP)", {}, "BLOB"),
        (TABLE + "('x', NULL)", {"dataset": None, "query": "SELECT id, changedt FROM people"}, '"changed"'),
    ],
)
def test_what_is_not_there(opens: Opens, tables: str, changes: dict[str, Any], said: str) -> None:
    """A missing table or column, or a wrong type, is the configuration's fault; the nearest name is told."""
    with pytest.raises(ConfigError) as caught:
        opens(tables, **changes)
    assert said in str(caught.value)


def test_names_that_differ_in_case_only() -> None:
    """Where two columns differ in case only, the exact one is taken, and any other spelling is refused."""
    columns = [Column("Id", "VARCHAR"), Column("ID", "VARCHAR")]
    assert find_column("ID", columns, "people").name == "ID"
    with pytest.raises(ConfigError, match="could be Id, ID"):
        find_column("id", columns, "people")


def test_case_of_column_names(opens: Opens) -> None:
    """A column is found whatever the case of its name."""
    source = opens("CREATE TABLE people (Id VARCHAR, CHANGED TIMESTAMP); INSERT INTO people VALUES ('x', '2026-01-02')")
    assert taken(source, "2026-01-02") == {"2026-01-02": ["x"]}


def test_a_column_of_nothing_but_null(opens: Opens) -> None:
    """A column that a SELECT fills with NULL has no type of its own; it is read as text, and its cells are left out."""
    query = "SELECT 'a' AS id, NULL AS email, TIMESTAMPTZ '2026-01-01 06:00:00Z' AS changed"
    source = opens("SELECT 1", dataset=None, query=query, profile={"external_id": "id", "email": "email"})
    assert taken(source, "2026-01-01") == {"2026-01-01": ["a"]}


def test_a_missing_column_among_many() -> None:
    """Of a table with many columns the nearest names are told, and how many there are, in a message that can be read."""
    columns = [Column(f"segment_{number}", "VARCHAR") for number in range(1_200)] + [Column("Email_Address", "VARCHAR")]
    with pytest.raises(ConfigError) as caught:
        find_column("email_adress", columns, "people")
    assert "Did you mean Email_Address? It has 1,201 columns; the nearest are Email_Address" in str(caught.value)
    with pytest.raises(ConfigError, match="It has 1,201 columns; none is spelled like zzz"):
        find_column("zzz", columns, "people")
    with pytest.raises(ConfigError) as caught:
        find_column("segment_x", columns, "people")
    assert len(str(caught.value)) < 250
