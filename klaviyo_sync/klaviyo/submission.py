"""Submitting one batch: until every row of it is in an import job or known to be refused.

If one profile is not valid, Klaviyo refuses the whole request and starts no job
(https://developers.klaviyo.com/en/reference/profiles_api_overview). Whether it then names all bad profiles or only the
first ones is not documented, so whatever it names is taken out and the rest is sent again: cells that it names out of their
profiles, once for each, and other profiles out of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import orjson
import pyarrow as pa

from klaviyo_sync.core.errors import Refused
from klaviyo_sync.core.packing import Batch, Envelope
from klaviyo_sync.core.result import Outcome, Reason
from klaviyo_sync.klaviyo.answers import Answer, ApiError, Rejection
from klaviyo_sync.klaviyo.attribution import place, reason, refused_cell, whole
from klaviyo_sync.klaviyo.kept_batches import Kept
from klaviyo_sync.klaviyo.second_attempts import replaced, without_refused

TOO_LARGE = 413
NOT_FOUND = 404
ROUNDS = 8
BLIND_LIMIT = 100


@dataclass(frozen=True)
class Job:
    """An import job that Klaviyo accepted, with the batch that became it, and what was sent until it did.

    `earlier` are import jobs that ran for some of its rows before. Many jobs wait at the same time: their batches are on disk.
    """

    id: str
    batch: Kept
    requests: int
    bytes: int
    earlier: tuple[str, ...] = ()


@dataclass
class Submission:
    """The sending of one batch through `post`. Every answer but 202 takes rows or cells out or halves what is sent next, so it ends.

    `keep` writes down what is to be sent, a part at a time.

    A part that is refused round after round is halved as well, so that less and less is sent again. When nothing was
    accepted and many rows in a row were refused alone with no cause named, the fault is not in the rows.
    """

    post: Callable[[Kept], Answer | Rejection]
    keep: Callable[[Batch], Kept]
    accepted: bool = False
    blind: int = 0
    requests: int = 0
    bytes: int = 0
    earlier: tuple[str, ...] = ()
    _refused: list[Outcome] = field(default_factory=list)

    def submit(self, batch: Kept) -> Iterator[Job | Outcome]:
        """The jobs that Klaviyo accepted, as it accepts them, and last the refused rows, if any.

        Raises:
            Refused: The list is gone, or Klaviyo refuses every row and names none.
        """
        parts = [(batch, 1)]
        while parts:
            part, round_ = parts.pop()
            answer = self.post(part)
            self.requests += answer.attempts
            self.bytes += answer.attempts * part.size
            if isinstance(answer, Answer):
                self.accepted = True
                yield Job(answer.resource["id"], part, *self._spent())
            else:
                rest = self._rest(part.load(), round_, answer)
                part.drop()
                parts.extend((self.keep(left), times) for left, times in rest)
        if self._refused:
            yield self._all_refused()

    def _spent(self) -> tuple[int, int, tuple[str, ...]]:
        spent = self.requests, self.bytes, self.earlier
        self.requests = self.bytes = 0
        self.earlier = ()
        return spent

    def _rest(self, part: Batch, round_: int, answer: Rejection) -> list[tuple[Batch, int]]:
        """What is to be sent after a rejection, each with the number of its round."""
        check_request(part.envelope, answer)
        named: dict[int, list[ApiError]] = {}
        for error in answer.errors if answer.status != TOO_LARGE else ():
            row = place(error.pointer, len(part))
            if row is not None:
                named.setdefault(row, []).append(error)
        if named:
            cells = {row: [refused_cell(error) for error in errors] for row, errors in named.items()}
            again = without_refused(part.profiles, part.rows, cells)
            gone = sorted(named.keys() - again.keys())
            if gone:
                self._refuse(part.rows.take(gone), [reason("refused", named[row][0]) for row in gone])
            left = replaced(part, again).without(gone)
            if not len(left):
                return []
            return [(left, round_ + 1)] if round_ < ROUNDS or len(left) == 1 else [(half, 1) for half in left.halves()]
        if len(part) > 1:
            return [(half, 1) for half in part.halves()]
        unnamed = Reason("refused", None, f"Klaviyo refused the profile with status {answer.status} and gave no reason.")
        self._refuse(part.rows, [reason("refused", answer.errors[0]) if answer.errors else unnamed])
        self.blind += 1
        if self.blind >= BLIND_LIMIT and not self.accepted:
            raise Refused(
                f"Klaviyo refused {self.blind} profiles one by one, accepted none, and named no cause in them: {answer.heading}. "
                "The requests themselves are at fault: report this to the authors of klaviyo_sync."
            )
        return []

    def _refuse(self, rows: pa.Table, reasons: list[Reason]) -> None:
        self._refused.append(replace(whole(rows, "refused", reasons[0]), reasons=dict(enumerate(reasons))))

    def _all_refused(self) -> Outcome:
        rows = pa.concat_tables([outcome.rows for outcome in self._refused])
        reasons = dict(enumerate(why for outcome in self._refused for why in outcome.reasons.values()))
        requests, size, earlier = self._spent()
        return replace(whole(rows, "refused", reasons[0]), reasons=reasons, jobs=earlier, requests=requests, bytes=size)


def check_request(envelope: Envelope, answer: Rejection) -> None:
    """Returns when a rejection is about the profiles.

    Raises:
        Refused: It is about the list, or about the request as a whole.
    """
    about_list = any("/relationships/lists" in error.pointer for error in answer.errors)
    if not about_list and answer.status != NOT_FOUND:
        return
    lists = orjson.loads(envelope.head + envelope.tail)["data"].get("relationships", {}).get("lists", {}).get("data", [])
    named = " ".join(str(entry["id"]) for entry in lists)
    advice = f"The sync joins its profiles to list {named}: check that it still exists." if named else "Check klaviyo.base_url."
    raise Refused(f"Klaviyo refused the import: {answer.safe}. {advice}")
