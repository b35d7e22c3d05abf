"""Every target of the Makefile, typed in a copy of the project. `make dev` up to its UI is typed in test_demo_run.py."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from pathlib import Path

import pytest

from shell import REPOSITORY, assets, copied_project, environment, free_port, listens, terminal, type_in

ONE_TEST = "klaviyo_sync_tests/core/test_doc_links.py"
TYPED = ("help", "setup", "demo", "dev", "test", "bench", "clean")
NOT_TYPED = {
    "check": "CI types it in a clean checkout; types alone take a minute",
    "second-opinion": "installs bqemulator from the package index",
    "versions": "CI types it; installs environments of several versions",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project."""
    return copied_project(tmp_path_factory.mktemp("make") / "project")


def make(project: Path, words: str) -> subprocess.CompletedProcess[str]:
    """What became of a target."""
    return type_in(f"make {words}", project, environment(), seconds=900)


def test_every_target_is_typed(project: Path) -> None:
    """`make` lists the targets; each of them is typed by a test, or has a reason why not."""
    done = make(project, "")
    listed = re.findall(r"^  make (\S+) ", done.stdout, re.MULTILINE)
    assert (done.returncode, sorted(listed)) == (0, sorted((*TYPED, *NOT_TYPED)))
    assert make(project, "help").stdout == done.stdout


def test_setup_installs_once(project: Path) -> None:
    """Where everything is installed, `make setup` has nothing to do."""
    done = make(project, "setup")
    assert (done.returncode, "Installing" in done.stdout) == (0, False)


def test_make_test_with_arguments(project: Path) -> None:
    """`make test PYTEST_ARGS=...` runs some of the tests, in parallel."""
    done = make(project, f"test PYTEST_ARGS={ONE_TEST}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "[100%]" in done.stdout


def test_make_clean(project: Path) -> None:
    """`make clean` takes the demo away, and leaves Dagster's history."""
    for folder in (".demo", ".dagster", ".tmp_dagster_home_x"):
        (project / folder).mkdir(exist_ok=True)
    assert make(project, "clean").returncode == 0
    assert [(project / folder).exists() for folder in (".demo", ".dagster", ".tmp_dagster_home_x")] == [False, True, False]


def test_a_port_that_is_taken(project: Path) -> None:
    """`make dev` says so in a sentence, with another port to choose, before it builds anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = make(project, f"dev PORT={port}")
    assert f"Port {port} of this machine is in use. Choose another one, such as make dev PORT=" in done.stdout
    assert (done.returncode, "Traceback" in done.stdout + done.stderr, (project / ".demo").exists()) == (2, False, False)


@pytest.mark.parametrize("port", ["65536", *(pytest.param(port, marks=pytest.mark.long) for port in ("0", "x"))])
def test_a_port_that_cannot_be(project: Path, port: str) -> None:
    """A number that is no port is refused in a sentence."""
    done = make(project, f"dev PORT={port}")
    assert (done.returncode, "Invalid value for '--port'" in done.stderr, "Traceback" in done.stderr) == (2, True, False)


@pytest.mark.long
def test_ctrl_c_while_the_demo_imports(project: Path, tmp_path: Path) -> None:
    """Ctrl-C before the UI is up ends `make dev` with a word, not with a traceback, and leaves nothing running."""
    port = free_port()
    with terminal(f"make dev PORT={port}", project, environment(), tmp_path / "screen.txt") as shell:
        shell.wait_until(lambda: "opts out of it" in shell.said)
        shell.interrupt()
        shell.ended()
        assert ("Stopped." in shell.said, "Traceback" in shell.said) == (True, False), shell.said
        assert (shell.left_behind(), listens(port)) == ([], False)


@pytest.mark.long
def test_make_demo(project: Path) -> None:
    """`make demo` adds up, with everybody."""
    done = make(project, "demo")
    assert (done.returncode, "Everything adds up" in done.stdout) == (0, True), done.stdout[-3000:] + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("warehouse", ["snowflake", "bigquery"])
def test_make_demo_elsewhere(project: Path, warehouse: str) -> None:
    """Four syncs, consent, and everything that is wrong with real tables: Klaviyo ends up the same as out of DuckDB, profile by profile."""
    done = make(project, f"demo WAREHOUSE={warehouse} PEOPLE=600")
    assert (done.returncode, ": the same." in done.stdout) == (0, True), done.stdout[-3000:] + done.stderr


@pytest.mark.long
def test_dev_twice_and_ctrl_c_twice(project: Path, tmp_path: Path) -> None:
    """`make dev` starts anew where an earlier one ended; a second Ctrl-C hastens the end and leaves nothing behind either."""
    port = free_port()
    for times in (1, 2):
        with terminal(f"make dev PORT={port} PEOPLE=600", project, environment(), tmp_path / f"{times}.txt") as shell:
            shell.wait_until(lambda shell=shell: "\nDagster: " in shell.said)
            assert "klaviyo/loyalty_members" in shell.wait_until(lambda: assets(port))
            for _ in range(times):
                shell.interrupt()
                time.sleep(0.5)
            shell.ended()
            assert "Traceback" not in shell.said
            assert (shell.left_behind(), listens(port)) == ([], False)


@pytest.mark.long
def test_make_bench(project: Path) -> None:
    """`make bench ROWS=...` prints its figures, over few rows."""
    done = make(project, "bench ROWS=5000")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def test_the_makefile_names_its_targets() -> None:
    """A target that is not listed by `make help` is none that people type."""
    phony = re.search(r"^\.PHONY: (.*)$", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony is not None
    assert sorted(phony[1].split()) == sorted((*TYPED, *NOT_TYPED))
