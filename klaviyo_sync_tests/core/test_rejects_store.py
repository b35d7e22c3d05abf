"""The place of the rejects files: opened before anything is read, never a traceback of a store's package, nothing of others removed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from klaviyo_sync.cli.connect import ask_rejects
from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, Refused, Unavailable
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.rejects_store import Store

NOW = datetime(2026, 6, 1, tzinfo=UTC)


class HttpError(Exception):
    """An error that carries its HTTP status, as gcsfs raises it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"status {code}")
        self.code = code


class ClientAuthenticationError(Exception):
    """Named as azure's own, which shares no base with others."""


def test_a_missing_package_names_its_extra() -> None:
    """Without the package of an address, opening the place says which extra of this package brings it."""
    script = """
import sys
sys.modules.update(s3fs=None, gcsfs=None, adlfs=None)
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.rejects_store import Store
for folder in ("s3://acme/rejects", "gs://acme/rejects", "az://acme/rejects", "abfss://acme/rejects"):
    try:
        Store(folder)
    except ConfigError as error:
        print(error)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert ["klaviyo-sync[s3]" in said[0], "klaviyo-sync[gcs]" in said[1], "klaviyo-sync[azure]" in said[2]] == [True] * 3
    assert all("not installed" in line for line in said)
    assert len(said) == 4


@pytest.mark.parametrize("folder", ["s3://acme/rejects", "gs://acme/rejects", "az://acme/rejects", "abfs://acme/rejects"])
def test_addresses_of_files(folder: str) -> None:
    """The file of a window lies below the address that was given, whatever the store."""
    assert Rejects(folder).address("members", "2026-01-01") == f"{folder}/members/2026-01-01.csv"


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (FileNotFoundError("The specified bucket does not exist"), ConfigError),
        (PermissionError("Access Denied"), Refused),
        (NoCredentialsError(), Refused),
        (HttpError(401), Refused),
        (HttpError(403), Refused),
        (HttpError(503), Unavailable),
        (ClientAuthenticationError("expired"), Refused),
        (ValueError("Must provide either a connection_string or account_name with credentials!!"), ConfigError),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), Unavailable),
        (TimeoutError(), Unavailable),
        (OSError("I/O"), Unavailable),
        (KeyError("anything else"), Unavailable),
    ],
)
def test_every_error_of_a_store_is_one_of_three_kinds(raised: Exception, kind: type[KlaviyoSyncError]) -> None:
    """Whatever a store raises becomes the kind that says who must act, in sentences that name the address."""
    with pytest.raises(KlaviyoSyncError) as caught, Store("memory://acme/rejects").failing("Nothing was sent."):
        raise raised
    assert type(caught.value) is kind
    assert str(caught.value).startswith("The rejects files cannot be written to memory://acme/rejects: ")
    assert "Nothing was sent. " in str(caught.value)


def test_a_probe_leaves_nothing(tmp_path: Path) -> None:
    """A place that can be written passes, and the probe file is gone."""
    Store(str(tmp_path / "rejects")).probe()
    assert list((tmp_path / "rejects").iterdir()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder in which nobody can make one")
def test_a_missing_folder_is_no_bucket() -> None:
    """Of a folder that nobody can make the message speaks of folders and rights, not of buckets."""
    with pytest.raises(ConfigError, match=r"Nothing was read or sent\. Name another folder"):
        Store("/proc/rejects").probe()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the place of the folder is the configuration's fault, for a run and for check --connect."""
    (tmp_path / "rejects").write_text("a file", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"Nothing was read or sent\. Name another folder"):
        Store(str(tmp_path / "rejects")).probe()
    assert not ask_rejects(str(tmp_path / "rejects")).good
    good = ask_rejects(str(tmp_path / "others"))
    assert (good.good, good.said) == (True, "a probe file was written and removed")


def logged() -> tuple[list[str], Callable[[str], object]]:
    """A log, and the function that writes to it."""
    lines: list[str] = []
    return lines, lines.append


def test_old_files_of_the_sync_are_removed(tmp_path: Path) -> None:
    """With `keep`, files of windows that were written longer ago go at the end of a run; nothing that is not ours does."""
    folder = tmp_path / "members"
    folder.mkdir()
    ours = ["2026-01-01.csv", "2026-01-02-03:15.csv", "2026-10-25-02:00+0100.csv", "2026-01-03.csv.part"]
    others = ["2026-01-01 (copy).csv", "notes.csv", "2026-01-01.xlsx", "my 2026-01-01.csv"]
    for name in (*ours, *others, "2026-05-31.csv"):
        (folder / name).write_text("row\n", encoding="utf-8")
        written = (NOW - timedelta(days=1 if name == "2026-05-31.csv" else 91)).timestamp()
        os.utime(folder / name, (written, written))
    (folder / "2025-01-01.csv").mkdir()
    lines, log = logged()
    Rejects(str(tmp_path)).remove_old("members", NOW, log)
    assert len(list(folder.iterdir())) == len(ours) + len(others) + 2
    Rejects(str(tmp_path), timedelta(days=90)).remove_old("members", NOW, log)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*others, "2026-05-31.csv", "2025-01-01.csv"])
    assert lines == ["4 rejects files older than 90 days were removed."]


def test_nothing_to_remove(tmp_path: Path) -> None:
    """A sync that never had a rejects file has nothing to remove, and says nothing."""
    lines, log = logged()
    Rejects(str(tmp_path), timedelta(days=90)).remove_old("members", NOW, log)
    assert lines == []
