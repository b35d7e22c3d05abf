"""Every command that the pages print is typed, or it is said here why not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
import requests

from documented import FENCE, commands, pages, yaml_blocks
from klaviyo_sync.sandbox import Sandbox, serve
from shell import BIN, REPOSITORY, assets, copied_project, environment, free_port, listens, terminal, type_in

TABLE = """
CREATE SCHEMA analytics;
CREATE TABLE analytics.loyalty_members AS SELECT
    'C1' AS customer_id, 'ada@example.com' AS email, '020 7946 0018' AS phone, 'GB' AS country_code,
    12.5 AS balance, ['vip'] AS segments, TIMESTAMPTZ '2026-01-31 06:30Z' AS updated_at
"""

MATERIALIZE = (
    "dagster asset materialize --select 'key:\"klaviyo/loyalty_members\"' --partition 2026-01-31-06:00 -m klaviyo_sync.definitions"
)

LET_THROUGH = MATERIALIZE + """ --config-json '{"ops": {"klaviyo__loyalty_members": {"config": {"let_through": true}}}}'"""

# Typed in the folder that README's own YAML makes, and what they then print.
IN_OWN_FOLDER = {
    "klaviyo-sync schema --write schemas": "schemas/sync.schema.json",
    "klaviyo-sync check": "nothing wrong",
    "klaviyo-sync check --connect": "answers are good",
    "klaviyo-sync preview loyalty_members --window 2026-01-31-06:00": "Klaviyo at http://127.0.0.1:",
    MATERIALIZE: "RUN_SUCCESS",
    LET_THROUGH: "RUN_SUCCESS",
    "dagster instance concurrency set klaviyo 1": "Set concurrency limit for klaviyo to 1.",
}
# Typed in a copy of the project.
IN_THE_PROJECT = {
    ".venv/bin/klaviyo-sync schema --write klaviyo_sync/schemas": "klaviyo_sync/schemas/sync.schema.json",
    ". .venv/bin/activate": "",
    "openssl genrsa 2048 | openssl pkcs8 -topk8 -nocrypt -out klaviyo_sync.p8": "",
}
SANDBOXES = ("klaviyo-sync sandbox --port 8765", "klaviyo-sync sandbox --port 8787")
STARTED = ("dagster dev", *SANDBOXES)
SERVICES = (
    "dagster code-server start -h 0.0.0.0 -p 4266 -m klaviyo_sync.definitions",
    "dagster-webserver -h 0.0.0.0 -p 3000 -w workspace.yaml",
    "dagster-daemon run -w workspace.yaml",
    "dagster api grpc-health-check -p 4266",
    "dagster-daemon liveness-check",
)
IN_TEST_MAKE_TARGETS = (
    *(
        "make demo",
        "make demo WAREHOUSE=snowflake",
        "make dev",
        "make test",
        "make check",
        "make bench",
        "make second-opinion",
        "make versions",
    ),
)
A_GOOGLE_ACCOUNT = "it needs Google's command line and an account"
NOT_TYPED = {
    "klaviyo-sync preview": "the sentence is about the command; its arguments stand elsewhere",
    "pip install -e . && dagster dev": "it installs; make setup does, and dagster dev is typed by itself",
    "pip install 'klaviyo-sync[s3]'": "it installs packages from the index",
    "pip install dagster-postgres": "it installs a package that the project does not depend on",
    "export KLAVIYO_BASE_URL=http://127.0.0.1:8787 KLAVIYO_API_KEY=pk_sandbox": "test_which_klaviyo.py does, with a free port",
    "openssl rsa -in klaviyo_sync.p8 -pubout | grep -v -- ----- | tr -d '\\n'": "typed with the command before it",
    "export SNOWFLAKE_PRIVATE_KEY=\"$(base64 < klaviyo_sync.p8 | tr -d '\\n')\"": "typed with the command before it",
    'KLAVIYO_SYNC_UPDATE_SNAPSHOTS=1 make test PYTEST_ARGS="-k snapshot"': "it would accept whatever the snapshots should be",
    "KLAVIYO_SYNC_SCREENSHOTS=docs/images make test PYTEST_ARGS=klaviyo_sync_tests/ui": "the tests of the UI are in the suite anyway",
    "PROJECT=acme-analytics": A_GOOGLE_ACCOUNT,
    "ACCOUNT=klaviyo-sync@$PROJECT.iam.gserviceaccount.com": A_GOOGLE_ACCOUNT,
    "export BIGQUERY_CREDENTIALS=\"$(base64 < key.json | tr -d '\\n')\" && rm key.json": A_GOOGLE_ACCOUNT,
}
A_GOOGLE_COMMAND = ("gcloud ", "for ROLE in bigquery.jobUser")


@dataclass
class Own:
    """A user's own folder as README and docs/deploying.md describe it, and the variables of its shell."""

    folder: Path
    env: dict[str, str]
    box: Sandbox


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project."""
    return copied_project(tmp_path_factory.mktemp("commands") / "project")


@pytest.fixture(scope="module")
def own(project: Path) -> Iterator[Own]:
    """The folder that README makes beside the project, with README's klaviyo_sync.yaml and first sync, and a warehouse that fits them."""
    [makes] = [block for _, block in FENCE.findall((REPOSITORY / "README.md").read_text(encoding="utf-8")) if "mkdir" in block]
    done = type_in(f"set -e\n{makes}pwd", project, environment())
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    (folder / "klaviyo_sync.yaml").write_text(yaml_blocks(REPOSITORY / "README.md", "connections:")["klaviyo:"], encoding="utf-8")
    name = "# syncs/loyalty_members.yaml"
    (folder / "syncs" / "loyalty_members.yaml").write_text(yaml_blocks(REPOSITORY / "README.md", name)[name], encoding="utf-8")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(TABLE)
    box = Sandbox(job_seconds=0)
    with serve(box) as server:
        yield Own(folder, environment(KLAVIYO_BASE_URL=server.url, KLAVIYO_API_KEY="pk_sandbox"), box)


