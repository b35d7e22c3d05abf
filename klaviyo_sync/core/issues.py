"""The catalogue of issue codes: every reason for which a row or a cell could not go out as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Effect = Literal["row", "superseded", "cell", "note"]

# What may keep somebody subscribed who opted out. No tolerance covers it, and it counts in superseded rows as well.
UNKNOWN_WORD, OPT_OUT_WITHOUT_IDENTIFIER = "unknown_consent_word", "opt_out_without_identifier"
MAYBE_OPT_OUTS = frozenset({UNKNOWN_WORD, OPT_OUT_WITHOUT_IDENTIFIER})


@dataclass(frozen=True)
class Code:
    """One reason. `effect`: the row stays behind, is superseded, only the cell stays behind, or it went out and this is worth knowing."""

    code: str
    effect: Effect
    message: str
    advice: str


CODES: dict[str, Code] = {
    code.code: code
    for code in (
        Code("missing_identifier", "row", "The row has no usable identifier.", "Fill one of the identifier columns of this sync."),
        Code("profile_too_large", "row", "The profile is larger than 100,000 bytes.", "Map fewer or shorter columns for this row."),
        Code("refused", "row", "Klaviyo refused the profile before importing anything.", "Correct the cell that the message names."),
        Code("import_failed", "row", "Klaviyo's import job could not write the profile.", "Correct what the message names."),
        Code(
            "refused_cell",
            "cell",
            "Klaviyo refused this cell; the profile was sent again without it.",
            "Correct the cell; the message has Klaviyo's words.",
        ),
        Code("outcome_unknown", "row", "Nothing proves that the profile was imported.", "Nothing: the window is asked for again."),
        Code("clear_refused", "cell", "Klaviyo did not clear the fields whose cells are NULL.", "Correct what the message names."),
        Code("clear_without_profile", "cell", "The profile itself was not imported.", "Correct what is said about the row."),
        Code(
            "clear_unseen",
            "cell",
            "Klaviyo does not show the imported profile yet, so it is not known what it holds.",
            "Nothing: the window is asked for again.",
        ),
        Code("invalid_email", "cell", "Not an e-mail address.", "Correct the address, or leave the cell NULL."),
        Code("email_too_long", "cell", "An e-mail address over 100 characters.", "Leave the cell NULL."),
        Code(
            "invalid_phone", "cell", "Not a phone number that exists in its country's numbering plan.", "Correct the number or its country."
        ),
        Code(
            "ambiguous_phone",
            "cell",
            "A phone number that exists with and without its first digits read as the calling code: it may be somebody else's.",
            "Write it with a + in front of the calling code, or with the 0 that is dialled inside its country.",
        ),
        Code(
            "phone_without_country",
            "cell",
            "A national phone number whose country is not known.",
            "Map a country column, or set default_country.",
        ),
        Code(
            "unknown_country",
            "cell",
            "A national phone number beside a country that is not known.",
            "Use the country's ISO code or its name; default_country counts for blank cells only.",
        ),
        Code(
            "shared_phone",
            "cell",
            "A phone number that another profile has; the row went out without it.",
            "Correct the number where it is wrong; a number that people share stays with one of them.",
        ),
        Code(
            "phone_not_looked_up",
            "cell",
            "Klaviyo does not say who has the phone number; the row went out without it.",
            "Correct the number, or set shared: newest to send numbers without asking Klaviyo.",
        ),
        Code(
            "shared_email",
            "cell",
            "An e-mail address that a newer row of another profile has; the row went out without it.",
            "Correct the address where it is wrong; one that people share stays with the newest of them.",
        ),
        Code(
            "shared_external_id",
            "cell",
            "An external_id that a newer row of another profile has; the row went out without it.",
            "Correct the id where it is wrong, or add external_id to match_on.",
        ),
        Code(
            "shared_id",
            "cell",
            "A Klaviyo id that a newer row of another profile has; the row went out without it.",
            "Correct the id where it is wrong, or add id to match_on.",
        ),
        Code(
            "same_email",
            "superseded",
            "A newer row with the same e-mail address and other identifiers goes out in place of this row.",
            "Nothing where it is one person; else correct the address, or set match_on: [external_id].",
        ),
        Code(
            "same_external_id",
            "superseded",
            "A newer row with the same external_id and other identifiers goes out in place of this row.",
            "Nothing where the person's other identifiers changed; else correct the id.",
        ),
        Code(
            "same_id",
            "superseded",
            "A newer row with the same Klaviyo id and other identifiers goes out in place of this row.",
            "Nothing where the person's other identifiers changed; else correct the id.",
        ),
        Code(
            "same_phone",
            "superseded",
            "A newer row with the same phone number and more identifiers goes out in place of this row, which has nothing else.",
            "Nothing where it is one person; else correct the number.",
        ),
        Code("identifier_too_long", "cell", "An identifier over 64 characters, which Klaviyo would cut.", "Use a shorter identifier."),
        Code(
            "invalid_identifier",
            "cell",
            "An identifier with a control character or an invisible character inside.",
            "Take the character out in the warehouse; the value shows it as \\u200b or the like.",
        ),
        Code(
            "placeholder_identifier",
            "cell",
            "An identifier that stands for nobody: a word such as unknown, or a value beside many different people.",
            "Leave the cell NULL, or list the value under placeholders in klaviyo_sync.yaml, so that every window leaves it out.",
        ),
        Code(
            "inexact_identifier",
            "cell",
            "An identifier from a float, too large to be exact.",
            "Store the column as text or as an integer, and load it again from its source.",
        ),
        Code("invalid_locale", "cell", "Not a BCP 47 language tag such as en-US.", "Correct the tag."),
        Code("invalid_url", "cell", "Not an http or https address.", "Correct the address."),
        Code("invalid_latitude", "cell", "Not a number of degrees between -90 and 90.", "Correct the value."),
        Code("invalid_longitude", "cell", "Not a number of degrees between -180 and 180.", "Correct the value."),
        Code("invalid_timezone", "cell", "Not an IANA time zone.", "Use a name such as Europe/Berlin."),
        Code("invalid_ip", "cell", "Not an IP address.", "Correct the address."),
        Code("not_a_number", "cell", "Not a finite number.", "Correct the value, or declare the property as text."),
        Code(
            "number_too_large",
            "cell",
            "An integer beyond 64 bits, which Klaviyo cannot store as a number.",
            "Declare the property as text.",
        ),
        Code("not_a_boolean", "cell", "Not a boolean.", "Use true or false, or declare the property as text."),
        Code("not_a_date", "cell", "Not a date.", "Write dates as 2026-01-31."),
        Code("not_a_datetime", "cell", "Not a date with a time.", "Write times as 2026-01-31T12:00:00Z."),
        Code(
            "ambiguous_date",
            "cell",
            "A date that can be read in two ways, such as 03/04/2014.",
            "Write dates as 2014-04-03, or make the column a DATE in the warehouse.",
        ),
        Code("zero_date", "cell", "A zero date, such as 1970-01-01 or 0000-00-00, which stands for no date.", "Leave the cell NULL."),
        Code("not_a_list", "cell", "Not a list.", "Use an array, or a JSON array as text, or declare a separator."),
        Code("not_json", "cell", "Not JSON.", "Correct the text, or declare the property as text."),
        Code(
            "nested_too_deep",
            "cell",
            "JSON with more than 10 lists and objects inside each other.",
            "Send the parts that are needed, or declare the property as text.",
        ),
        Code("list_too_long", "cell", "A list of more than 4,000 items.", "Send fewer items."),
        Code("control_characters", "note", "Control characters were taken out of the text.", "Clean the column in the warehouse."),
        Code(
            "spreadsheet_marks",
            "note",
            'A spreadsheet\'s leading apostrophe, or its ="...", was taken off.',
            "Clean the column in the warehouse.",
        ),
        Code(
            "zip_from_number",
            "note",
            "A short postal code from a column of numbers, which may have lost its leading zeros.",
            "Store postal codes as text.",
        ),
        Code(
            "html_entities",
            "note",
            "A text with HTML entities such as &amp;, which was sent as it is.",
            "Unescape the column in the warehouse.",
        ),
        Code(
            UNKNOWN_WORD,
            "cell",
            "Not a word of consent.",
            "Use Subscribe, Unsubscribed or Never Subscribed, or add the word under words.",
        ),
        Code(
            "held_for_consent",
            "row",
            "The word of consent is not known, and unknown: hold keeps such rows back.",
            "Correct the word, or add it under words.",
        ),
        Code(
            "consent_without_identifier",
            "cell",
            "A subscribe for a channel whose e-mail address or phone number is missing or not usable.",
            "Fill the channel's identifier.",
        ),
        Code(
            OPT_OUT_WITHOUT_IDENTIFIER,
            "cell",
            "An opt-out could not be sent: the e-mail address or phone number of its row is missing or not usable.",
            "Correct the address, or leave the consent NULL where there is none. Until then unsubscribe the person in Klaviyo by hand.",
        ),
        Code("invalid_consent_date", "cell", "Not a date with a time.", "Write times as 2026-01-31T12:00:00Z."),
        Code("consent_date_in_future", "cell", "A consent date later than now.", "Correct the date."),
        Code(
            "consent_date_just_ahead",
            "cell",
            "A consent date less than a day later than now, most likely a local time without its zone.",
            "Name the zone under timestamp, as timezone: Europe/Berlin; where the column has one, correct how it is loaded.",
        ),
        Code(
            "opt_out_repaired",
            "note",
            "The address is not usable as it is written; its opt-out counts for the address that was most likely meant.",
            "Correct the address in the warehouse.",
        ),
        Code(
            "zero_consent_date",
            "note",
            "A consent date that stands for none, such as 1970-01-01; it was left out.",
            "Load it as NULL.",
        ),
        Code(
            "consent_date_raised",
            "note",
            "A consent date before 1990-01-01, which Klaviyo stores as that day.",
            "Nothing, or correct the date.",
        ),
    )
}
