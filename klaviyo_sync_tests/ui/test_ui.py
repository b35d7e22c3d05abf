"""What a data engineer sees and does in the Dagster UI, in a real browser over a real history."""

from __future__ import annotations

import re
import time

import pytest
from browsing import Ui

from klaviyo_sync.core.consent_reasons import ALL_CODES

ASSET = "/assets/klaviyo/loyalty_members"
CONTACTS = "/assets/klaviyo/crm_contacts"
SYNCS = ("churn_scores", "crm_contacts", "loyalty_members", "segments")
SCHEDULES = ("klaviyo_churn_scores", "klaviyo_crm_contacts", "klaviyo_loyalty_members", "klaviyo_segments")
CHECKS = ("accounting", "completeness", "consent", "delivery", "mapping")
LATEST = """{assetNodes(assetKeys: [{path: ["klaviyo", "loyalty_members"]}]) {
    partitionKeys assetMaterializations(limit: 1) {runId partition}}}"""
RUN = "query ($id: ID!) {runOrError(runId: $id) {... on Run {status assetSelection {path}}}}"
SWITCHES = """{schedulesOrError(repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "klaviyo_sync"}) {
    ... on Schedules {results {name scheduleState {status}}}}}"""
CONTACTS_WINDOWS = """{assetNodes(assetKeys: [{path: ["klaviyo", "crm_contacts"]}]) {partitionKeys}}"""
CHECK_ALONE = """mutation ($window: String!) {launchPipelineExecution(executionParams: {
    selector: {repositoryName: "__repository__", repositoryLocationName: "klaviyo_sync", pipelineName: "__ASSET_JOB", assetSelection: [],
        assetCheckSelection: [{assetKey: {path: ["klaviyo", "crm_contacts"]}, name: "consent"}]},
    executionMetadata: {tags: [{key: "dagster/partition", value: $window}]}, runConfigData: {}, mode: "default"}) {
    __typename ... on LaunchRunSuccess {run {runId}}}}"""
SWITCH = "//*[text()='klaviyo_loyalty_members']/ancestor::*[.//label[contains(@class,'Switch')]][1]//label[contains(@class,'Switch')]"
PATIENCE = 120

pytestmark = [pytest.mark.long]


def latest(ui: Ui) -> tuple[list[str], str, str]:
    """All windows of the asset, and the newest materialisation's run and window."""
    (asset,) = ui.ask(LATEST)["assetNodes"]
    (newest,) = asset["assetMaterializations"]
    return asset["partitionKeys"], newest["runId"], newest["partition"]


def ended(ui: Ui, run: str) -> str:
    """How a run ended."""
    until = time.monotonic() + PATIENCE
    status = ""
    while status not in {"SUCCESS", "FAILURE"} and time.monotonic() < until:
        status = ui.ask(RUN, id=run)["runOrError"]["status"]
        time.sleep(0.5)
    return status


def switched_on(ui: Ui) -> list[str]:
    """The schedules that run."""
    schedules = ui.ask(SWITCHES)["schedulesOrError"]["results"]
    return [one["name"] for one in schedules if one["scheduleState"]["status"] == "RUNNING"]


def test_the_asset_says_what_it_fills_and_from_where(ui: Ui) -> None:
    """The overview shows each attribute with its column, the owner, the schedule and the way to the sync's file."""
    text = ui.open(f"{ASSET}?view=overview", "properties.Loyalty_Balance", "dagster/partition_row_count", "At 5 minutes past the hour")
    ui.picture("asset")
    assert "from analytics.loyalty_members.balance" in text
    assert "frequency: hourly" in text
    assert "loyalty_members.yaml" in text


def test_the_lineage_ends_in_klaviyo(ui: Ui) -> None:
    """Every dataset leads to its sync, and every sync to the profiles."""
    page = "/assets/klaviyo/profiles?view=lineage&lineageScope=upstream&lineageDepth=2"
    text = ui.open(page, "5 Passed", "contacts", *SYNCS)
    ui.picture("lineage")
    assert text.count("100% filled") == len(SYNCS)
    assert text.count("\nchurn_scores\n") == 2  # the dataset and the sync


def test_the_grid_shows_every_window(ui: Ui) -> None:
    """All windows are imported, and the chosen one shows its counts."""
    windows, _, _ = latest(ui)
    text = ui.open(f"{ASSET}?view=partitions&partition={windows[-1]}", f"Materialized ({len(windows)})", "rejects_file")
    ui.picture("partitions")
    assert "Missing (0)" in text
    assert "Failed (0)" in text
    counts = {
        name: int(count) for name, count in re.findall(r"^(read|imported|superseded|rejected|refused|failed)\n(\d+)$", text, re.MULTILINE)
    }
    assert counts.pop("read") == sum(counts.values()) > 0


