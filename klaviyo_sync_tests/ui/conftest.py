"""What `make dev` leaves running, and a browser."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Ui, options
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.service import Service

from shell import free_port

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 400


@pytest.fixture(scope="session")
def programs() -> tuple[str, str]:
    """Chromium and its driver. Without them these tests are skipped, but in CI they fail."""
    browser, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if browser and driver:
        return browser, driver
    missing = "chromium or chromedriver is not installed (Debian: apt install chromium chromium-driver): the UI was not looked at"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def address(programs: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Dagster UI over the history of a small demo, whose Klaviyo is still there."""
    assert all(programs)
    folder, port = tmp_path_factory.mktemp("ui") / "demo", free_port()
    log = folder.parent / "told.txt"
    command = [sys.executable, "-u", "-m", "klaviyo_sync.demo", "--folder", str(folder), "--people", "1500", "--serve", "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KLAVIYO_", "DAGSTER_"))}
    with (
        log.open("wb") as out,
        subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=out, stderr=subprocess.STDOUT) as process,
    ):
        try:
            wait_for(process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "Dagster was left running"


@pytest.fixture(scope="session")
def ui(programs: tuple[str, str], address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """A browser at that address."""
    browser, driver = programs
    with Chrome(options=options(browser, tmp_path_factory.mktemp("chromium")), service=Service(driver)) as chrome:
        yield Ui(address, chrome)


def wait_for(process: subprocess.Popen[bytes], log: Path) -> None:
    """Comes back when the demo says that the UI is there."""
    until = time.monotonic() + PATIENCE
    while "\nDagster: " not in (told := log.read_text(encoding="utf-8")):
        assert process.poll() is None, told
        assert time.monotonic() < until, told
        time.sleep(0.3)
