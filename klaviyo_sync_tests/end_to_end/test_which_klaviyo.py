"""Which Klaviyo is asked: real processes of the command line and of Dagster, with variables in the shell and in `.env`."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from klaviyo_sync.sandbox import Sandbox, serve
from shell import environment, type_in

REAL = "https://a.klaviyo.com"
ROWS = "CREATE TABLE members AS SELECT '{}' AS email, TIMESTAMPTZ '2026-01-01 10:00Z' AS updated_at"
SYNC = "connection: local\ndataset: members\nmodified_at: updated_at\nfrequency: daily\nstart: 2026-01-01\nprofile: {email: email}\n"
CHECK = "klaviyo-sync check --connect"
PREVIEW = "klaviyo-sync preview members --window 2026-01-01"
MATERIALIZE = "dagster asset materialize --select 'key:\"klaviyo/members\"' --partition 2026-01-01 -m klaviyo_sync.definitions"


class Outside(NamedTuple):
    """A proxy that stands for the way to everything outside this machine, and what went there."""

    address: str
    seen: list[bytes]


@pytest.fixture
def outside() -> Iterator[Outside]:
    """The way out, which leads nowhere."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    seen.append(connection.recv(1000))
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield Outside(f"http://127.0.0.1:{server.getsockname()[1]}", seen)
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


class Place(NamedTuple):
    """A user's own folder, with two warehouses, and the accounts of two sandboxes, called SHELL1 and DOTENV."""

    folder: Path
    boxes: dict[str, Sandbox]
    urls: dict[str, str]
    outside: Outside

    def configure(self, base_url: str = "", **dotenv: str) -> None:
        """Writes klaviyo_sync.yaml, with a line for base_url or none, and `.env`."""
        line = f"  base_url: {base_url}\n" if base_url else ""
        text = (
            f"klaviyo:\n  api_key: {{env: KLAVIYO_API_KEY}}\n{line}connections:\n  local: {{type: duckdb, path: {{env: WAREHOUSE_FILE}}}}\n"
        )
        (self.folder / "klaviyo_sync.yaml").write_text(text, encoding="utf-8")
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in dotenv.items()), encoding="utf-8")

    def type_in(self, command: str, **shell: str) -> subprocess.CompletedProcess[str]:
        """What became of a command in a shell with these variables."""
        ways_out = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), self.outside.address)
        nothing = {"NO_PROXY": "", "no_proxy": "", "DAGSTER_HOME": str(self.folder / "home")}
        defaults = {"KLAVIYO_API_KEY": "pk_shell", "WAREHOUSE_FILE": "shell.duckdb"}
        return type_in(command, self.folder, environment(**ways_out, **nothing, **{**defaults, **shell}))

    def emails(self, account: str) -> list[str]:
        """Whom an account has as profiles."""
        profiles = self.boxes[account].profiles
        return [profiles.attributes(number)["email"] for number in range(len(profiles))]


@pytest.fixture
def place(tmp_path: Path, outside: Outside) -> Iterator[Place]:
    """Each sandbox takes one key only, and each warehouse has one person only, so that mixtures show."""
    (tmp_path / "syncs").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "syncs" / "members.yaml").write_text(SYNC, encoding="utf-8")
    for name in ("shell", "dotenv"):
        with duckdb.connect(str(tmp_path / f"{name}.duckdb")) as connection:
            connection.execute(ROWS.format(f"{name}@example.com"))
    boxes = {name: Sandbox(account=name, limits=False, job_seconds=0) for name in ("SHELL1", "DOTENV")}
    with serve(boxes["SHELL1"]) as shell, serve(boxes["DOTENV"]) as dotenv:
        yield Place(tmp_path, boxes, {"SHELL1": shell.url, "DOTENV": dotenv.url}, outside)


