"""YAML documents with the line and column of every key and value.

Scalars follow the YAML 1.2 core schema, not PyYAML's 1.1: `no` and `on` are text, `12:30` is text, dates stay text for the
models to read. Keys are always text as written. Duplicate keys and tags are errors. `{env: NAME}` is read as an Env.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from klaviyo_sync.config.env import VARIABLE, Env
from klaviyo_sync.config.problems import KeyPath, Mark, Problems

MAX_NODES = 100_000
MAX_DEPTH = 50
TAB = "found a tab; indent with spaces"

TAG = "tag:yaml.org,2002:"
IMPLICIT = (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]{0,18})$", list("-+0123456789")),
    ("float", r"^[-+]?[0-9]{1,18}\.[0-9]{1,18}$", list("-+0123456789")),
)


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of the YAML 1.2 core schema."""


Loader.yaml_implicit_resolvers = {}

for name, pattern, first in IMPLICIT:
    Loader.add_implicit_resolver(TAG + name, re.compile(pattern), first)


@dataclass
class Document:
    """One file: its value as plain Python, and where each key path stands. `faulty` when a problem was found while reading it.

    `folded` are the texts whose lines YAML joins (`>`, or no sign at all), as the file has them.
    """

    path: Path
    value: dict[str, Any] = field(default_factory=dict)
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    folded: dict[KeyPath, str] = field(default_factory=dict)
    faulty: bool = False

    def mark(self, key: KeyPath) -> Mark | None:
        """Where the key path stands, or the nearest part of it that the file has."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.marks:
                return self.marks[key[:length]]
        return Mark(1, 1)


def read(path: Path, problems: Problems, mappings: frozenset[KeyPath]) -> Document | None:
    """The document of a file, or None (and a problem) when there is nothing to go on with.

    `mappings` are the key paths, `*` for any key, where `{env: x}` is a mapping with a key `env` and not a variable.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        node = yaml.compose(text, Loader)
    except OSError as error:
        problems.add(path, None, (), f"cannot be read: {error.strerror or 'unknown reason'}")
    except UnicodeDecodeError:
        problems.add(path, None, (), "is not UTF-8 text")
    except yaml.reader.ReaderError as error:
        problems.add(path, None, (), f"holds a character that YAML does not allow: {error.character!r}")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Mark(mark.line + 1, mark.column + 1) if mark else None
        what = TAB if "'\\t'" in (error.problem or "") else error.problem or error.context
        problems.add(path, place, (), f"is not YAML: {what}")
    except (yaml.YAMLError, RecursionError, ValueError):
        problems.add(path, None, (), "is not YAML")
    else:
        return Reader(path, problems, mappings).document(node)
    return None


class Reader:
    """Turns one file's nodes into a Document."""

    def __init__(self, path: Path, problems: Problems, mappings: frozenset[KeyPath]) -> None:
        self.problems = problems
        self.mappings = mappings
        self.result = Document(path)
        self.nodes = 0

    def document(self, node: Node | None) -> Document | None:
        """The document, or None when it is empty or no mapping."""
        if node is None or (isinstance(node, ScalarNode) and node.tag == TAG + "null"):
            return self.problems.add(self.result.path, None, (), "is empty: expected a mapping of keys to values")
        if not isinstance(node, MappingNode):
            return self.problems.add(self.result.path, place(node), (), "expected a mapping of keys to values")
        value = self.mapping(node, ())
        if not isinstance(value, dict):
            return self.problems.add(self.result.path, place(node), (), "expected a mapping of keys to values")
        self.result.value = value
        return self.result

    def fault(self, node: Node, key: KeyPath, message: str) -> None:
        """Note a problem of the file itself."""
        self.result.faulty = True
        self.problems.add(self.result.path, place(node), key, message)

    def plain(self, node: Node, key: KeyPath) -> Any:
        """The value of a node."""
        self.nodes += 1
        if self.nodes > MAX_NODES or len(key) > MAX_DEPTH:
            if self.nodes <= MAX_NODES + 1:
                self.nodes = MAX_NODES + 1
                self.fault(node, key[:3], "the file is too large or too deep for a configuration")
            return None
        if not node.tag.startswith(TAG) or node.tag.removeprefix(TAG) not in ("null", "bool", "int", "float", "str", "map", "seq"):
            return self.fault(node, key, f"the tag {node.tag!r} is not allowed: expected a plain value")
        if isinstance(node, MappingNode):
            return self.mapping(node, key)
        if isinstance(node, SequenceNode):
            items = []
            for position, item in enumerate(node.value):
                self.result.marks.setdefault((*key, position), place(item))
                items.append(self.plain(item, (*key, position)))
            return items
        return scalar(node)

    def mapping(self, node: MappingNode, key: KeyPath) -> dict[str, Any] | Env:
        """The mapping of a node, or the Env that it stands for."""
        if not self.is_mapping(key) and len(node.value) == 1 and node.value[0][0].value == "env":
            return self.variable(node, key)
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode) or key_node.value == "":
                self.fault(key_node, key, "expected text as a key")
                continue
            name = key_node.value
            path = (*key, name)
            if name in found:
                first = self.result.marks[path]
                self.fault(key_node, path, f"duplicate key: the first one is in line {first.line}; keep one of them")
                continue
            self.result.marks[path] = place(key_node)
            found[name] = self.plain(value_node, path)
            start, end = value_node.start_mark, value_node.end_mark
            if isinstance(value_node, ScalarNode) and value_node.style != "|" and end.line > start.line:
                self.result.folded[path] = start.buffer[start.pointer : end.pointer]
        return found

    def is_mapping(self, key: KeyPath) -> bool:
        """Whether a mapping is expected here, and never a variable."""
        return any(
            len(key) == len(known) and all(part in ("*", got) for part, got in zip(known, key, strict=True)) for known in self.mappings
        )

    def variable(self, node: MappingNode, key: KeyPath) -> Any:
        """The Env of a `{env: NAME}`."""
        value = node.value[0][1]
        if isinstance(value, ScalarNode) and VARIABLE.fullmatch(value.value):
            return Env(value.value, self.result.path, place(node), key, self.result.path.parent.absolute())
        return self.fault(node, key, "expected {env: NAME} with the name of an environment variable: letters, digits and underscores")


def scalar(node: Node) -> str | int | float | bool | None:
    """The value of a scalar, by its resolved tag; text when an explicit tag does not fit."""
    text = str(node.value)
    kind = node.tag.removeprefix(TAG)
    for known, pattern, _ in IMPLICIT:
        if kind == known and re.fullmatch(pattern, text):
            return {"null": lambda _: None, "bool": lambda text: text.lower() == "true", "int": int, "float": float}[kind](text)
    return text


def place(node: Node) -> Mark:
    """Where a node begins."""
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def each_env(value: Any) -> Mapping[KeyPath, Env]:
    """The variables in a plain value, by key path."""
    found: dict[KeyPath, Env] = {}
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Env):
            found[item.key] = item
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return found
