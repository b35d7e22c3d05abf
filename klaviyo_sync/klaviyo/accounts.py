"""Accounts and lists: what a run asks before it sends anything."""

from __future__ import annotations

from dataclasses import dataclass

from klaviyo_sync.core.errors import ConfigError, NoSuchListError, Refused
from klaviyo_sync.klaviyo.answers import Answer, Rejection, attributes, mapping, text


@dataclass(frozen=True)
class Account:
    """The account that the key opens."""

    id: str
    name: str
    timezone: str
    test_account: bool

    def __str__(self) -> str:
        return f"{'test account' if self.test_account else 'account'} {self.id} {self.name}".strip()


@dataclass(frozen=True)
class ListDetails:
    """A list; `opt_in_process` is single_opt_in or double_opt_in."""

    id: str
    name: str
    opt_in_process: str


def account_in(answer: Answer | Rejection) -> Account:
    """The account in an answer of https://developers.klaviyo.com/en/reference/get_accounts.

    Raises:
        Refused: There is none.
    """
    if isinstance(answer, Rejection) or not answer.resources:
        said = f": {answer.safe}" if isinstance(answer, Rejection) else ""
        raise Refused(f"Klaviyo names no account for this API key{said}. Check the key, and klaviyo.base_url.")
    found = attributes(answer.resource)
    name = text(mapping(found.get("contact_information")).get("organization_name"))
    return Account(answer.resource["id"], name, text(found.get("timezone")), found.get("test_account") is True)


def the_account(account: Account, wanted: str | None) -> Account:
    """The account itself.

    Raises:
        ConfigError: It is not the `wanted` one.
    """
    if wanted is None or account.id == wanted:
        return account
    opened = f"{account.id} ({account.name})" if account.name else account.id
    raise ConfigError(
        f"The API key opens the Klaviyo account {opened}, and klaviyo.account says {wanted}: nothing was sent. "
        f"Use a key of {wanted}, or correct klaviyo.account in klaviyo_sync.yaml."
    )


def list_in(answer: Answer | Rejection, list_id: str) -> ListDetails:
    """The list in an answer of https://developers.klaviyo.com/en/reference/get_list.

    Raises:
        NoSuchListError: The account has no such list.
    """
    if isinstance(answer, Rejection):
        raise NoSuchListError(
            f"The Klaviyo account has no list {list_id!r}: {answer.safe}. "
            "Use the id of a list, not its name: it is part of the list's address in Klaviyo, such as Y6nRLr.",
            list_id,
        )
    if answer.resource["id"] != list_id:
        raise Refused(f"Klaviyo answered about another list than {list_id!r}. Check klaviyo.base_url, and that no proxy stands between.")
    found = attributes(answer.resource)
    return ListDetails(answer.resource["id"], text(found.get("name")), text(found.get("opt_in_process")))
