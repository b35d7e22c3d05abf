"""What nobody foresaw of a driver: an exception that its library raised out of itself, and not as one of its own kinds."""

from __future__ import annotations

import traceback
from json import JSONDecodeError
from pathlib import Path

from klaviyo_sync.core.errors import KlaviyoSyncError, Refused, Unavailable

OURS = str(Path(__file__).parents[1])


def unforeseen(error: Exception, warehouse: str) -> KlaviyoSyncError | None:
    """The failure that a library's stray exception stands for; None when it is one of our own, or when our own code raised it.

    The text of the exception stays out: it may quote a cell, or an answer with a login in it.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, KlaviyoSyncError) or not frames or frames[-1].filename.startswith(OURS):
        return None
    if isinstance(error, JSONDecodeError):
        return Unavailable(
            f"{warehouse}: what came back is not JSON, so it is not {warehouse} that answers. Check the address in the connection, and "
            "whether a proxy stands between. The next run asks again."
        )
    if isinstance(error, OSError):
        return Unavailable(f"{warehouse} could not be reached ({type(error).__name__}). The next run asks again.")
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    return Refused(
        f"{warehouse}: its client library failed ({type(error).__name__} at {place}). Run the query in {warehouse} to see whether it works "
        "there; if it does, install another version of the library."
    )
