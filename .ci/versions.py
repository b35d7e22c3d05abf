"""Tries the versions that pyproject.toml promises: the lowest and the newest of every dependency, on the oldest and the newest Python.

Runs the demo and the tests of the core, the sandbox and the contracts in each combination, with few examples of each property: what
breaks with another version is an import, the call of an API, a format. While the tests of one combination run, the next ones are
installed and their demos run, which wait for the sandbox's limits for most of their time.
Pythons are looked for on PATH and among pyenv's; what is missing is left out, and said. Packages are installed by uv, which is
installed from PyPI where it is not on PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".versions"
PROBE = "import sys; print(*sys.version_info[:2])"
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}
SHOWN = ("dagster", "duckdb", "pandas", "numpy", "pyarrow", "pydantic", "sqlglot", "snowflake-connector-python")
LAST_LINES = 60
# Variables that would lead the demo and the tests elsewhere, or have each of their processes compile every package anew.
DROPPED = ("KLAVIYO_", "DAGSTER_", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
# What speaks of our own pages and texts alone says the same with every version.
LEFT_OUT = ("--ignore-glob=*_docs.py", "--ignore-glob=*test_doc_links.py")
Version = tuple[int, int]


class Combination(NamedTuple):
    """A Python and a resolution, and the folder of its environment."""

    version: Version
    python: Path
    resolution: str

    @property
    def label(self) -> str:
        """What it is called."""
        return f"Python {self.version[0]}.{self.version[1]}, {self.resolution} versions"

    @property
    def folder(self) -> Path:
        """Where its environment and what it prints lie."""
        return WORK / f"{self.version[0]}.{self.version[1]}-{self.resolution}"

    @property
    def interpreter(self) -> Path:
        """The Python of its environment."""
        return self.folder / "env" / "bin" / "python"


class Step(NamedTuple):
    """What became of a step: its name, where it printed, the seconds that it took, and the command that failed, if any."""

    name: str
    log: Path
    seconds: float
    failed: str = ""


def main() -> int:
    """The number of combinations that failed."""
    lowest, below = supported()
    pythons = {version: python for version, python in sorted(installed().items()) if lowest <= version < below}
    if not pythons:
        say(f"No Python from {lowest[0]}.{lowest[1]} up to, not including, {below[0]}.{below[1]} is installed.")
        return 1
    missing = [f"{lowest[0]}.{minor}" for minor in range(lowest[1], below[1]) if (lowest[0], minor) not in pythons]
    if missing:
        say(f"Not installed here, and left out: Python {', '.join(missing)}.")
    tried = dict([min(pythons.items()), max(pythons.items())])
    uv = find_uv(tried[max(tried)])
    combinations = [Combination(version, python, resolution) for version, python in tried.items() for resolution in RESOLUTIONS]
    with ThreadPoolExecutor(max_workers=1) as background:
        prepared = [background.submit(prepare, uv, combination) for combination in combinations]
        return sum(not passes(uv, *each) for each in zip(combinations, prepared, strict=True))


def supported() -> tuple[Version, Version]:
    """The oldest Python that `requires-python` allows, and the first that it does not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"])
    assert found, project["requires-python"]
    return (3, int(found[1])), (3, int(found[2]))


def installed() -> dict[Version, Path]:
    """The Pythons of this machine, by version: on PATH, and pyenv's own, whose shims on PATH may not run."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [path for folder in folders for path in sorted(folder.glob("python3*")) if re.fullmatch(r"python3(\.\d+)?", path.name)]
    pythons: dict[Version, Path] = {}
    for path in [*candidates, *sorted(pyenv.glob("*/bin/python3"))]:
        probed = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, check=False)
        if probed.returncode == 0:
            major, minor = probed.stdout.split()
            pythons.setdefault((int(major), int(minor)), path)
    return pythons


def find_uv(python: Path) -> str:
    """The program uv: the one on PATH, else one that is installed here."""
    if on_path := shutil.which("uv"):
        return on_path
    tools = WORK / "tools"
    if not (tools / "bin" / "uv").exists():
        subprocess.run([python, "-m", "venv", tools], check=True)
        subprocess.run([tools / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "uv>=0.5,<1"], check=True)
    return str(tools / "bin" / "uv")


def prepare(uv: str, combination: Combination) -> list[Step]:
    """What became of the installation of a combination, and of the demo in it where that went well."""
    installs = install(uv, combination)
    if installs.failed:
        return [installs]
    command = [combination.interpreter, "-m", "klaviyo_sync.demo", "--folder", combination.folder / "demo", "--people", "1500"]
    return [installs, run_all("demo", combination.folder / "demo.log", command)]


def install(uv: str, combination: Combination) -> Step:
    """Installs the versions of a combination into an environment of its own."""
    shutil.rmtree(combination.folder, ignore_errors=True)
    combination.folder.mkdir(parents=True)
    choice = ["--resolution", RESOLUTIONS[combination.resolution]]
    return run_all(
        "installs",
        combination.folder / "installs.log",
        [uv, "venv", "--quiet", "--python", combination.python, combination.folder / "env"],
        [uv, "pip", "install", "--quiet", "--python", combination.interpreter, *choice, "--editable", ".[test,s3,gcs,azure]"],
    )


def passes(uv: str, combination: Combination, prepared: Future[list[Step]]) -> bool:
    """Whether the demo adds up and the tests pass in this combination, once it is prepared; prints how it went."""
    say(f"{combination.label}, {combination.python}:")
    if not all(told(step) for step in prepared.result()):
        return False
    say(f"  {versions(uv, combination.interpreter)}")
    choice = ["-m", "not long", "--hypothesis-profile=versions", *LEFT_OUT, "-n", "auto", "-p", "no:cacheprovider"]
    tests = [combination.interpreter, "-m", "pytest", "klaviyo_sync_tests/core", "klaviyo_sync_tests/contract", *choice]
    return told(run_all("tests", combination.folder / "tests.log", tests))


def run_all(name: str, log: Path, *commands: list[str | Path]) -> Step:
    """Runs commands one after the other, up to the first that fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    began = time.monotonic()
    for command in commands:
        with log.open("ab") as out:
            ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
        if ended:
            return Step(name, log, time.monotonic() - began, failed=" ".join(map(str, command)))
    return Step(name, log, time.monotonic() - began)


def told(step: Step) -> bool:
    """Prints how a step went: its last line, or, where it failed, the end of what it printed. Returns whether it went well."""
    if step.failed:
        lines = step.log.read_text(encoding="utf-8", errors="replace").splitlines()
        say("\n".join([f"  FAILED: {step.failed}", *lines[-LAST_LINES:]]))
    else:
        say(f"  {step.name}: {last_line(step.log) or 'done'} ({step.seconds:.0f} s)")
    return not step.failed


def last_line(log: Path) -> str:
    """The last line of a log."""
    return next(iter(reversed(log.read_text(encoding="utf-8", errors="replace").splitlines())), "").strip()


def versions(uv: str, python: Path) -> str:
    """The versions that matter most of what was installed."""
    frozen = subprocess.run([uv, "pip", "freeze", "--python", python], capture_output=True, text=True, check=True).stdout
    return ", ".join(line.replace("==", " ") for line in frozen.splitlines() if line.partition("==")[0] in SHOWN)


def say(line: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
