"""Submission: however Klaviyo refuses, sending ends, good rows go out and bad rows stay behind, each once."""

from __future__ import annotations

from collections.abc import Collection

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_klaviyo import batch

from klaviyo_sync.core.packing import Batch
from klaviyo_sync.core.result import FATES, Outcome
from klaviyo_sync.klaviyo.answers import Answer, ApiError, Rejection
from klaviyo_sync.klaviyo.kept_batches import Kept, KeptBatches
from klaviyo_sync.klaviyo.second_attempts import marked
from klaviyo_sync.klaviyo.submission import Job, Submission

SIZES = st.integers(1, 60)
ROWS = st.sets(st.integers(0, 59))


class Klaviyo:
    """Refuses rows by their numbers: `named` ones by their places, so many in one answer, `unnamed` ones without, and large bodies."""

    def __init__(self, named: Collection[int], unnamed: Collection[int], most_named: int, most_rows: int) -> None:
        self.named, self.unnamed, self.most_named, self.most_rows = named, unnamed, most_named, most_rows
        self.requests = self.bytes = 0
        self.taken: list[int] = []

    def __call__(self, part: Kept) -> Answer | Rejection:
        """The answer to one request."""
        body = bytes(part.body())
        assert len(body) == len(part.body()) == part.size
        self.requests += 1
        self.bytes += len(body)
        profiles = orjson.loads(body)["data"]["attributes"]["profiles"]["data"]
        numbers = [int(profile["attributes"]["external_id"][1:]) for profile in profiles]
        assert numbers == [int(key.split()[1]) for key in part.rows["key"].to_pylist()]
        if len(numbers) > self.most_rows:
            return Rejection(413, (), "r", 1)
        places = [place for place, number in enumerate(numbers) if number in self.named][: self.most_named]
        if places:
            errors = tuple(ApiError("invalid", "", "No.", f"/data/attributes/profiles/data/{place}/attributes/email") for place in places)
            return Rejection(400, errors, "r", 1)
        if set(numbers) & set(self.unnamed):
            return Rejection(400, (ApiError("invalid", "", "No.", "/data"),), "r", 1)
        self.taken += numbers
        return Answer(({"id": f"job{self.requests}"},), None, {}, 1)


@settings(deadline=None)  # the first array imports pandas
@given(SIZES, ROWS, ROWS, st.integers(1, 60), st.integers(1, 60))
def test_every_row_goes_out_or_is_refused(size: int, named: set[int], unnamed: set[int], most_named: int, most_rows: int) -> None:
    """Bad rows come back refused, all others are in exactly one job; requests and bytes add up; the work is bounded."""
    klaviyo = Klaviyo(named, unnamed, most_named, most_rows)
    jobs: list[int] = []
    refused: list[int] = []
    requests = size_sent = 0
    with KeptBatches() as disk:

        def keep(part: Batch) -> Kept:
            return disk.keep(marked(part))

        for made in Submission(klaviyo, keep).submit(keep(batch(size))):
            rows = made.rows if isinstance(made, Outcome) else made.batch.rows
            numbers = [int(key.split()[1]) for key in rows["key"].to_pylist()]
            requests += made.requests
            size_sent += made.bytes
            if isinstance(made, Job):
                jobs += numbers
            else:
                assert isinstance(made, Outcome)
                assert {FATES[fate] for fate in made.fates} == {"refused"}
                assert set(made.reasons) == set(range(len(numbers)))
                refused += numbers
    bad = (named | unnamed) & set(range(size))
    assert sorted(refused) == sorted(bad)
    assert sorted(jobs) == sorted(klaviyo.taken) == sorted(set(range(size)) - bad)
    assert (requests, size_sent) == (klaviyo.requests, klaviyo.bytes)
    assert klaviyo.requests < 3 * size
