"""A person before the Dagster UI: opens pages, reads them, clicks, and takes pictures when asked to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import requests
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PICTURES = "KLAVIYO_SYNC_SCREENSHOTS"
PATIENCE = 120
SIZE = {"width": 1600, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def options(binary: str, profile: Path) -> ChromeOptions:
    """A Chromium without a window, with a profile of its own, that reaches this machine only."""
    chosen = ChromeOptions()
    chosen.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        chosen.add_argument(flag)
    return chosen


class Ui:
    """The UI at an address, in a browser."""

    def __init__(self, address: str, driver: Chrome) -> None:
        self.address = address
        self.driver = driver
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", SIZE)

    def open(self, page: str, *expected: str) -> str:
        """What the page says once it says everything expected."""
        self.driver.get(self.address + page)
        return self.says(*expected)

    def says(self, *expected: str) -> str:
        """The page's text, once all of it is there."""
        wait = WebDriverWait(self.driver, PATIENCE, ignored_exceptions=[StaleElementReferenceException])
        wait.until(lambda _: all(words in self.text for words in expected), f"the page never said all of {expected}")
        return self.text

    def find(self, xpath: str) -> list[WebElement]:
        """What can be seen of it at the moment."""
        return [found for found in self.driver.find_elements(By.XPATH, xpath) if found.is_displayed()]

    def click(self, xpath: str) -> None:
        """Clicks what is there, as soon as it is and stands still."""

        def clicked(_: Chrome) -> bool:
            found = [one for one in self.find(xpath) if one.is_enabled()]
            if found:
                found[-1].click()
            return bool(found)

        wait = WebDriverWait(self.driver, PATIENCE, ignored_exceptions=[StaleElementReferenceException])
        wait.until(clicked, f"nothing to click at {xpath}")

    def picture(self, name: str) -> None:
        """Writes what is on the screen to a PNG, when the environment names a folder for it."""
        if folder := os.environ.get(PICTURES):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))

    def ask(self, query: str, **variables: object) -> Any:
        """The data of a question to the UI's own server."""
        answer = requests.post(f"{self.address}/graphql", json={"query": query, "variables": variables}, timeout=30).json()
        assert "errors" not in answer, answer
        return answer["data"]

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text
