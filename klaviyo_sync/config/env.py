"""`{env: NAME}`: values that stand in the environment, not in the file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from klaviyo_sync.config.problems import KeyPath, Mark, dotted
from klaviyo_sync.core.errors import ConfigError

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "A variable of the environment.",
    "properties": {"env": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}},
    "required": ["env"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Env:
    """A variable of the environment, and where the file names it. `folder` is the file's, as an absolute path."""

    name: str
    file: Path
    mark: Mark
    key: KeyPath
    folder: Path

    def read(self, environ: Mapping[str, str] | None = None) -> str:
        """The variable's value. Raises ConfigError when it is not set or empty."""
        value = (os.environ if environ is None else environ).get(self.name)
        if value:
            return value
        raise ConfigError(f"{self.file}:{self.mark.line}:{self.mark.column}: {dotted(self.key)}: {self.missing}")

    @property
    def missing(self) -> str:
        """What to say when it is not set."""
        return f"the environment variable {self.name} is not set: set it, in the shell or in .env"


class Secret:
    """A value that only the environment holds. Neither str() nor repr() shows it."""

    def __init__(self, env: Env) -> None:
        self.env = env

    @property
    def name(self) -> str:
        """The variable's name."""
        return self.env.name

    def reveal(self, environ: Mapping[str, str] | None = None) -> str:
        """The value itself. Raises ConfigError with file, line and the variable's name when it is not set."""
        return self.env.read(environ)

    def __repr__(self) -> str:
        return f"Secret(env: {self.name})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.env == self.env

    def __hash__(self) -> int:
        return hash(self.env)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Takes an Env (or a Secret, or a revealed one) and nothing else."""
        del source, handler
        return core_schema.no_info_plain_validator_function(cls.of)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """A variable, and nothing else."""
        del schema, handler
        return dict(SCHEMA)

    @classmethod
    def of(cls, value: object) -> Secret | Revealed:
        """The secret behind `{env: NAME}`."""
        if isinstance(value, Secret | Revealed):
            return value
        if isinstance(value, Env):
            return cls(value)
        raise SecretInFileError("expected {env: NAME}: a secret is named here, and stands in the environment")


class SecretInFileError(ValueError):
    """A secret was written into the file; its message never repeats it."""


class Revealed(str):
    """A secret's value, for drivers; its repr hides it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"
