"""The wheel: the package and its data, nothing of the tests, and a command that starts."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "klaviyo_sync", "klaviyo_sync_tests")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
PATIENCE = 240


def run(command: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """A program that has ended, whichever way."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the repository."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(path, source / name)
    done = run([sys.executable, "-c", BUILD, built], source)
    assert done.returncode == 0, done.stderr
    [made] = built.glob("*.whl")
    return made


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    """Every file of `klaviyo_sync`, data files too, and no test."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = REPOSITORY / "klaviyo_sync"
    files = {path.relative_to(REPOSITORY).as_posix() for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert packed == files
    assert {"klaviyo_sync/py.typed", "klaviyo_sync/schemas/sync.schema.json", "klaviyo_sync/demo/sql/1_pools.sql"} <= packed


@pytest.mark.long
def test_the_wheel_works_where_nothing_else_of_ours_is(wheel: Path, tmp_path: Path) -> None:
    """In an environment with the dependencies and the wheel, the command and the demo start, and say what they miss."""
    environment = tmp_path / "environment"
    for command in (
        [sys.executable, "-m", "venv", environment],
        [environment / "bin" / "pip", "install", "--quiet", "--no-index", "--no-deps", wheel],
    ):
        done = run(command, tmp_path)
        assert done.returncode == 0, done.stderr
    # The dependencies of this environment, but not what its own .pth files add: this repository.
    packages = next((environment / "lib").glob("python*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    listed = run([environment / "bin" / "klaviyo-sync", "--help"], tmp_path)
    assert (listed.returncode, "preview" in listed.stdout) == (0, True), listed.stderr
    printed = run([environment / "bin" / "klaviyo-sync", "schema", "sync"], tmp_path)
    assert (printed.returncode, '"$schema"' in printed.stdout) == (0, True), printed.stderr
    demo = run([environment / "bin" / "python", "-m", "klaviyo_sync.demo"], tmp_path)
    assert demo.returncode == 1
    assert "run the demo in the folder of the repository" in " ".join((demo.stdout + demo.stderr).split())
