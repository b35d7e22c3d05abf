"""One HTTP exchange with Klaviyo: where it may go, how long it may take, how much it may say."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from klaviyo_sync.core.errors import ConfigError, Refused
from klaviyo_sync.core.packing import SizedBody
from klaviyo_sync.klaviyo.connections import Adapter, Connections

REVISION = "2026-07-15"
MEDIA_TYPE = "application/vnd.api+json"
CONNECTIONS = 16

KEY = re.compile(r"[\x21-\x7e]+")


class Timeouts(NamedTuple):
    """Seconds until a connection must stand, something must come, and the whole answer must be there."""

    connect: float = 15.0
    read: float = 60.0
    whole: float = 180.0


class UnreachableError(Exception):
    """There was no whole answer. Its text names the kind of failure only: libraries put addresses into theirs."""


@dataclass(frozen=True)
class Reply:
    """What came back: the status, the headers (any case) and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class KeyAuth(AuthBase):
    """Puts the key into each request, so that no .netrc file replaces it (https://developers.klaviyo.com/en/docs/authenticate_)."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Klaviyo-API-Key {self._api_key}"
        return request


def checked_base(base_url: str) -> str:
    """The address without a closing slash.

    Raises:
        ConfigError: It is not https (plain http: on a loopback address only), or has more than a host and a port.
    """
    if "@" in base_url:
        raise ConfigError("klaviyo.base_url holds a user name or a password. Expected only the address, such as https://a.klaviyo.com.")
    wrong = ConfigError(f"klaviyo.base_url is {base_url!r}. Expected only scheme and host, such as https://a.klaviyo.com.")
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    if not host or parts.scheme not in ("https", "http") or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise wrong
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"klaviyo.base_url is {base_url!r}. Plain http would show the API key and the profiles to the network: "
            "use https; http is for a sandbox on this machine (127.0.0.1)."
        )
    return f"{parts.scheme}://{parts.netloc.lower()}"


def is_loopback(host: str) -> bool:
    """Whether the host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Transport:
    """A pool of connections to one Klaviyo, for several threads."""

    def __init__(self, api_key: str, base_url: str, timeouts: Timeouts) -> None:
        self.base_url = checked_base(base_url)
        if not KEY.fullmatch(api_key):
            raise ConfigError("The Klaviyo API key is empty, or holds blanks or line ends. Expected one word, such as pk_...")
        self._timeouts = timeouts
        self._session = requests.Session()
        self._session.auth = KeyAuth(api_key)
        self._session.headers.update(
            {
                "revision": REVISION,
                "Accept": MEDIA_TYPE,
                "Content-Type": MEDIA_TYPE,
                "User-Agent": f"klaviyo_sync/{version('klaviyo-sync')}",
            }
        )
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # A proxy has no business between this machine and itself.
        self._session.trust_env = not is_loopback(urlsplit(self.base_url).hostname or "")
        self._connections = Connections()
        self._session.mount(self.base_url, Adapter(self._connections, CONNECTIONS, timeouts.whole))

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def sever(self) -> None:
        """Cuts every connection, also under a request of another thread, which then meets UnreachableError. None can be opened after."""
        self._connections.sever()

    def exchange(self, method: str, url: str, params: Mapping[str, str] | None, body: bytes | SizedBody | None, largest: int) -> Reply:
        """The reply to one request, whatever its status, of at most `largest` bytes.

        Raises:
            UnreachableError: No connection, no answer in time, one that broke off, or one without end.
            Refused: The other side's certificate is not good.
        """
        until = time.monotonic() + self._timeouts.whole
        sendable = cast("Iterable[bytes] | bytes | None", body)  # http.client takes any buffer
        try:
            with self._session.request(
                method, url, params=params, data=sendable, timeout=self._timeouts[:2], stream=True, allow_redirects=False
            ) as response:
                return Reply(response.status_code, response.headers, self._read(response, largest, until))
        except (OSError, HTTPError) as error:
            failure = describe(error, urlsplit(self.base_url).hostname)
        raise failure

    def _read(self, response: requests.Response, largest: int, until: float) -> bytes:
        body = bytearray()
        # Not iter_content: it waits for whole chunks, so that a trickle would never meet the time limit.
        while chunk := response.raw.read1(65_536, decode_content=True):
            body += chunk
            if len(body) > largest:
                raise requests.exceptions.ContentDecodingError("too long")
            if time.monotonic() > until:
                raise requests.exceptions.ReadTimeout("too slow")
        return bytes(body)


def describe(error: Any, host: str | None) -> UnreachableError | Refused:
    """What to raise for a failure of the library; the library's own text stays out, since it may hold an address with personal data."""
    said = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return Refused(
            f"The certificate of {host} could not be verified. If your network replaces certificates, "
            "name its authority in the variable REQUESTS_CA_BUNDLE."
        )
    if "NameResolutionError" in said:
        return UnreachableError(f"the name {host} could not be resolved; some DNS block lists hold it")
    if refused := re.search(r"Tunnel connection failed: (\d{3})", said):
        return UnreachableError(f"the proxy that HTTPS_PROXY names answered {refused[1]} instead of {host}")
    if broken := re.search(r"\[SSL: (\w+)\]", said):
        return UnreachableError(f"no TLS connection with {host} ({broken[1]})")
    return UnreachableError(f"no whole answer from {host} ({type(error).__name__})")
