"""How much of a thing a test tries: all of it in `make check`, little in `make test`, next to nothing in `make versions`."""

from __future__ import annotations

from hypothesis import settings


def long_form() -> bool:
    """Whether this is a run with `--hypothesis-profile=long`, as that of `make check`."""
    return settings.get_current_profile_name() == "long"


def examples(number: int, *, quick: int | None = None) -> int:
    """The number of examples of a property: `number` in the long form, `quick` in the quick one: if not given, a fifth, but at least 10.

    With the profile `versions` as few as of every property.
    """
    if settings.get_current_profile_name() == "versions":
        return min(number, settings.get_profile("versions").max_examples)
    return number if long_form() else min(number, quick or max(number // 5, 10))
