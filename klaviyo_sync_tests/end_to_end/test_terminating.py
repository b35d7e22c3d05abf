"""Terminate in the UI: the same request that its button sends, to runs that Dagster launched in processes of their own."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import requests
from process_place import ENDLESS, PROMPTLY, ProcessPlace, process_place
from test_cancelling import answered, throttled

pytestmark = [pytest.mark.filterwarnings("ignore")]  # of Dagster's own, over its own storage

LAUNCHED = """run_coordinator: {module: dagster._core.run_coordinator, class: DefaultRunCoordinator}
"""
LAUNCH = """mutation ($run: ExecutionParams!) { launchPipelineExecution(executionParams: $run) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
TERMINATE = "mutation ($id: String!) { terminateRun(runId: $id) { __typename ... on TerminateRunFailure { message } } }"


class Webserver:
    """A real one, asked over HTTP."""

    def __init__(self, place: ProcessPlace) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        port = self.url.rpartition(":")[2]
        command = ["-m", "dagster_webserver", "-h", "127.0.0.1", "-p", port, "-m", "klaviyo_sync.definitions"]
        place.start(*command)
        place.until(self.answers)

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return requests.get(f"{self.url}/server_info", timeout=5).ok
        except requests.RequestException:
            return False

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer."""
        answer = requests.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=90).json()
        [data] = answer["data"].values()
        return data

    def launch(self) -> str:
        """The id of a run over one window."""
        selector = {
            "repositoryLocationName": "klaviyo_sync.definitions",
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": ["klaviyo", "people"]}],
            "assetCheckSelection": [],
        }
        tags = [{"key": "dagster/partition", "value": "2026-05-01"}]
        launched = self.ask(LAUNCH, run={"selector": selector, "mode": "default", "executionMetadata": {"tags": tags}, "runConfigData": {}})
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]


def in_the_middle(place: ProcessPlace, run_id: str) -> bool:
    """The import has begun."""
    return any("STEP_START" in kind for kind in place.events(run_id))


@pytest.mark.parametrize(
    ("place_of", "fault", "reached"),
    [
        pytest.param({"source": ENDLESS}, None, None, marks=pytest.mark.long),
        ({}, throttled("bulk_import_profiles"), answered("bulk_import_profiles", 429)),
        pytest.param({"job_seconds": 900.0}, None, answered("bulk_import_profiles", 202), marks=pytest.mark.long),
    ],
    ids=["reading the warehouse", "waiting for a rate limit", "waiting for a job"],
)
def test_terminate_ends_a_launched_run_at_once(
    tmp_path: Path, place_of: dict[str, Any], fault: dict[str, Any] | None, reached: Any
) -> None:
    """It is CANCELED within seconds, whatever it is doing, nothing is sent again, and its window stays missing."""
    with process_place(tmp_path / "home", limits=False, settings=LAUNCHED, **{"job_seconds": 0.1, **place_of}) as place:
        if fault:
            place.box.faults.add(**fault)
        webserver = Webserver(place)
        run_id = webserver.launch()
        place.until(lambda: reached(place, None) if reached else in_the_middle(place, run_id))
        sent = place.posted()
        assert webserver.ask(TERMINATE, id=run_id)["__typename"] == "TerminateRunSuccess"
        place.until(lambda: place.run().is_finished, PROMPTLY)
        assert place.run().status == dg.DagsterRunStatus.CANCELED
        assert "STEP_UP_FOR_RETRY" not in place.events(run_id)
        assert place.imported() == set()
        assert place.posted() == sent
