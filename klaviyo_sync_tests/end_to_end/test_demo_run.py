"""The demo as anyone starts it: a process of its own, in the folder of the repository, ending with a status."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from klaviyo_sync.config import load
from klaviyo_sync.core.errors import ConfigError, Unavailable
from klaviyo_sync.demo.folder import lay_out, reserved
from klaviyo_sync.demo.warehouse import OPTED_OUT
from shell import REPOSITORY, assets, copied_project, environment, free_port, listens, terminal, type_in

FEW = 2_000
NOW = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)


class Ended(NamedTuple):
    """A `make dev`, stopped by Ctrl-C once the UI had answered."""

    project: Path
    port: int
    status: int
    told: str
    assets: dict[str, dict[str, int] | None]
    left_behind: list[str]
    changed: list[str]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """`make dev PORT=... PEOPLE=...` in a copy of the project, up to Ctrl-C. test_make_targets.py types it with everybody."""
    project, port = copied_project(tmp_path_factory.mktemp("dev") / "project"), free_port()
    before = files_of(project)
    with terminal(f"make dev PORT={port} PEOPLE={FEW}", project, environment(), project.parent / "screen.txt") as shell:
        shell.wait_until(lambda: "\nDagster: " in shell.said)
        listed = shell.wait_until(lambda: assets(port))
        shell.interrupt()
        status = shell.ended()
        return Ended(project, port, status, shell.said, listed, shell.left_behind(), sorted(files_of(project) - before))


def files_of(project: Path) -> set[str]:
    """What lies in a project, apart from caches of Python."""
    return {path.name for path in project.iterdir()}


def test_the_demo_adds_up(ended: Ended) -> None:
    """Every sync's counts are those that the sample foretells, and what Klaviyo holds is what the warehouse holds."""
    syncs = list((REPOSITORY / "syncs").glob("*.yaml"))
    assert "Everything adds up" in ended.told, ended.told
    channels = ("email_marketing", "sms_marketing")
    assert len(re.findall(r"^\w+ +[\d, ]+ yes *$", ended.told, re.MULTILINE)) == len(syncs) + len(channels), ended.told
    assert len(re.findall(r"as in the warehouse$", ended.told, re.MULTILINE)) == 5, ended.told


def test_who_opted_out_stays_out(ended: Ended) -> None:
    """Nobody who said no to Klaviyo itself is brought back by a warehouse that goes on to say Subscribe."""
    assert len(re.findall(r"opts out of it by their own hand", ended.told)) == len(OPTED_OUT), ended.told
    assert len(re.findall(r"stays out \(\w+", ended.told)) == len(OPTED_OUT), ended.told


def test_the_demo_warns_of_nothing(ended: Ended) -> None:
    """Whoever tries it first reads about imports, not about Dagster's previews."""
    assert "Warning" not in ended.told


def test_the_demo_shows_where_the_other_rows_are(ended: Ended) -> None:
    """The rejects files that it names are there, for their owner."""
    files = re.findall(r"every one of these rows, with its key: (\S+)", ended.told)
    assert len(files) == len(list((REPOSITORY / "syncs").glob("*.yaml")))
    assert all(Path(file).is_file() for file in files)


def test_the_ui_shows_every_window_imported(ended: Ended) -> None:
    """The history that `make dev` opens with has no gaps."""
    windows = {name: counts for name, counts in ended.assets.items() if counts is not None}
    assert set(windows) == {f"klaviyo/{file.stem}" for file in (REPOSITORY / "syncs").glob("*.yaml")}
    assert windows["klaviyo/loyalty_members"]["numPartitions"] >= 24
    assert all(counts["numMaterialized"] == counts["numPartitions"] > 0 for counts in windows.values())


def test_one_interrupt_ends_everything(ended: Ended) -> None:
    """Ctrl-C ends `make dev` without a traceback; no process, no open port and no folder but .demo stays behind."""
    assert "Traceback" not in ended.told
    assert ended.told.rstrip().splitlines()[-1].startswith(("Stopping.", "make: ***")), ended.told[-500:]
    assert (ended.left_behind, listens(ended.port), ended.changed) == ([], False, [".demo"])


