"""Refusals, as BigQuery words them over REST: https://docs.cloud.google.com/bigquery/docs/error-messages"""

from __future__ import annotations

from typing import Any

STATUS = {
    "accessDenied": 403,
    "authError": 401,
    "backendError": 503,
    "billingNotEnabled": 403,
    "bytesBilledLimitExceeded": 400,
    "internalError": 500,
    "invalid": 400,
    "invalidQuery": 400,
    "notFound": 404,
    "quotaExceeded": 403,
    "rateLimitExceeded": 403,
    "resourcesExceeded": 400,
    "responseTooLarge": 403,
    "stopped": 200,
}


class ApiError(Exception):
    """An answer that is no: its reason, its sentence, and the HTTP status that belongs to it."""

    def __init__(self, reason: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message
        self.status = STATUS.get(reason, 400) if status is None else status

    def item(self) -> dict[str, str]:
        """The error, as a job's status holds it."""
        return {"reason": self.reason, "message": self.message}

    def body(self) -> dict[str, Any]:
        """The error, as the body of an answer."""
        return {"error": {"code": self.status, "message": self.message, "errors": [self.item()], "status": self.reason}}
