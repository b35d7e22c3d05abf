"""Pydantic's findings in our words: what was found, what was expected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from klaviyo_sync.config.env import SecretInFileError
from klaviyo_sync.config.problems import KeyPath, shown
from klaviyo_sync.core.faults import FAULT
from klaviyo_sync.core.nearest import did_you_mean
from klaviyo_sync.core.notation import OWNER, TAG_NAME, TAG_VALUE

WHOLE_NUMBER = "a whole number, without quotes, separators or a unit"

PATTERNS: dict[str, str] = {
    OWNER: "an e-mail address, or team: and a team's name",
    TAG_NAME: "a tag's name: letters, digits, underscores, dashes and dots, at most 63, optionally after a prefix and a slash",
    TAG_VALUE: "a tag's value: letters, digits, underscores, dashes and dots, at most 63",
    r"^[A-Z]{2}$": "a country's two capital letters, such as US",
    r"^[A-Za-z0-9_]+$": "letters, digits and underscores",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "letters, digits and underscores, not beginning with a digit",
}


def expecting(words: str) -> Callable[[ErrorDetails], str]:
    """`found x, expected y`."""
    return lambda error: f"found {shown(error['input'])}, expected {words}"


def literal(error: ErrorDetails) -> str:
    """One of the words that a key takes."""
    words = error.get("ctx", {}).get("expected", "").replace("'", "")
    return f"found {shown(error['input'])}, expected {words}{did_you_mean(error['input'], words.replace(' or ', ', ').split(', '))}"


def own_words(error: ErrorDetails) -> str:
    """The message of one of our own validators."""
    cause = error.get("ctx", {}).get("error")
    message = str(cause)
    if isinstance(cause, SecretInFileError) or not message.startswith("expected"):
        return message
    return f"found {shown(error['input'])}, {message}"


def pattern(error: ErrorDetails) -> str:
    """A text in a certain form."""
    form = error.get("ctx", {}).get("pattern", "")
    return f"found {shown(error['input'])}, expected {PATTERNS.get(form, f'a text like {form}')}"


MESSAGES: dict[str, Callable[[ErrorDetails], str]] = {
    FAULT: lambda error: error["msg"],
    "missing": lambda _: "is missing",
    "extra_forbidden": lambda _: "unknown key",
    "literal_error": literal,
    "value_error": own_words,
    "string_pattern_mismatch": pattern,
    "string_type": expecting("a text; numbers and words such as true stand in quotes"),
    "string_too_short": expecting("a text that is not empty"),
    "too_short": expecting("at least one entry"),
    "dict_type": expecting("a mapping of keys to values"),
    "model_type": expecting("a mapping of keys to values"),
    "tuple_type": expecting("a list"),
    "int_parsing": expecting(WHOLE_NUMBER),
    "int_type": expecting(WHOLE_NUMBER),
    "int_from_float": expecting(WHOLE_NUMBER),
    "greater_than_equal": lambda error: f"found {shown(error['input'])}, expected at least {error.get('ctx', {}).get('ge')}",
}


def translate(error: ErrorDetails) -> str:
    """One finding of pydantic, in our words."""
    known = MESSAGES.get(error["type"])
    return known(error) if known else f"found {shown(error['input'])}: {error['msg']}"


def key_path(error: ErrorDetails) -> KeyPath:
    """The finding's key path; pydantic marks faults of a key itself with `[key]`."""
    return tuple(part for part in error["loc"] if part != "[key]")


def unknown_keys(
    model: type[BaseModel], value: object, hidden: frozenset[str] = frozenset(), at: KeyPath = ()
) -> Iterator[tuple[KeyPath, str]]:
    """The key paths that a model does not know, each with what to say about it. `hidden` fields are not for the file."""
    if not isinstance(value, Mapping):
        return
    fields = {field.alias or name: field.annotation for name, field in model.model_fields.items() if name not in hidden}
    for key, part in value.items():
        if key not in fields:
            yield (*at, key), f"unknown key{did_you_mean(key, fields) or f'; expected {chr(44).join(fields)}'.replace(',', ', ')}"
            continue
        for inner, depth in models_in(fields[key]):
            parts = {(): part} if depth == 0 else {(name,): item for name, item in part.items()} if isinstance(part, Mapping) else {}
            for path, item in parts.items():
                yield from unknown_keys(inner, item, at=(*at, key, *path))


def models_in(annotation: Any, depth: int = 0) -> Iterator[tuple[type[BaseModel], int]]:
    """The models that an annotation holds, and how many mappings deep."""
    if get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield cast("type[BaseModel]", annotation), depth
    elif get_origin(annotation) is Annotated:
        yield from models_in(get_args(annotation)[0], depth)
    elif get_origin(annotation) is dict:
        yield from models_in(get_args(annotation)[1], depth + 1)
    else:
        for part in get_args(annotation):
            yield from models_in(part, depth)