def test_the_demo_runs_the_example_with_other_starts(tmp_path: Path) -> None:
    """The folder's configuration is the repository's but for the first windows, so that any day is a good day for a demo."""
    lay_out(REPOSITORY, tmp_path / "demo", NOW)
    ours, theirs = (load(folder / "klaviyo_sync.yaml", {}, NOW) for folder in (REPOSITORY, tmp_path / "demo"))
    assert [sync.model_dump(exclude={"start"}) for sync in ours.syncs] == [sync.model_dump(exclude={"start"}) for sync in theirs.syncs]
    assert {sync.frequency: f"{sync.start:%Y-%m-%d}" for sync in theirs.syncs} == {"daily": "2026-11-21", "hourly": "2026-11-23"}


def test_the_demo_leaves_other_projects_alone(tmp_path: Path) -> None:
    """A folder with a configuration that the demo did not write is refused; its own it takes again, history and all."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "klaviyo_sync.yaml").write_text("connections: {}\n")
    with pytest.raises(ConfigError, match="was not made by the demo"):
        lay_out(REPOSITORY, tmp_path / "mine", NOW)
    lay_out(REPOSITORY, tmp_path / "demo", NOW)
    (tmp_path / "demo" / ".dagster").mkdir()
    lay_out(REPOSITORY, tmp_path / "demo", NOW)
    assert not (tmp_path / "demo" / ".dagster").exists()


def test_the_demo_says_where_it_must_be_started(tmp_path: Path) -> None:
    """Outside the repository it stops with a sentence, not with a traceback."""
    with pytest.raises(ConfigError, match="run the demo in the folder of the repository"):
        lay_out(tmp_path, tmp_path / "demo", NOW)


@pytest.mark.parametrize(
    "account",
    ["\n  account: AbC123  # of the shop\n", "\n  account: {env: KLAVIYO_ACCOUNT}\n", "\n  account:\n    env: KLAVIYO_ACCOUNT\n"],
)
def test_the_demo_is_for_no_account_but_the_sandbox(tmp_path: Path, account: str) -> None:
    """A project that names its Klaviyo account runs the demo all the same; an `account` of a connection stays."""
    snow = "  snow: {type: snowflake, account: acme-shop, user: KLAVIYO_SYNC, authenticator: externalbrowser}\n"
    example = (REPOSITORY / "klaviyo_sync.yaml").read_text(encoding="utf-8")
    copied = copied_example(tmp_path / "project")
    text = example.replace("\nklaviyo:\n", f"\nklaviyo:{account}").replace("connections:\n", f"connections:\n{snow}")
    (copied / "klaviyo_sync.yaml").write_text(text, encoding="utf-8")
    lay_out(copied, tmp_path / "demo", NOW)
    loaded = load(tmp_path / "demo" / "klaviyo_sync.yaml", {}, NOW)
    assert (loaded.klaviyo.account, loaded.connections["snow"].model_dump()["account"]) == ("SANDBX", "acme-shop")


def copied_example(folder: Path) -> Path:
    """The example's configuration, in a folder of its own."""
    shutil.copytree(REPOSITORY / "syncs", folder / "syncs")
    for name in ("klaviyo_sync.yaml", "dagster.yaml", "workspace.yaml"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


def test_one_demo_at_a_time(tmp_path: Path) -> None:
    """While a demo runs in a folder, another one stops with a sentence and deletes nothing; afterwards the folder is free again."""
    demo = tmp_path / "demo"
    with reserved(REPOSITORY, demo):
        lay_out(REPOSITORY, demo, NOW)
        with pytest.raises(Unavailable, match=r"is running in .*demo, and a new one would delete its history"), reserved(REPOSITORY, demo):
            pass
    with reserved(REPOSITORY, demo):
        pass


def test_make_demo_beside_a_running_one(tmp_path: Path) -> None:
    """`make demo` in the folder of a running demo ends with one sentence, and leaves its history where it is."""
    project = copied_project(tmp_path / "project")
    with reserved(project, project / ".demo"):
        (project / ".demo" / ".dagster").mkdir()
        done = type_in("make demo", project, environment())
    assert (done.returncode, "Stop it with Ctrl-C first." in " ".join(done.stdout.split())) == (2, True), done.stdout + done.stderr
    assert ("Traceback" in done.stdout + done.stderr, (project / ".demo" / ".dagster").is_dir()) == (False, True)