def test_counts_plot(ui: Ui) -> None:
    """Numbers of the windows are numbers to Dagster, which draws them."""
    ui.open(f"{ASSET}?view=overview", "dagster/partition_row_count")
    ui.click("//button[.//span[text()='Plots']]")
    text = ui.says("When graphing values by partition")
    assert {"read", "imported", "rejected", "failed", "requests", "bytes"} <= set(text.splitlines())
    assert len(ui.find("//canvas")) > 5


def test_every_check_has_a_state(ui: Ui) -> None:
    """The five checks are listed, each of them evaluated; the accounting of the newest window is an equation that holds."""
    text = ui.open(f"{ASSET}?view=checks&checkDetail=accounting", *CHECKS, "Latest execution", "unknown.")
    states = re.findall(rf"^({'|'.join(CHECKS)})\n(Succeeded|Failed)$", text, re.MULTILINE)
    assert tuple(name for name, _ in states) == CHECKS
    assert dict(states)["accounting"] == "Succeeded"
    assert re.search(r"^[\d,]+ read = [\d,]+ imported \+", text, re.MULTILINE)


def test_consent_is_told_by_channel_and_reason(ui: Ui) -> None:
    """The consent check shows an equation per channel that holds, a table of fates by channel, and a table of reasons with their remedy."""
    first = ui.ask(CONTACTS_WINDOWS)["assetNodes"][0]["partitionKeys"][0]
    launched = ui.ask(CHECK_ALONE, window=first)["launchPipelineExecution"]
    assert ended(ui, launched["run"]["runId"]) == "SUCCESS"
    text = ui.open(f"{CONTACTS}?view=checks&checkDetail=consent", "Latest execution", first, "email_marketing:", "what to do")
    ui.picture("consent")
    lines = [row.text for row in ui.find("//tr[td]")]
    for channel in ("email_marketing", "sms_marketing"):
        [counts] = [list(map(int, line.split()[1:])) for line in lines if re.fullmatch(rf"{channel}( \d+){{13}}", line)]
        stated, *fates, unsubscribed, _, confirmed, _ = counts
        assert stated == sum(fates) >= unsubscribed > 0
        assert confirmed <= fates[0]
        assert f"{channel}: {stated:,} stated = " in text
    reason = ALL_CODES["consent_without_identifier"]
    expected = rf"email_consent {reason.code} \d+ .*{re.escape(reason.message)} {re.escape(reason.advice)}"
    assert any(re.fullmatch(expected, line) for line in lines)


def test_completeness_is_executed_alone(ui: Ui) -> None:
    """A click on Execute evaluates the check anew and imports nothing."""
    before = latest(ui)
    ui.open(f"{ASSET}?view=checks&checkDetail=completeness", "windows of", "Execute all")
    ui.click("//button[.//span[text()='Execute']]")
    ui.says("In Progress")
    text = ui.says("Execute all", "0 windows of")
    assert "Evaluation result" in text
    assert re.search(r"no late rows in [\d,]+ windows \(as counted at ", text)
    assert latest(ui) == before


def test_each_sync_has_a_switch(ui: Ui) -> None:
    """The Automation page lists one schedule for each sync, all off, and switches one on and off again."""
    text = ui.open("/automation", *SCHEDULES)
    assert [line for line in text.splitlines() if line in SCHEDULES] == list(SCHEDULES)
    assert switched_on(ui) == []
    for expected in (["klaviyo_loyalty_members"], []):
        ui.click(SWITCH)
        until = time.monotonic() + PATIENCE
        while switched_on(ui) != expected and time.monotonic() < until:
            time.sleep(0.3)
        assert switched_on(ui) == expected


def test_a_window_is_imported_again_from_the_dialog(ui: Ui) -> None:
    """Materialize, Latest, Launch: a run that succeeds, of the newest window alone."""
    windows, before, _ = latest(ui)
    ui.open(f"{ASSET}?view=overview", "dagster/partition_row_count")
    ui.click("//button[contains(., 'Materialize')]")
    ui.says("Partition selection", "Launch")
    ui.click("//button[.//span[text()='Latest'] or .='Latest']")
    ui.says("1 partition")
    ui.click("//button[contains(., 'Launch')]")
    until = time.monotonic() + PATIENCE
    while latest(ui)[1] == before and time.monotonic() < until:
        time.sleep(0.5)
    _, run, window = latest(ui)
    assert (run != before, window) == (True, windows[-1])
    assert ended(ui, run) == "SUCCESS"
