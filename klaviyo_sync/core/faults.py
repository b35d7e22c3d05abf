"""The base of the configuration's models: frozen, deaf to nothing, and reporting every fault at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

FAULT = "fault"


class Fault(NamedTuple):
    """Something that no single value is to blame for: where to point, and what to say."""

    path: tuple[str | int, ...]
    message: str


class Model(BaseModel):
    """Frozen; an unknown key is an error; `faults` adds what concerns several keys to what pydantic finds in each."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @classmethod
    def faults(cls, raw: Mapping[str, Any]) -> Iterator[Fault]:
        """What is wrong between the keys of the mapping that the model is made from, whatever else is wrong."""
        del raw
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def every_fault_at_once(cls, value: Any, handler: Callable[[Any], Any]) -> Any:
        """The model, or one ValidationError with pydantic's findings and the faults."""
        found = [detail(fault.path, fault.message) for fault in (cls.faults(value) if isinstance(value, Mapping) else ())]
        try:
            model = handler(value)
        except ValidationError as error:
            raise ValidationError.from_exception_data(cls.__name__, [*details(error), *found]) from None
        if found:
            raise ValidationError.from_exception_data(cls.__name__, found)
        return model


def detail(path: tuple[str | int, ...], message: str) -> InitErrorDetails:
    """A fault, as pydantic takes it."""
    return InitErrorDetails(type=PydanticCustomError(FAULT, "{message}", {"message": message}), loc=path, input=None)


def details(error: ValidationError) -> Iterator[InitErrorDetails]:
    """The findings of a ValidationError, fit to be raised again."""
    for found in error.errors(include_url=False):
        yield detail(found["loc"], found["msg"]) if found["type"] == FAULT else cast("InitErrorDetails", found)


def key_of(value: object, key: str) -> object:
    """What a mapping or a model holds under a key, or None."""
    return value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)
