"""A plain HTTP client for the sandbox and for a real account, and a clock that tests move by hand."""

from __future__ import annotations

from typing import Any, cast

import requests

KEY = "pk_test"
JOBS = "/api/profile-bulk-import-jobs"
KIND = "profile-bulk-import-job"
AT = "/data/attributes/profiles/data"


class Clock:
    """A clock that stands still until it is told to move."""

    def __init__(self, at: float = 1_767_225_600.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


class Api:
    """Klaviyo's API at an address. Every call gives the answer as it came."""

    def __init__(self, url: str, key: str = KEY) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update(
            {"Authorization": f"Klaviyo-API-Key {key}", "revision": "2026-07-15", "Content-Type": "application/vnd.api+json"},
        )

    def close(self) -> None:
        """Closes its connections."""
        self.session.close()

    def get(
        self,
        path: str,
        named: dict[str, str] | None = None,
        *,
        headers: dict[str, str | None] | None = None,
        **query: str | int,
    ) -> requests.Response:
        """GET. Query parameters by keyword, `page_size` standing for `page[size]`, or in `named`."""
        params = {name.replace("_", "[", 1) + "]" if name.startswith("page_") else name: value for name, value in query.items()}
        params |= named or {}
        return self.session.get(
            self.url + path if path.startswith("/") else path, params=params, headers=cast(dict[str, str], headers), timeout=30
        )

    def post(self, path: str, body: Any = None, *, data: Any = None, headers: dict[str, str | None] | None = None) -> requests.Response:
        """POST of a JSON body, or of bytes as they are."""
        sent = {"json": body} if data is None else {"data": data}
        return self.session.post(self.url + path, headers=cast(dict[str, str], headers), timeout=30, **sent)

    def patch(self, path: str, body: Any) -> requests.Response:
        """PATCH of a JSON body."""
        return self.session.patch(self.url + path, json=body, timeout=30)

    def imports(self, *profiles: Any, lists: Any = ()) -> requests.Response:
        """POST of an import job. A profile that is not a whole one is taken for its attributes."""
        data = [profile if "attributes" in profile or "type" in profile else whole(profile) for profile in profiles]
        return self.post(JOBS, job(data, lists))

    def job(self, answer: requests.Response) -> dict[str, Any]:
        """The attributes of a job, read anew."""
        return self.get(f"{JOBS}/{answer.json()['data']['id']}").json()["data"]["attributes"]

    def profile(self, email: str) -> dict[str, Any]:
        """The attributes of the profile with this e-mail address."""
        (found,) = self.get("/api/profiles", filter=f"equals(email,'{email}')").json()["data"]
        return found["attributes"]


def whole(attributes: dict[str, Any]) -> dict[str, Any]:
    """A profile with these attributes."""
    return {"type": "profile", "attributes": attributes}


def job(profiles: Any, lists: Any = ()) -> dict[str, Any]:
    """The body of an import job."""
    body: dict[str, Any] = {"data": {"type": KIND, "attributes": {"profiles": {"data": profiles}}}}
    if lists:
        body["data"]["relationships"] = {"lists": {"data": [{"type": "list", "id": id_} for id_ in lists]}}
    return body


def errors(answer: requests.Response) -> list[tuple[str, str]]:
    """The code and pointer of each error of an answer."""
    return [(error["code"], error["source"].get("pointer") or error["source"]["parameter"]) for error in answer.json()["errors"]]
