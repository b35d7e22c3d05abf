"""The client: asks Klaviyo's endpoints at the pace Klaviyo allows, again when trouble passes, and says who must act when not."""

from __future__ import annotations

import logging
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from threading import Event, Timer
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import quote, urljoin

from klaviyo_sync.core.errors import Refused, Unavailable
from klaviyo_sync.core.packing import SizedBody
from klaviyo_sync.interrupts import on_interrupt
from klaviyo_sync.klaviyo.accounts import Account, ListDetails, account_in, list_in, the_account
from klaviyo_sync.klaviyo.answers import Answer, GarbledError, Json, Rejection, api_errors, next_page, parse, resources
from klaviyo_sync.klaviyo.limits import ACCOUNTS, LIMITS, LIST, Endpoint, Limits
from klaviyo_sync.klaviyo.pacing import Pacer
from klaviyo_sync.klaviyo.retries import FORBIDDEN_PAGE, GARBLED, THROTTLED, UNREACHABLE, Trouble, backoff, retry_after, trouble
from klaviyo_sync.klaviyo.transport import REVISION, Reply, Timeouts, Transport, UnreachableError

LOGGER = logging.getLogger(__name__)
REQUEST_SECONDS = 600.0
SLICE_SECONDS = 0.2
GRACE_SECONDS = 3.0
MOST_PAGES = 50  # of a lookup: a hundred people have at most a few profiles each
VALUES = frozenset({400, 404, 409, 413, 422})


class StoppedError(Exception):
    """Whoever waited for the answer does not want it any more."""


class Setback(NamedTuple):
    """A try that may go better the next time: the kind of trouble, what was seen, and the wait that Klaviyo asks for."""

    kind: Trouble
    seen: str
    after: float | None = None


@dataclass(frozen=True)
class Request:
    """One request: an endpoint with an id in its path, or the address of one of its further pages; `body` goes out as it is."""

    endpoint: Endpoint
    id: str | None = None
    params: Mapping[str, str] | None = None
    body: bytes | SizedBody | None = None
    address: str | None = None


