"""What Klaviyo documents about two profiles in one, and what it leaves open: each open question is a switch.

Merging: https://help.klaviyo.com/hc/en-us/articles/12902308138011 and https://help.klaviyo.com/hc/en-us/articles/13756180653851.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

Conflict = Literal["merged", "moved", "refused"]
ConsentConflict = Literal["apart", "merged"]
MergedConsent = Literal["newest", "strictest"]
PhoneConsent = Literal["number", "profile"]
EmailSearch = Literal["any_case", "as_written"]
UnknownOptOut = Literal["profile", "nothing", "refused"]


@dataclass(frozen=True)
class Readings:
    """How the sandbox reads what Klaviyo says about identifiers and merges. The defaults are what Klaviyo documents.

    Args:
        conflict: what an import does that names identifiers of two profiles: `merged` makes one profile of them, in which
            the profile with the identifier of the higher rank survives; `moved` takes the identifier away from its owner;
            `refused` is the error `duplicate_profile`, and both profiles stay as they are.
        external_id_conflict: the same, when an external id names one of the two or they have different external ids.
            Klaviyo's pages disagree about whether external ids take part in merging.
        consent_conflict: what a subscribe or unsubscribe does with identifiers of two profiles: `apart` gives each owner the
            consent of its channel; `merged` treats them as an import does.
        merged_consent: which consent survives a merge when the two differ: the `newest` record, or the opt-out (`strictest`).
        phone_consent: whether consent to texts belongs to the `number`, so that a profile with a new number starts as never
            subscribed, or to the `profile`, whatever its number.
        email_search: whether a search for e-mail addresses finds them in `any_case`, or only `as_written` in the profile.
        unknown_opt_out: what an unsubscribe of somebody unknown does: it makes a `profile`, or `nothing`, or is `refused`.
    """

    conflict: Conflict = "merged"
    external_id_conflict: Conflict = "merged"
    consent_conflict: ConsentConflict = "apart"
    merged_consent: MergedConsent = "newest"
    phone_consent: PhoneConsent = "number"
    email_search: EmailSearch = "any_case"
    unknown_opt_out: UnknownOptOut = "profile"

    def changed(self, options: Mapping[str, Any]) -> Readings:
        """These readings with some of them changed. Raises ValueError for a switch or a value that does not exist."""
        values = {
            "merged_consent": MergedConsent,
            "phone_consent": PhoneConsent,
            "consent_conflict": ConsentConflict,
            "email_search": EmailSearch,
            "unknown_opt_out": UnknownOptOut,
        }
        for name, value in options.items():
            if name not in {field.name for field in fields(self)}:
                raise ValueError(f"{name!r} is not a reading. Readings: {', '.join(asdict(self))}.")
            if value not in (known := get_args(values.get(name, Conflict))):
                raise ValueError(f"{value!r} is not a value of {name}. Values: {', '.join(known)}.")
        return replace(self, **options)
