"""Klaviyo's address: which one counts, and whether a key may be sent there."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from klaviyo_sync.config.document import Document
from klaviyo_sync.config.env import Env
from klaviyo_sync.config.problems import Problems, shown
from klaviyo_sync.core.errors import ConfigError

BASE_URL = "KLAVIYO_BASE_URL"
DEFAULT_BASE_URL = "https://a.klaviyo.com"
KEY = ("klaviyo", "base_url")


def read_base_url(document: Document, problems: Problems, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Klaviyo's address without a closing slash, and a note when KLAVIYO_BASE_URL replaces another one that the file gives.

    KLAVIYO_BASE_URL counts before the file, so that a safe try needs no change of it. An address that is not good, and a variable that
    is set but empty, are among the problems: neither may come to mean the real Klaviyo.
    """
    given = document.value["klaviyo"].get(KEY[1])
    variable = BASE_URL if BASE_URL in environ else given.name if isinstance(given, Env) and given.name in environ else None
    in_file = environ.get(given.name) if isinstance(given, Env) else given
    value = environ[variable] if variable else DEFAULT_BASE_URL if in_file is None else in_file
    try:
        address = check_base_url(value)
    except ValueError as error:
        source = f"the environment variable {variable}: " if variable else ""
        problems.add(document.path, document.mark(KEY), KEY, f"{source}found {shown(value) if value else 'nothing'}, {error}")
        return DEFAULT_BASE_URL, None
    overruled = variable == BASE_URL and in_file and str(in_file).rstrip("/") != address
    return address, f"klaviyo.base_url: {BASE_URL} ({address}) takes the place of {in_file} in {document.path}" if overruled else None


def check_base_url(value: object) -> str:
    """Scheme and host, without a closing slash. Raises ValueError where a key must not be sent, and for more than a host and a port."""
    address = check_address(value)
    if urlsplit(address).path:
        raise ValueError(f"expected only scheme and host, such as {DEFAULT_BASE_URL}: paths such as /api are added")
    return address


def check_address(value: object) -> str:
    """The address without a closing slash. Raises ValueError unless it is https, or plain http on this machine."""
    text = str(value).strip()
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        well_formed = bool(host) and (parts.port is None or parts.port > 0) and not (parts.query or parts.fragment or "@" in parts.netloc)
    except ValueError:
        well_formed, parts, host = False, urlsplit(""), ""
    if well_formed and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        return text.rstrip("/")
    raise ValueError(f"expected an address such as {DEFAULT_BASE_URL}; plain http only for this machine, such as http://127.0.0.1:8080")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_overruled_sandbox(address: str, shell: Mapping[str, str]) -> None:
    """Raises ConfigError when KLAVIYO_BASE_URL names a sandbox on this machine in the shell and `.env` has replaced it by a remote address.

    `.env` wins over the shell, in Dagster and here. Whoever exported a sandbox's address does not expect the real Klaviyo to be asked.
    """
    exported = shell.get(BASE_URL, "")
    if is_on_this_machine(exported) and not is_on_this_machine(address):
        raise ConfigError(
            f"{BASE_URL} is {exported} in the shell, but .env replaces it, so that {address} would be asked. "
            f"Set {BASE_URL} in .env, or take it out of the shell."
        )


def is_on_this_machine(address: str) -> bool:
    """Whether an address is on this machine, as a sandbox's is and Klaviyo's own is not."""
    try:
        return is_loopback(urlsplit(address).hostname or "")
    except ValueError:
        return False
