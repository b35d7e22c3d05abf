"""What no single file can know: connections that exist, names that come from one sync only, and things worth knowing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise, takewhile
from pathlib import Path
from typing import get_args

from klaviyo_sync.config.connections import Connection
from klaviyo_sync.config.document import Document
from klaviyo_sync.config.problems import KeyPath, Problems, shown
from klaviyo_sync.core.attributes import IDENTIFIERS, PHONE_PROPERTY
from klaviyo_sync.core.consent_words import Meaning
from klaviyo_sync.core.dialects import DIALECTS
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.core.faults import key_of
from klaviyo_sync.core.frequencies import frequency
from klaviyo_sync.core.nearest import did_you_mean
from klaviyo_sync.core.query import relation
from klaviyo_sync.core.sync import Consent, Sync
from klaviyo_sync.core.windows import ticks

MANY_WINDOWS = 50_000
SAMPLE = timedelta(days=28)
IN_QUOTES = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")


def check_connections(pairs: Iterable[tuple[Document, Sync | None]], names: frozenset[str] | None, file: Path, problems: Problems) -> None:
    """Every sync's connection is one of klaviyo_sync.yaml's, where those are known."""
    for document, sync in pairs:
        wanted = sync.connection if sync else document.value.get("connection")
        if names is not None and isinstance(wanted, str) and wanted not in names:
            expected = f"expected a connection of {file}: {', '.join(sorted(names)) or 'it has none'}{did_you_mean(wanted, names)}"
            problems.add(document.path, document.mark(("connection",)), ("connection",), f"found {shown(wanted)}, {expected}")


def check_names(pairs: Iterable[tuple[Document, Sync | None]], problems: Problems) -> None:
    """No two names differ by an underscore in front: Dagster's job of the one is called as the op of the other."""
    documents = {document.path.stem: document for document, _ in pairs}
    for name, document in documents.items():
        if name.startswith("_") and (other := documents.get(name[1:])) is not None:
            problems.add(document.path, None, (), f"the name differs from {other.path.name} by an underscore in front alone: rename one")


def check_relations(pairs: Iterable[tuple[Document, Sync | None]], connections: Mapping[str, Connection], problems: Problems) -> None:
    """Every dataset is a name, and every query a SELECT, that its warehouse understands."""
    for document, sync in pairs:
        if sync is None or sync.connection not in connections:
            continue
        dialect = connections[sync.connection].type
        swallowed = swallowed_line(document.folded.get(("query",), ""), sync.query or "", DIALECTS[dialect].comment)
        if swallowed is not None:
            comment, line = swallowed
            message = f"YAML joins these lines, so that the comment {comment} swallows the next line, {line}: write the query as query: |"
            problems.add(document.path, document.mark(("query",)), ("query",), message)
            continue
        try:
            relation(sync, dialect)
        except ConfigError as error:
            key = ("query",) if sync.dataset is None else ("dataset",)
            problems.add(document.path, document.mark(key), key, str(error))


def swallowed_line(written: str, query: str, comment: str) -> tuple[str, str] | None:
    """A comment and the line of SQL behind it that became a part of it when YAML joined the lines; None when there is none.

    `written` is the text as it stands in the file, `comment` a regular expression for what begins a comment to the end of a line.
    """
    lines = [line.strip() for line in written.splitlines() if line.strip()]
    for line, following in pairwise(lines):
        bare = IN_QUOTES.sub(lambda quoted: "." * len(quoted[0]), line)
        begins = re.search(comment, bare)
        if begins and not re.match(comment, following) and f"{line[begins.start() :]} {following}" in query:
            return shown(line[begins.start() :]), shown(following)
    return None


def check_shared_names(documents: Iterable[Document], problems: Problems) -> None:
    """A property, or an attribute that is no identifier, comes from one sync only, as in Klaviyo's own warehouse import
    (https://help.klaviyo.com/hc/en-us/articles/41373252392731).
    """
    owners: dict[tuple[str, str], tuple[Document, KeyPath]] = {}
    for document in documents:
        for section, name, key in filled(document):
            owner, owning_key = owners.setdefault((section, name), (document, key))
            if owner is not document:
                mark = owner.mark(owning_key)
                where = f"{owner.path}:{mark.line if mark else 1}"
                what = "an attribute" if section == "profile" else "a property"
                message = f"{what} may come from one sync only (Klaviyo's own rule), and {where} has it too: take one of them out"
                problems.add(document.path, document.mark(key), key, message)


def filled(document: Document) -> Iterator[tuple[str, str, KeyPath]]:
    """Section, name and key of what a sync fills beside identifiers."""
    for section in ("profile", "properties"):
        names = document.value.get(section)
        for name in names if isinstance(names, dict) else ():
            if section == "properties" or name not in IDENTIFIERS:
                yield section, name, (section, name)
    if key_of(key_of(document.value.get("profile"), "phone_number"), "shared") == "property":
        yield "properties", PHONE_PROPERTY, ("profile", "phone_number", "shared")


def notes(syncs: Sequence[Sync], now: datetime) -> Iterator[str]:
    """What is worth knowing and no error."""
    spellings: dict[str, tuple[str, str]] = {}
    for sync in syncs:
        count = estimated_windows(sync, now)
        if count > MANY_WINDOWS:
            yield f"{sync.name}: about {round(count, -3):,} windows since its start: a later start or a lower frequency keeps Dagster fast"
        if sync.starts_at > now:
            yield f"{sync.name}: starts in the future, so there is no window yet"
        if sync.consent is not None and sync.consent.undated == "resubscribe":
            yield f"{sync.name}: undated: resubscribe brings back people who opted out; guard and ignore do not"
        if sync.consent is not None:
            yield from consent_notes(sync, sync.consent)
        for name in sync.properties:
            other, owner = spellings.setdefault(name.casefold(), (name, sync.name))
            if other != name:
                yield f"{sync.name}: the property {name} and {owner}'s {other} differ in case only; to Klaviyo they are two properties"


def consent_notes(sync: Sync, consent: Consent) -> Iterator[str]:
    """What the sync's own words of consent mean, and dates of consent whose zone nobody named."""
    for channel, field in consent.channels().items():
        if field.words is not None:
            lists = {meaning: getattr(field.words, meaning) for meaning in get_args(Meaning)}
            read = "; ".join(f"{', '.join(words)} as {meaning}" for meaning, words in lists.items() if words)
            yield f"{sync.name}: {channel} also reads {read}"
        if field.date_column is not None and not sync.consent_zone(field)[1]:
            yield (
                f"{sync.name}: {channel}: dates in {field.date_column} without a zone may be up to 14 hours off and give way to opt-outs: "
                "name their timezone under timestamp, even if it is UTC"
            )


def estimated_windows(sync: Sync, now: datetime) -> int:
    """About how many windows have closed, from a sample of four weeks."""
    found = frequency(sync.frequency).calendar
    end = (sync.starts_at + SAMPLE).timestamp()
    sample = sum(1 for _ in takewhile(lambda tick: tick.at < end, ticks(found, sync.zone, sync.starts_at)))
    return max(0, int(sample * ((now - sync.starts_at) / SAMPLE)))
