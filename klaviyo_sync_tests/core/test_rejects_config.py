"""`rejects` in klaviyo_sync.yaml: a folder or address alone, or with how long files are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from klaviyo_sync.config import Project, load
from klaviyo_sync.core.errors import ConfigError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PROJECT = "klaviyo: {api_key: {env: KEY}}\nconnections: {local: {type: duckdb, path: w.duckdb}}\n"
SYNC = "connection: local\ndataset: people\nmodified_at: changed\nfrequency: daily\nstart: 2026-01-01\nprofile: {email: mail}\n"


def loaded(folder: Path, rejects: str, **environ: str) -> Project:
    """The project with this value under `rejects`."""
    (folder / "syncs").mkdir()
    (folder / "syncs" / "people.yaml").write_text(SYNC, encoding="utf-8")
    (folder / "klaviyo_sync.yaml").write_text(f"{PROJECT}rejects: {rejects}\n", encoding="utf-8")
    return load(folder / "klaviyo_sync.yaml", environ, NOW)


@pytest.mark.parametrize(
    ("rejects", "folder", "keep"),
    [
        ("s3://acme/rejects", "s3://acme/rejects", None),
        ("{folder: s3://acme/rejects, keep: 90d}", "s3://acme/rejects", timedelta(days=90)),
        ("{folder: {env: PLACE}, keep: {env: KEEP}}", "gs://acme/rejects", timedelta(weeks=4)),
        ("{env: PLACE}", "gs://acme/rejects", None),
    ],
)
def test_addresses_and_keep(tmp_path: Path, rejects: str, folder: str, keep: timedelta | None) -> None:
    """The address stays as it is written, alone, in a mapping or from variables; without `keep` files stay for good."""
    project = loaded(tmp_path, rejects, PLACE="gs://acme/rejects", KEEP="4w")
    assert (project.rejects, project.keep_rejects) == (folder, keep)


def test_keep_alone(tmp_path: Path) -> None:
    """A mapping without a folder means the folder `rejects` beside the file, as no key at all does."""
    project = loaded(tmp_path, "{keep: 30d}")
    assert (project.rejects, project.keep_rejects) == (str(tmp_path / "rejects"), timedelta(days=30))


@pytest.mark.parametrize(
    ("rejects", "said"),
    [
        ("{folder: x, keep: 1h}", '3:22: rejects.keep: found "1h", expected at least 1d'),
        ("{folder: x, keep: long}", 'rejects.keep: found "long", expected a duration'),
        ("{foldr: x}", 'rejects.foldr: unknown key; did you mean "folder"?'),
        ("{folder: 5}", "rejects.folder: found 5, expected a text"),
        ("{folder: {env: NOWHERE}}", "NOWHERE"),
        ("5", "rejects: found 5, expected a folder, an address, or a mapping with folder"),
        ("[a]", "expected a folder, an address, or a mapping with folder"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, rejects: str, said: str) -> None:
    """A wrong value is named by its key, with what was expected."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, rejects)
    assert said in str(caught.value)
