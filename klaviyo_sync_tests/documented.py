"""The shell commands that README, CONTRIBUTING and docs/ print: lines of code blocks, and code within sentences and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

PROGRAMS = ("make", "klaviyo-sync", "dagster", "dagster-webserver", "dagster-daemon", "pip", "openssl", "gcloud", "git", "docker", "uv")
SHELLS = ("bash", "sh", "shell", "console")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
ASSIGNMENT = r"(?:[A-Z_]+=\S+ )*"
COMMAND = re.compile(rf"{ASSIGNMENT}(?:\.venv/bin/)?(?:{'|'.join(map(re.escape, PROGRAMS))})(?: .*)?|(?:\.|source) \S+")


def pages(repository: Path) -> list[Path]:
    """The pages that people read."""
    return [repository / "README.md", repository / "CONTRIBUTING.md", *sorted((repository / "docs").glob("*.md"))]


def commands(page: Path) -> Iterator[str]:
    """Every command of a page, without prompts and comments; a loop is one command."""
    text = page.read_text(encoding="utf-8")
    for language, block in FENCE.findall(text):
        if language in SHELLS:
            yield from filter(None, map(bare, whole_lines(block)))
        elif not language:
            yield from (line for line in map(bare, block.splitlines()) if COMMAND.fullmatch(line))
    for code in INLINE.findall(FENCE.sub("", text)):
        if COMMAND.fullmatch(bare(code)) and " " in code and "..." not in code:
            yield bare(code)


def whole_lines(block: str) -> Iterator[str]:
    """The lines of a block; those of a loop together."""
    loop: list[str] = []
    for line in block.splitlines():
        if loop or line.startswith("for "):
            loop.append(line.strip())
            if line.strip() == "done":
                yield " ".join(loop)
                loop = []
        else:
            yield line


def bare(line: str) -> str:
    """A line without its prompt and its comment."""
    return re.sub(r"(^|\s{2,})#.*$", "", line.removeprefix("$ ")).strip()


def yaml_blocks(page: Path, mark: str) -> Mapping[str, str]:
    """The YAML blocks of a page that contain a mark, by their first line."""
    blocks = [block for language, block in FENCE.findall(page.read_text(encoding="utf-8")) if language == "yaml" and mark in block]
    return {block.splitlines()[0]: block for block in blocks}
