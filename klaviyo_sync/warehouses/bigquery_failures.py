"""What BigQuery says when it refuses or fails, and what that means to whoever must act. One line of the catalogue, one failure.

Reasons: https://docs.cloud.google.com/bigquery/docs/error-messages
Roles: https://docs.cloud.google.com/bigquery/docs/access-control
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from typing import NamedTuple

import pyarrow as pa

from klaviyo_sync.core.errors import ConfigError, KlaviyoSyncError, Refused, Unavailable
from klaviyo_sync.warehouses.unforeseen import unforeseen

# A query that failed for one of these can be started again: https://docs.cloud.google.com/bigquery/docs/error-messages
PASSING = frozenset(
    {"backendError", "internalError", "rateLimitExceeded", "jobBackendError", "jobInternalError", "jobRateLimitExceeded", "badGateway"}
)


class PartitionFilterDemandedError(ConfigError):
    """The table demands a filter on its partition column, and the query has none that BigQuery accepts."""


class Rule(NamedTuple):
    """What an answer looks like (its reason, and its text, as regular expressions), who must act, and what is to be done.

    `quoted`: BigQuery's own sentence names resources, never cells, and is passed on.
    """

    reason: str
    text: str
    error: type[KlaviyoSyncError]
    advice: str
    quoted: bool = True


DENIED = "accessDenied|accessNotConfigured|SERVICE_DISABLED|PERMISSION_DENIED|403"

RULES = (
    Rule(DENIED, r"bigquery\.jobs\.create", Refused, "Grant the role BigQuery Job User (roles/bigquery.jobUser) on project {project}."),
    Rule(
        DENIED,
        r"[Pp]olicy tag",
        Refused,
        "Grant the role Fine-Grained Reader (roles/datacatalog.categoryFineGrainedReader) on the column's policy tag.",
    ),
    Rule(DENIED, r"Drive credentials", Refused, "The table lies in Google Drive: share the file with the account that reads."),
    Rule(DENIED, r"VPC Service Controls|organization's policy", Refused, "A service perimeter forbids it: run inside of it."),
    Rule(DENIED, r"has not been used in project|is disabled", Refused, "Enable the API that it names."),
    Rule(DENIED, r"[Ss]cope", Refused, "The credentials may not ask BigQuery: give them the scope cloud-platform."),
    Rule(
        DENIED,
        "",
        Refused,
        "Grant the role BigQuery Data Viewer (roles/bigquery.dataViewer) on the dataset; "
        "a view that is not an authorized one needs it on the datasets behind it too.",
    ),
    Rule("notFound", r"Not found: Project", ConfigError, "Correct `project` of the connection, or the project in the dataset's name."),
    Rule("notFound", "", ConfigError, "Correct the dataset's name, or `location` of the connection: it must be where the dataset lies."),
    Rule(
        "bytesBilledLimitExceeded",
        "",
        Refused,
        "Raise maximum_bytes_billed of the connection, or partition the table by the modified_at column so that a window reads less.",
    ),
    Rule("quotaExceeded", "", Refused, "The project's quota is used up: raise it, or wait until it is filled again."),
    Rule("billingNotEnabled|billingTierLimitExceeded", "", Refused, "Enable billing in project {project}."),
    Rule(
        "responseTooLarge",
        "",
        Refused,
        "The rows of one run are more than a BigQuery result may hold: use a smaller frequency, or history: skip.",
        quoted=False,
    ),
    Rule(
        "resourcesExceeded",
        "",
        Refused,
        "The query is too heavy for BigQuery: simplify the view, or store its result as a table.",
        quoted=False,
    ),
    Rule("rateLimitExceeded|429|RESOURCE_EXHAUSTED", "", Unavailable, "Too much was asked at once; the next run asks again.", quoted=False),
    Rule(
        "invalidQuery",
        r"partition elimination",
        PartitionFilterDemandedError,
        "The table demands a filter on its partition column; partition it by the modified_at column.",
        quoted=False,
    ),
    Rule("invalid", r"[Ll]ocation|[Ll]abel|[Rr]egion", ConfigError, "Correct the connection."),
    Rule("stopped", "", Unavailable, "Somebody cancelled the query; the next run asks again.", quoted=False),
    Rule("401|authError|UNAUTHENTICATED", "", Refused, "Google refused the login: make a new key, or log in again.", quoted=False),
    Rule(
        "UNAVAILABLE|UNKNOWN|INTERNAL|ABORTED|CANCELLED|DEADLINE_EXCEEDED|DATA_LOSS",
        "",
        Unavailable,
        "Reading broke, and could not be resumed; the next run asks again.",
        quoted=False,
    ),
    Rule(
        r"backendError|internalError|badGateway|timeout|50\d",
        "",
        Unavailable,
        "It was asked again for a while; the next run asks again.",
        quoted=False,
    ),
)


@contextmanager
def explained(project: str, *, analysing: bool = False) -> Iterator[None]:
    """What Google's libraries raise inside, raised as ConfigError, Refused or Unavailable.

    `analysing`: the query only gets checked, so that what BigQuery says about it cannot quote a cell.
    """
    import google.api_core.exceptions as api  # noqa: PLC0415 - Google's libraries, loaded by now
    import google.auth.exceptions as auth  # noqa: PLC0415
    import requests  # noqa: PLC0415

    try:
        yield
    except auth.DefaultCredentialsError:
        raise ConfigError(
            "BigQuery: there are no credentials. Give the connection credentials: {env: NAME}, name a key's file in "
            "GOOGLE_APPLICATION_CREDENTIALS, or log in with `gcloud auth application-default login`."
        ) from None
    except (auth.TransportError, requests.RequestException, TimeoutError, FutureTimeoutError, ConnectionError) as error:
        raise Unavailable(f"BigQuery could not be reached ({type(error).__name__}); the next run asks again.") from None
    except auth.GoogleAuthError as error:
        raise refused_login(error) from None
    except api.RetryError as error:
        cause = error.cause
        if isinstance(cause, api.GoogleAPICallError):
            raise of_answer(cause, project, analysing=analysing) from None
        raise Unavailable(f"BigQuery could not be reached ({type(cause).__name__}); the next run asks again.") from None
    except api.GoogleAPICallError as error:
        raise of_answer(error, project, analysing=analysing) from None
    except pa.ArrowException as error:  # its text may quote a cell
        raise Unavailable(f"BigQuery sent rows that cannot be read ({type(error).__name__}); the next run asks again.") from None
    except Exception as error:
        if (failure := unforeseen(error, "BigQuery")) is None:
            raise
        raise failure from None


def refused_login(error: Exception) -> KlaviyoSyncError:
    """The failure of a login; Google's code says why, and nothing else of its answer is repeated."""
    text = str(error)
    if "impersonat" in text or "generateAccessToken" in text:
        return Refused(
            "BigQuery: the account of `impersonate` cannot be acted as. Grant the role Service Account Token Creator "
            "(roles/iam.serviceAccountTokenCreator) on it to the account that logs in, and enable the IAM Credentials API."
        )
    code = re.search(r"invalid_grant|invalid_client|invalid_scope|unauthorized_client|deleted_client|disabled_client", text)
    return Refused(
        f"BigQuery: Google refused the login ({code[0] if code else type(error).__name__}). The key may have been deleted or its account "
        "disabled, or the login has run out: make a new key, or log in again; check this machine's clock."
    )


