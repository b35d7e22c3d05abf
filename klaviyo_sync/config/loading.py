"""From files to a Project, or to one ConfigError that names everything that is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from klaviyo_sync.config.addresses import read_base_url, refuse_overruled_sandbox
from klaviyo_sync.config.connections import TYPES, Connection, KlaviyoSettings, beside
from klaviyo_sync.config.crosschecks import check_connections, check_names, check_relations, check_shared_names, notes
from klaviyo_sync.config.document import Document, each_env, read
from klaviyo_sync.config.env import Env
from klaviyo_sync.config.placeholders import PlaceholderSettings
from klaviyo_sync.config.problems import KeyPath, Problems, dotted, shown
from klaviyo_sync.config.project import Project, Source
from klaviyo_sync.config.rejects import RejectsSettings
from klaviyo_sync.config.shell_environment import shell_environment
from klaviyo_sync.config.translation import key_path, translate, unknown_keys
from klaviyo_sync.core.nearest import did_you_mean
from klaviyo_sync.core.sync import NAME, Sync

FILE = "klaviyo_sync.yaml"
VARIABLE = "KLAVIYO_SYNC_CONFIG"
FOLDER = "syncs"
RESERVED_NAMES = frozenset(("profiles",))
PROJECT_KEYS = ("klaviyo", "connections", "rejects", "placeholders")
PROJECT_MAPPINGS: frozenset[KeyPath] = frozenset(((), ("klaviyo",), ("connections",), ("connections", "*"), ("connections", "*", "labels")))
SYNC_MAPPINGS: frozenset[KeyPath] = frozenset(((), ("profile",), ("properties",), ("consent",), ("tolerance",), ("stop_above",), ("tags",)))

M = TypeVar("M", bound=BaseModel)


def load(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    now: datetime | None = None,
    *,
    shell: Mapping[str, str] | None = None,
) -> Project:
    """The project configured in `path`, else in the file that KLAVIYO_SYNC_CONFIG names, else in ./klaviyo_sync.yaml.

    `now` is what the notes are counted to. Paths in it are absolute, so that a later change of the working directory does not move them.
    Raises ConfigError with every problem of every file, one a line; also when the environment `shell`, from before `.env` was read,
    names a sandbox that `.env` has replaced by a remote address.
    """
    known = os.environ if environ is None else environ
    found = path or Path(known.get(VARIABLE) or FILE)
    if found.is_dir():
        found = found / FILE
    problems = Problems()
    if not found.is_file():
        problems.add(found, None, (), f"there is no such file: make it, or name another one in {VARIABLE}")
        problems.raise_any()
    document = read(found, problems, PROJECT_MAPPINGS)
    klaviyo, told, connections, rejects = read_project(document, problems, known) if document else (None, (), {}, RejectsSettings())
    placeholders = read_placeholders(document, problems, known) if document else ()
    names = document.value.get("connections") if document else None
    pairs = read_syncs(found.parent / FOLDER, problems, known)
    check_connections(pairs, frozenset(names) if isinstance(names, dict) else None, found, problems)
    check_names(pairs, problems)
    check_relations(pairs, connections, problems)
    check_shared_names([read_document for read_document, _ in pairs], problems)
    problems.raise_any()
    if klaviyo is None:
        raise AssertionError("a configuration without problems has its Klaviyo settings")
    if environ is None:
        refuse_overruled_sandbox(klaviyo.base_url, shell_environment() if shell is None else shell)
    syncs = tuple(sync.model_copy(update={"placeholders": placeholders}) for _, sync in pairs if sync is not None)
    sources = {read_document.path.stem: source(read_document) for read_document, _ in pairs}
    every_note = (*told, *notes(syncs, now or datetime.now(UTC)))
    where = source(document) if document else None
    return Project(found, klaviyo, connections, syncs, rejects.folder, rejects.keep, sources, every_note, where)


def source(document: Document) -> Source:
    """Where the keys of a document stand."""
    return Source(document.path, {dotted(key): mark.line for key, mark in document.marks.items()})


def read_project(
    document: Document, problems: Problems, environ: Mapping[str, str]
) -> tuple[KlaviyoSettings | None, tuple[str, ...], dict[str, Connection], RejectsSettings]:
    """The account with notes about it, the connections and the rejects settings; what is missing from them is among the problems."""
    value = document.value
    for key in value:
        if key not in PROJECT_KEYS:
            hint = did_you_mean(key, PROJECT_KEYS) or f"; expected {', '.join(PROJECT_KEYS)}"
            problems.add(document.path, document.mark((key,)), (key,), f"unknown key{hint}")
    klaviyo, told = read_klaviyo(document, problems, environ)
    connections = read_connections(document, problems)
    return klaviyo, told, connections, read_rejects(document, problems, environ)


def read_rejects(document: Document, problems: Problems, environ: Mapping[str, str]) -> RejectsSettings:
    """Where the rejects files go: a folder or an address, or a mapping with `folder` and `keep`."""
    given = document.value.get("rejects") or "rejects"
    parts = dict(given) if isinstance(given, dict) else {"folder": given}
    at: KeyPath = ("rejects",) if isinstance(given, dict) else ()
    for key, part in parts.items():
        if isinstance(part, Env):
            parts[key] = resolved(part, document, problems, environ) or "1d"
    if not isinstance(given, dict) and not isinstance(parts["folder"], str):
        mark = document.mark(("rejects",))
        problems.add(document.path, mark, ("rejects",), f"found {shown(given)}, expected a folder, an address, or a mapping with folder")
        return RejectsSettings()
    read = validated(RejectsSettings, parts, document, problems, at=at) or RejectsSettings()
    return read.model_copy(update={"folder": beside(document.path.parent.absolute(), read.folder)})


def read_placeholders(document: Document, problems: Problems, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values that stand for nobody."""
    given = document.value.get("placeholders") or ()
    if isinstance(given, list):
        given = [resolved(part, document, problems, environ) or "unset" if isinstance(part, Env) else part for part in given]
    read = validated(PlaceholderSettings, {"placeholders": given}, document, problems)
    return read.placeholders if read else ()


