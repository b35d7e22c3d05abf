"""Joining a list by membership alone, which changes nobody's consent.

https://developers.klaviyo.com/en/reference/add_profiles_to_list: at most 1,000 profiles a call, by their Klaviyo ids. Whoever is a member
stays one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from threading import Event

import orjson

from klaviyo_sync.core.errors import Refused
from klaviyo_sync.core.sync import Channel
from klaviyo_sync.klaviyo.answers import Answer, Rejection
from klaviyo_sync.klaviyo.client import Klaviyo, Request
from klaviyo_sync.klaviyo.limits import LIST_MEMBERS
from klaviyo_sync.klaviyo.side_by_side import side_by_side

PER_CALL = 1_000
NOT_FOUND = 404
ABOUT_A_PROFILE = re.compile(r"/data/\d")

Place = tuple[int, Channel]


def join_list(klaviyo: Klaviyo, list_id: str, people: Mapping[str, Place], stop: Event | None = None) -> tuple[list[Place], int]:
    """The places of those whom Klaviyo did not add to a list, given people by Klaviyo id; and the number of requests.

    Raises:
        Refused: The list is gone, or the key or its scopes are not good.
        Unavailable: Klaviyo did not answer in time.
    """
    ids = list(people)
    parts = deque(ids[start : start + PER_CALL] for start in range(0, len(ids), PER_CALL))
    left_out: list[Place] = []
    requests = 0

    def call(part: Sequence[str]) -> Answer | Rejection:
        body = orjson.dumps({"data": [{"type": "profile", "id": id_} for id_ in part]})
        return klaviyo.request(Request(LIST_MEMBERS, id=list_id, body=body), stop)

    for part, answer in side_by_side(call, parts):
        requests += answer.attempts
        if isinstance(answer, Answer):
            continue
        if answer.status == NOT_FOUND and not any(ABOUT_A_PROFILE.match(error.pointer) for error in answer.errors):
            raise Refused(f"Klaviyo refused members of list {list_id}: {answer.heading}. Check that the list still exists.")
        if len(part) == 1:
            left_out.append(people[part[0]])
        else:
            parts.extend((part[: len(part) // 2], part[len(part) // 2 :]))
    return left_out, requests