class Klaviyo:
    """One account's API, for several threads; a context manager that closes its connections. An interrupt stops it.

    `account` is the id of the account that the key must open.
    `clock` and `sleep` belong together: after `sleep(seconds)` the clock has moved on by about as much.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str = "https://a.klaviyo.com",
        *,
        account: str | None = None,
        limits: Limits = LIMITS,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 (an immutable tuple)
        request_seconds: float = REQUEST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.clock = clock
        self._transport = Transport(api_key, base_url, timeouts)
        self._pacer = Pacer(limits, clock)
        self._request_seconds = request_seconds
        self._wanted = account
        self._account: Account | None = None
        self._sleep = sleep
        self._jitter = jitter
        self._stopped = Event()
        self._interrupts = on_interrupt(self.stop)

    def __enter__(self) -> Self:
        self._interrupts.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._interrupts.__exit__(kind, error, trace)
        self._transport.close()

    @property
    def base_url(self) -> str:
        """The address that is asked."""
        return self._transport.base_url

    def stop(self) -> None:
        """Ends the work of all threads for good: waits at once, requests that are under way within GRACE_SECONDS.

        An answer that arrives in that time is still taken. Afterwards connections are cut and none can be opened.
        """
        self._stopped.set()
        cut = Timer(GRACE_SECONDS, self._transport.sever)
        cut.daemon = True
        cut.start()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def pause(self, seconds: float, stop: Event | None = None) -> None:
        """Returns after so many seconds, looking up often enough to leave soon once `stop` is set, or the client is stopped.

        Raises:
            StoppedError: `stop` is set, or the client is stopped.
        """
        until = self.clock() + seconds
        while True:
            self._leave_when_stopped(stop)
            left = until - self.clock()
            if left <= 0:
                return
            self._sleep(min(left, SLICE_SECONDS))

    def _leave_when_stopped(self, stop: Event | None) -> None:
        if self._stopped.is_set() or (stop is not None and stop.is_set()):
            raise StoppedError

    def request(self, request: Request, stop: Event | None = None) -> Answer | Rejection:
        """The answer to a request, asked again while trouble is of the passing kind.

        Raises:
            Refused: The key, its scopes or the address are not good: the owner of the key must act.
            Unavailable: The trouble did not pass in time.
            StoppedError: `stop` was set while waiting, or the client is stopped.
        """
        until = self.clock() + self._request_seconds
        met: Counter[Trouble] = Counter()
        while True:
            self._leave_when_stopped(stop)
            self._pacer.take(request.endpoint, lambda seconds: self.pause(seconds, stop))
            outcome = self._attempt(request, met)
            if not isinstance(outcome, Setback):
                return outcome
            met[outcome.kind] += 1
            wait = self._wait(outcome, met[outcome.kind])
            if met[outcome.kind] >= outcome.kind.attempts or self.clock() + wait > until:
                raise Unavailable(
                    f"Klaviyo at {self._transport.base_url} did not take {request.endpoint} in {met.total()} attempts; "
                    f"the last one met: {outcome.seen}. "
                    "The next run asks again; if this lasts, check klaviyo.base_url, the network, and https://status.klaviyo.com."
                )
            LOGGER.info("%s met: %s; asking again in %.1f s", request.endpoint, outcome.seen, wait)
            if outcome.kind is THROTTLED:
                self._pacer.hold(request.endpoint, wait)
            else:
                self.pause(wait, stop)

    def pages(self, request: Request, stop: Event | None = None) -> Iterator[Answer]:
        """All pages of a listing, one after the other.

        Raises:
            Unavailable: A page could not be read, or leads away from Klaviyo or back to itself.
        """
        answer = self.request(request, stop)
        if isinstance(answer, Rejection):
            raise Unavailable(f"Klaviyo has no page to read at {request.endpoint}: {answer.heading}.")
        yield answer
        yield from self.further_pages(request.endpoint, answer, stop)

    def whole(self, request: Request, stop: Event | None = None) -> Answer | Rejection:
        """The answer to a request with the resources of all its pages, at most MOST_PAGES: if there are more, `next` is the first left out.

        Errors as for `request` and `pages`; a rejection of the first page is handed back.
        """
        first = self.request(request, stop)
        if isinstance(first, Rejection):
            return first
        pages = [first, *islice(self.further_pages(request.endpoint, first, stop), MOST_PAGES - 1)]
        resources = tuple(chain.from_iterable(page.resources for page in pages))
        return Answer(resources, pages[-1].next, first.headers, sum(page.attempts for page in pages))

    def further_pages(self, endpoint: Endpoint, answer: Answer, stop: Event | None = None) -> Iterator[Answer]:
        """The pages after the one of an answer, one after the other. Errors as for `pages`."""
        been: set[str] = set()
        while answer.next is not None:
            address = urljoin(f"{self._transport.base_url}/", answer.next)
            if address in been or not address.startswith(f"{self._transport.base_url}/api/"):
                raise Unavailable(f"The next page of {endpoint} is not a new page of Klaviyo's API.")
            been.add(address)
            page = self.request(Request(endpoint, address=address), stop)
            if isinstance(page, Rejection):
                raise Unavailable(f"Klaviyo has no page to read at {endpoint}: {page.heading}.")
            answer = page
            yield answer

    def account(self) -> Account:
        """The account that the key opens; Klaviyo is asked once. Errors as for `request`; `ConfigError` when it must be another one."""
        if self._account is None:
            self._account = the_account(account_in(self.request(Request(ACCOUNTS))), self._wanted)
        return self._account

    def list_details(self, list_id: str) -> ListDetails:
        """The list of this id. Errors as for `request`; NoSuchListError, a ConfigError, when the account has none."""
        return list_in(self.request(Request(LIST, id=list_id)), list_id)

    def _wait(self, setback: Setback, met: int) -> float:
        own = backoff(setback.kind, met, self._jitter)
        if setback.after is None:
            return own
        return setback.after if setback.kind is THROTTLED else max(own, setback.after)

    def _attempt(self, request: Request, met: Counter[Trouble]) -> Answer | Rejection | Setback:
        endpoint = request.endpoint
        path = endpoint.path if request.id is None else endpoint.path.format(id=quote(request.id, safe=""))
        url = request.address or self._transport.base_url + path
        try:
            reply = self._transport.exchange(endpoint.method, url, request.params, request.body, endpoint.largest)
        except UnreachableError as failure:
            return Setback(UNREACHABLE, str(failure))
        document = parse(reply.body)
        attempts = met.total() + 1
        if 200 <= reply.status < 300:  # noqa: PLR2004
            try:
                return Answer(resources(document, endpoint.holds), next_page(document), reply.headers, attempts)
            except GarbledError:
                return Setback(GARBLED, f"{seen(reply)} without the promised content")
        if reply.status in VALUES:
            return Rejection(reply.status, api_errors(document), request_id(reply), attempts)
        if kind := trouble(reply.status):
            return Setback(kind, seen(reply), retry_after(reply.headers.get("Retry-After")))
        if reply.status == 403 and not document and not met[FORBIDDEN_PAGE]:  # noqa: PLR2004
            return Setback(FORBIDDEN_PAGE, seen(reply))
        raise refusal(endpoint, reply, document)


def request_id(reply: Reply) -> str:
    """Klaviyo's own name of the exchange, which its support asks for."""
    return reply.headers.get("X-Klaviyo-Req-Id", "without id")[:100]


def seen(reply: Reply) -> str:
    """The status and the id of a reply; also what it is, where it is not JSON and so not of Klaviyo's making."""
    kind = re.match(r"[\w.+/-]+", reply.headers.get("Content-Type", ""))
    strange = f", {kind[0]} instead of JSON" if kind and "json" not in kind[0] else ""
    return f"{reply.status}{strange} (request {request_id(reply)})"


ADVICE = {
    401: "Put a private API key (pk_...) of the right account where klaviyo.api_key says.",
    403: "The key lacks a scope, or the account may not use this: the endpoint needs {scopes}. "
    "Scopes cannot be added to a key: make a new one in Klaviyo under Settings > API keys.",
    410: f"Revision {REVISION} of the API is retired: update klaviyo_sync.",
}
OTHER_ADVICE = "Check klaviyo.base_url, and that no proxy stands between; else report it to the authors of klaviyo_sync."


def refusal(endpoint: Endpoint, reply: Reply, document: Json) -> Refused:
    """The error for an answer that would be the same again, with what to do."""
    errors = api_errors(document)
    said = errors[0].safe if errors else "no reason given"
    advice = ADVICE.get(reply.status, OTHER_ADVICE).format(scopes=endpoint.scopes)
    return Refused(f"Klaviyo refused {endpoint} with {seen(reply)}: {said.rstrip('.')}. {advice}")