def test_the_env_file_wins_over_the_shell_everywhere(place: Place) -> None:
    """The command line and Dagster take address, key and warehouse from `.env`, also where the shell says something else."""
    address = place.urls["DOTENV"]
    place.configure(KLAVIYO_BASE_URL=address, KLAVIYO_API_KEY="pk_dotenv", WAREHOUSE_FILE="dotenv.duckdb")
    place.boxes["DOTENV"].keys = {"pk_dotenv": place_scopes()}
    previewed = place.type_in(f"{PREVIEW} --examples", KLAVIYO_BASE_URL=place.urls["SHELL1"])
    assert previewed.returncode == 0, previewed.stderr
    assert previewed.stdout.startswith(f"Klaviyo at {address}: ")
    assert "DOTENV" in previewed.stdout.splitlines()[0]
    assert "dotenv@example.com" in previewed.stdout
    imported = place.type_in(MATERIALIZE, KLAVIYO_BASE_URL=place.urls["SHELL1"])
    assert imported.returncode == 0, imported.stdout[-3000:] + imported.stderr[-3000:]
    assert f"Klaviyo at {address}: " in imported.stderr + imported.stdout
    assert (place.emails("DOTENV"), place.boxes["SHELL1"].requests.total()) == (["dotenv@example.com"], 0)


@pytest.mark.parametrize(
    ("command", "base_url"),
    [
        *((CHECK, ""), (PREVIEW, REAL), (CHECK, "{env: OTHER}")),
        *(
            pytest.param(command, base_url, marks=pytest.mark.long)
            for command, base_url in ((CHECK, REAL), (PREVIEW, ""), (PREVIEW, "{env: OTHER}"))
        ),
        *(pytest.param(command, "{env: KLAVIYO_BASE_URL}", marks=pytest.mark.long) for command in (CHECK, PREVIEW)),
    ],
)
def test_an_exported_sandbox_is_what_commands_ask(place: Place, command: str, base_url: str) -> None:
    """`export KLAVIYO_BASE_URL=...` leads to the sandbox, whatever the file says, and the first line printed names its account."""
    place.configure(base_url)
    done = place.type_in(command, KLAVIYO_BASE_URL=place.urls["SHELL1"], OTHER=REAL)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("Klaviyo at ")]
    assert lines[0].startswith(f"Klaviyo at {place.urls['SHELL1']}: ")
    assert "SHELL1" in lines[0]
    assert place.outside.seen == []


def test_an_exported_sandbox_is_what_dagster_imports_into(place: Place) -> None:
    """The same for a run, although the file names the real Klaviyo; the run's log says which account it writes to."""
    place.configure(REAL)
    done = place.type_in(MATERIALIZE, KLAVIYO_BASE_URL=place.urls["SHELL1"])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"Klaviyo at {place.urls['SHELL1']}: " in done.stderr + done.stdout
    assert (place.emails("SHELL1"), place.outside.seen) == (["shell@example.com"], [])


@pytest.mark.parametrize("command", [CHECK, pytest.param(PREVIEW, marks=pytest.mark.long), MATERIALIZE])
def test_an_exported_sandbox_that_the_env_file_overrules_is_refused(place: Place, command: str) -> None:
    """`.env` wins; but who exported a sandbox's address does not mean the real Klaviyo: nothing is asked, and a sentence says why."""
    place.configure(KLAVIYO_BASE_URL=REAL)
    done = place.type_in(command, KLAVIYO_BASE_URL=place.urls["SHELL1"])
    assert done.returncode == 1
    assert f"KLAVIYO_BASE_URL is {place.urls['SHELL1']} in the shell, but .env replaces it" in " ".join((done.stderr + done.stdout).split())
    assert (place.boxes["SHELL1"].requests.total(), place.outside.seen) == (0, [])


def test_a_sandbox_in_the_env_file_overrules_a_remote_address(place: Place) -> None:
    """The other way round `.env` wins as well, and nothing leaves this machine."""
    place.configure(KLAVIYO_BASE_URL=place.urls["DOTENV"])
    done = place.type_in(CHECK, KLAVIYO_BASE_URL=REAL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (place.boxes["DOTENV"].requests.total() > 0, place.outside.seen) == (True, [])


def test_an_empty_address_is_an_error(place: Place) -> None:
    """`KLAVIYO_BASE_URL=` says nothing, and so must not mean the real Klaviyo."""
    place.configure()
    done = place.type_in(CHECK, KLAVIYO_BASE_URL="")
    assert (done.returncode, done.stdout, place.outside.seen) == (1, "", [])
    assert "the environment variable KLAVIYO_BASE_URL: found nothing" in done.stderr


def place_scopes() -> frozenset[str]:
    """All scopes that are needed."""
    return frozenset(("accounts:read", "lists:read", "lists:write", "profiles:read", "profiles:write", "subscriptions:write"))