@pytest.mark.parametrize("page", pages(REPOSITORY), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_printed_command_is_known(page: Path) -> None:
    """A command on a page is typed by a test, or has a reason why not."""
    known = {*IN_OWN_FOLDER, *IN_THE_PROJECT, *STARTED, *SERVICES, *IN_TEST_MAKE_TARGETS, *NOT_TYPED}
    assert [command for command in commands(page) if command not in known and not command.startswith(A_GOOGLE_COMMAND)] == []


def test_no_known_command_has_gone() -> None:
    """What is typed or excused here is still printed somewhere, so that a changed command is not tested in its old form."""
    printed = {command for page in pages(REPOSITORY) for command in commands(page)}
    known = {*IN_OWN_FOLDER, *IN_THE_PROJECT, *STARTED, *SERVICES, *NOT_TYPED}
    assert known - printed == set()


@pytest.mark.parametrize("command", IN_OWN_FOLDER)
def test_commands_in_a_folder_of_ones_own(own: Own, command: str) -> None:
    """README's first sync passes its check, can be previewed, and is imported, by the commands as printed."""
    done = type_in(command, own.folder, {**own.env, "DAGSTER_HOME": str(own.folder)})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert IN_OWN_FOLDER[command] in done.stdout + done.stderr
    if command == MATERIALIZE:
        assert "Klaviyo at http://127.0.0.1:" in done.stderr + done.stdout
        assert own.box.profiles.attributes(0)["email"] == "ada@example.com"


@pytest.mark.parametrize("command", IN_THE_PROJECT)
def test_commands_in_the_project(project: Path, command: str) -> None:
    """What CONTRIBUTING and docs print runs in the project's folder; the key pair of docs/snowflake.md is made by its three lines."""
    if command.startswith("openssl"):
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        command = "set -o pipefail; " + " && ".join([command, *(line for line in NOT_TYPED if "klaviyo_sync.p8" in line)])
    done = type_in(command, project, environment())
    assert done.returncode == 0, done.stderr
    assert IN_THE_PROJECT.get(command, "") in done.stdout


@pytest.mark.parametrize("command", [SANDBOXES[0], *(pytest.param(command, marks=pytest.mark.long) for command in SANDBOXES[1:])])
def test_the_sandbox_as_printed(tmp_path: Path, command: str) -> None:
    """It prints its address, answers, and one Ctrl-C ends it with status 130, as docs/operations.md says of every command."""
    port = free_port()
    with terminal(f"{command.rpartition(' ')[0]} {port}", tmp_path, environment(), tmp_path / "screen.txt") as shell:
        shell.wait_until(lambda: f"export KLAVIYO_BASE_URL=http://127.0.0.1:{port}" in shell.said)
        assert requests.get(f"http://127.0.0.1:{port}/sandbox/state", timeout=30).ok
        shell.interrupt()
        assert (shell.ended(), shell.left_behind(), listens(port)) == (130, [], False)
        assert "Traceback" not in shell.said


@pytest.mark.long
def test_dagster_dev_in_a_folder_of_ones_own(own: Own, tmp_path: Path) -> None:
    """`dagster dev` in one's own folder lists the sync, and leaves nothing but its history behind."""
    port = free_port()
    env = {**own.env, "DAGSTER_CLI_DEV_PORT": str(port), "DAGSTER_CLI_DEV_HOST": "127.0.0.1"}
    with terminal("dagster dev", own.folder, env, tmp_path / "screen.txt") as shell:
        assert "klaviyo/loyalty_members" in shell.wait_until(lambda: assets(port))
        shell.interrupt()
        shell.ended()
        # Dagster's code server ends by itself once it has missed its heartbeat for up to 45 s.
        assert (shell.left_behind(90), listens(port)) == ([], False)
    assert not list(own.folder.glob(".tmp_dagster_home_*"))


@pytest.mark.long
def test_dagster_dev_over_a_sandbox_that_the_env_file_overrules(own: Own, tmp_path: Path) -> None:
    """Also in the processes that `dagster dev` starts, an exported sandbox is never replaced by the real Klaviyo: nothing is loaded."""
    folder, port = tmp_path / "own", free_port()
    shutil.copytree(own.folder, folder, ignore=shutil.ignore_patterns(".dagster"))
    (folder / ".env").write_text("KLAVIYO_BASE_URL=https://a.klaviyo.com\n", encoding="utf-8")
    env = {**own.env, "DAGSTER_CLI_DEV_PORT": str(port), "DAGSTER_CLI_DEV_HOST": "127.0.0.1"}
    with terminal("dagster dev", folder, env, tmp_path / "screen.txt") as shell:
        shell.wait_until(lambda: ".env replaces it" in " ".join(shell.said.split()))
        shell.wait_until(lambda: listens(port))
        assert assets(port) == {}


@pytest.mark.long
def test_the_services_of_a_deployment(own: Own, tmp_path: Path) -> None:
    """Code server, webserver and daemon, each started by its own line of docs/deploying.md, work together; their health checks say so."""
    folder, code, ui = tmp_path / "own", free_port(), free_port()
    shutil.copytree(own.folder, folder, ignore=shutil.ignore_patterns(".dagster"))
    [workspace] = yaml_blocks(REPOSITORY / "docs" / "deploying.md", "grpc_server").values()
    (folder / "workspace.yaml").write_text(workspace.replace("host: code, port: 4266", f"host: 127.0.0.1, port: {code}"), encoding="utf-8")
    server, webserver, daemon, *checks = (
        line.replace("0.0.0.0", "127.0.0.1").replace("4266", str(code)).replace("3000", str(ui)) for line in SERVICES
    )
    env = {**own.env, "DAGSTER_HOME": str(folder)}
    with terminal(server, folder, env, tmp_path / "server.txt") as one:
        one.wait_until(lambda: listens(code))
        with terminal(webserver, folder, env, tmp_path / "ui.txt") as two, terminal(daemon, folder, env, tmp_path / "daemon.txt") as three:
            assert "klaviyo/loyalty_members" in two.wait_until(lambda: assets(ui))
            for check in checks:
                three.wait_until(lambda check=check: type_in(check, folder, env).returncode == 0)
            for service in (three, two, one):
                service.interrupt()
                service.ended()
                assert service.left_behind() == []


def test_commands_are_where_the_pages_say(project: Path) -> None:
    """`.venv/bin` holds the commands, and with it in PATH they are the project's own."""
    done = type_in(". .venv/bin/activate && command -v klaviyo-sync dagster", project, environment(PATH="/usr/bin:/bin"))
    assert done.returncode == 0, done.stderr
    assert {Path(line).name for line in done.stdout.split()} == {"klaviyo-sync", "dagster"}
    assert (BIN / "klaviyo-sync").is_file()