def read_klaviyo(document: Document, problems: Problems, environ: Mapping[str, str]) -> tuple[KlaviyoSettings | None, tuple[str, ...]]:
    """The account's settings, and notes about them. An account whose variable is not set is an error."""
    value = document.value.get("klaviyo")
    if not isinstance(value, dict):
        found = f"found {shown(value)}, " if "klaviyo" in document.value else "is missing: "
        problems.add(
            document.path, document.mark(("klaviyo",)), ("klaviyo",), f"{found}expected a mapping with api_key and, optionally, base_url"
        )
        return None, ()
    address, note = read_base_url(document, problems, environ)
    plain = {**value, "base_url": address}
    if isinstance(account := plain.get("account"), Env):
        plain["account"] = resolved(account, document, problems, environ)
    settings = validated(KlaviyoSettings, plain, document, problems, at=("klaviyo",))
    return settings, (note,) if note else ()


def read_connections(document: Document, problems: Problems) -> dict[str, Connection]:
    """The connections that are right."""
    value = document.value.get("connections")
    if not isinstance(value, dict) or not value:
        found = f"found {shown(value)}, " if "connections" in document.value else "is missing: "
        problems.add(document.path, document.mark(("connections",)), ("connections",), f"{found}expected a mapping of names to connections")
        return {}
    connections = {}
    for name, part in value.items():
        at = ("connections", name)
        kind = part.get("type") if isinstance(part, dict) else None
        if not NAME.fullmatch(name):
            problems.add(
                document.path, document.mark(at), at, "expected a name of letters, digits and underscores, not beginning with a digit"
            )
        elif not isinstance(part, dict):
            problems.add(document.path, document.mark(at), at, f"found {shown(part)}, expected a mapping with a type")
        elif not isinstance(kind, str) or kind not in TYPES:
            found = f"found {shown(kind)}, " if "type" in part else "is missing: "
            problems.add(
                document.path, document.mark((*at, "type")), (*at, "type"), f"{found}expected {', '.join(TYPES)}{did_you_mean(kind, TYPES)}"
            )
        elif connection := validated(TYPES[kind], part, document, problems, at=at, given={"name": name}):
            connections[name] = placed(connection, document.path.parent.absolute())
    return connections