def reason_of(error: Exception) -> str:
    """BigQuery's reason, else the status of gRPC, else that of HTTP."""
    first = next(iter(getattr(error, "errors", ()) or ()), None)
    if isinstance(first, dict) and first.get("reason"):
        return str(first["reason"])
    status = getattr(error, "grpc_status_code", None)
    return str(status.name) if status is not None else str(getattr(error, "code", "") or "")


def of_answer(error: Exception, project: str, *, analysing: bool = False) -> KlaviyoSyncError:
    """The failure that an answer stands for."""
    reason, said = reason_of(error), sentence(error)
    job = None if analysing else getattr(error, "query_job", None)
    where = "" if job is None else f" (job {job.job_id})"
    for rule in RULES:
        if re.fullmatch(rule.reason, reason) and re.search(rule.text, said):
            quote = f"{where}: {said}" if rule.quoted and said else f"{where}, {reason}."
            what = "answered that it failed" if rule.error is Unavailable else "refused"
            return rule.error(f"BigQuery {what}{quote} {rule.advice.format(project=project)}")
    if analysing and reason in ("invalidQuery", "invalid"):
        return ConfigError(f"BigQuery refused the query: {said}")
    if reason == "invalidQuery":
        return Refused(f"BigQuery: the query failed while it ran{where}; open the job in the BigQuery console to see why.")
    return Refused(f"BigQuery refused{where}, {reason or type(error).__name__}; open the job in the BigQuery console to see why.")


def sentence(error: Exception) -> str:
    """What BigQuery says, on one line, less the address and the job that its client adds."""
    said = str(getattr(error, "message", "") or "").split("\n")[0]
    said = re.sub(r"^(GET|POST) \S+: ", "", said)
    said = re.sub(r"\s*(; )?reason: \w+.*$", "", said).strip()
    return said if not said or said.endswith(".") else f"{said}."


def passing(error: Exception) -> bool:
    """Whether a query that failed so may succeed when it is run again."""
    return reason_of(error) in PASSING
