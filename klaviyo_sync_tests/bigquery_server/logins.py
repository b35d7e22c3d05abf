"""Tokens: for a signed assertion of a service account, and for acting as another account."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qs

from bigquery_server.answers import ApiError
from bigquery_server.state import ANYBODY, Account, State


def token_for_assertion(state: State, body: bytes) -> dict[str, Any]:
    """OAuth's JWT-bearer exchange; the signature is checked against the account's key."""
    import jwt  # noqa: PLC0415 - only tests of logins come here

    assertion = parse_qs(body.decode()).get("assertion", [""])[0]
    try:
        name = jwt.decode(assertion, options={"verify_signature": False})["iss"]
        account = state.accounts[name]
        jwt.decode(assertion, account.public_key, algorithms=["RS256"], options={"verify_aud": False})
    except (jwt.PyJWTError, KeyError, TypeError):
        raise LoginError("invalid_grant", "Invalid JWT Signature.") from None
    return {"access_token": new_token(state, account), "expires_in": 3600, "token_type": "Bearer"}


class LoginError(Exception):
    """OAuth's own form of a refusal."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.body = {"error": error, "error_description": description}


def token_for_acting_as(state: State, account: Account, target: str) -> dict[str, Any]:
    """IAM Credentials' generateAccessToken."""
    if target not in state.accounts or target not in account.acts_as:
        raise ApiError("accessDenied", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).")
    return {"accessToken": new_token(state, state.accounts[target]), "expireTime": "2099-01-01T00:00:00Z"}


def new_token(state: State, account: Account) -> str:
    """A token that stands for the account."""
    token = secrets.token_hex(8)
    state.tokens[token] = account
    return token


def asker(state: State, authorization: str | None) -> Account:
    """Who asks. Without a login it is `anybody`, as long as the server has such an account."""
    if authorization is None and ANYBODY in state.accounts:
        return state.accounts[ANYBODY]
    found = state.tokens.get((authorization or "").removeprefix("Bearer "))
    if found is None:
        raise ApiError("authError", "Request had invalid authentication credentials. Expected OAuth 2 access token.")
    return found