def placed(connection: Connection, folder: Path) -> Connection:
    """The connection, its paths relative to the folder of klaviyo_sync.yaml."""
    paths = {key: path for key in connection.files if isinstance(path := getattr(connection, key), str)}
    return connection.model_copy(update={key: beside(folder, path) for key, path in paths.items()})


def read_syncs(folder: Path, problems: Problems, environ: Mapping[str, str]) -> list[tuple[Document, Sync | None]]:
    """The documents of the syncs, each with its Sync when that is right, in the order of their names."""
    files = sorted(file for file in folder.glob("*.y*ml") if not file.name.startswith(".")) if folder.is_dir() else []
    if not files:
        problems.add(folder, None, (), f"there are no syncs: expected a folder {FOLDER} beside {FILE}, with one YAML file for each sync")
    pairs = []
    for file in files:
        if file.suffix != ".yaml":
            problems.add(file, None, (), f"expected a file name that ends in .yaml: rename it to {file.stem}.yaml")
        elif not NAME.fullmatch(file.stem) or file.stem in RESERVED_NAMES:
            expected = f"other than {', '.join(RESERVED_NAMES)}" if file.stem in RESERVED_NAMES else "not beginning with a digit"
            problems.add(file, None, (), f"the file name is the sync's name: expected letters, digits and underscores, {expected}")
        elif document := read(file, problems, SYNC_MAPPINGS):
            pairs.append((document, read_sync(document, problems, environ)))
    return pairs


def read_sync(document: Document, problems: Problems, environ: Mapping[str, str]) -> Sync | None:
    """The sync of a document, its variables replaced."""
    missing = {key for key, env in each_env(document.value).items() if resolved(env, document, problems, environ) is None}
    value = replaced(document.value, environ)
    return validated(Sync, value, document, problems, given={"name": document.path.stem, "placeholders": ()}, excused=missing)


def resolved(env: Env, document: Document, problems: Problems, environ: Mapping[str, str]) -> str | None:
    """The variable's value, or None and a problem."""
    value = environ.get(env.name)
    if not value:
        problems.add(document.path, env.mark, env.key, env.missing)
    return value or None


def replaced(value: Any, environ: Mapping[str, str]) -> Any:
    """The value with its variables' values in their places, None for those that are not set."""
    if isinstance(value, Env):
        return environ.get(value.name) or None
    if isinstance(value, dict):
        return {key: replaced(part, environ) for key, part in value.items()}
    return [replaced(part, environ) for part in value] if isinstance(value, list) else value


def validated(
    model: type[M],
    value: Mapping[str, Any],
    document: Document,
    problems: Problems,
    *,
    at: KeyPath = (),
    given: Mapping[str, Any] | None = None,
    excused: frozenset[KeyPath] | set[KeyPath] = frozenset(),
) -> M | None:
    """The model of a part of the document, `given` what the file does not say; else None and problems, but for `excused` keys."""
    before = len(problems.found)
    strange = dict(unknown_keys(model, value, frozenset(given or ())))
    for key, message in strange.items():
        problems.add(document.path, document.mark((*at, *key)), (*at, *key), message)
    try:
        read = model.model_validate({**value, **(given or {})})
    except ValidationError as error:
        for found in error.errors(include_url=False):
            key = key_path(found)
            if key not in strange and (*at, *key) not in excused:
                problems.add(document.path, document.mark((*at, *key)), (*at, *key), translate(found))
        return None
    return None if len(problems.found) > before or document.faulty else read
