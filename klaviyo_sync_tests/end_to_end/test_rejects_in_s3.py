"""Rejects files in a real S3 (moto's server): written by a run, probed before it, and what a run says when they cannot be."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from moto.server import ThreadedMotoServer
from run_place import RunPlace
from upath import UPath

from klaviyo_sync.core.errors import ConfigError, Unavailable
from klaviyo_sync.core.reports import COLUMNS
from klaviyo_sync.rejects import Rejects
from klaviyo_sync.rejects_store import PAUSES, Store
from klaviyo_sync.sandbox import Sandbox, serve

NOW = datetime(2026, 1, 10, tzinfo=UTC)
DAY = "2026-01-02"
SYNC = {
    "name": "members",
    "connection": "local",
    "dataset": "members",
    "modified_at": "changed",
    "frequency": "daily",
    "start": "2026-01-01",
    "profile": {"email": "email"},
}
TABLE = f"""
CREATE TABLE members AS SELECT *, TIMESTAMPTZ '{DAY} 10:00+00' AS changed FROM (VALUES ('ok@example.com'), ('no address')) AS _(email)
"""


class S3:
    """A local S3, which can be stopped and started again at the same address, with a bucket."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self.server.start()
        self.port = self.server.get_host_and_port()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        requests.post(f"{self.url}/moto-api/reset", timeout=60).raise_for_status()
        requests.put(f"{self.url}/acme", timeout=60).raise_for_status()

    def restart(self) -> None:
        """Starts it again after it was stopped."""
        self.server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self.server.start()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """A local S3 that the environment's credentials open."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    made = S3()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", made.url)
    UPath("s3://acme").fs.clear_instance_cache()
    yield made
    UPath("s3://acme").fs.clear_instance_cache()
    made.server.stop()


def place_of(folder: Path, box: Sandbox, url: str, rejects: str) -> RunPlace:
    """A place whose rejects files lie at an address."""
    place = RunPlace(folder, box, url, sync=SYNC, table=TABLE, now=NOW)
    place.rejects = Rejects(rejects)
    return place


def test_a_run_writes_into_s3(s3: S3, tmp_path: Path) -> None:
    """The rejects file of a window is an object in the bucket, and nothing else is left there; a later run replaces it."""
    box = Sandbox(limits=False, job_seconds=0.0)
    with serve(box) as server:
        place = place_of(tmp_path, box, server.url, "s3://acme/rejects")
        place.report(DAY)
        result = place.report(DAY).results[DAY]
    assert (result.imported, result.rejected) == (1, 1)
    [file] = UPath("s3://acme/rejects").glob("**/*.csv")
    assert str(file) == place.rejects.address("members", DAY) == f"s3://acme/rejects/members/{DAY}.csv"
    assert file.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    assert len(requests.get(f"{s3.url}/acme", timeout=60).text.split("<Key>")) == 2


def test_a_bucket_that_is_not_there(s3: S3, tmp_path: Path) -> None:
    """A misspelt bucket ends the run before anything is read or sent, and is not made."""
    box = Sandbox(limits=False, job_seconds=0.0)
    with serve(box) as server:
        place = place_of(tmp_path, box, server.url, "s3://acne/rejects")
        with pytest.raises(ConfigError, match=r"s3://acne/rejects.*Nothing was read or sent\. .*bucket or container must exist"):
            place.report(DAY)
    assert not box.requests
    assert "<Name>acne</Name>" not in requests.get(s3.url, timeout=60).text


def test_old_files_in_s3_are_removed(s3: S3) -> None:
    """`keep` bounds the life of files in a bucket as in a folder."""
    assert s3.url
    for name in ("2020-01-01.csv", "notes.csv"):
        (UPath("s3://acme/rejects/members") / name).write_text("row\n", encoding="utf-8")
    store = Store("s3://acme/rejects")
    assert store.remove_older(store.path / "members", datetime.now(UTC) - timedelta(days=1)) == 0
    assert store.remove_older(store.path / "members", datetime.now(UTC) + timedelta(days=1)) == 1
    assert [path.name for path in (store.path / "members").iterdir()] == ["notes.csv"]


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_store_that_fails_at_the_end(s3: S3, *, comes_back: bool) -> None:
    """A store that fails after everything was sent is tried again with pauses; for good, the run says in sentences what that means."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if comes_back:
            s3.restart()

    rejects = Rejects("s3://acme/rejects")
    rejects.store = Store("s3://acme/rejects", sleep)
    with rejects.open("members", [DAY]) as files:
        rejects.store.probe()
        files.add([(0, dict.fromkeys(COLUMNS, "x"))])
        s3.server.stop()
        if comes_back:
            files.publish()
        else:
            with pytest.raises(Unavailable, match=r"Everything was sent, but the windows do not count as done.*safe"):
                files.publish()
    assert pauses == ([PAUSES[0]] if comes_back else list(PAUSES))
    if comes_back:
        assert rejects.file("members", DAY).exists()
    else:
        s3.restart()
