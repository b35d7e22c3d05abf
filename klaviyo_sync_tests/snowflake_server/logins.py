"""Who may log in. fakesnow lets everybody in; this checks keys and passwords as Snowflake does."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from snowflake_server.failing import Answer
from snowflake_server.state import DATABASE, ROLE, SCHEMA, Account, Session, State

WRONG_KEY = "JWT token is invalid. [0ce9eb56-821d-4ca9-a774-04ae89a0cf5a]"
WRONG_PASSWORD = "Incorrect username or password was specified."
ZONE = "America/Los_Angeles"  # of sessions that ask for none


def log_in(state: State, data: dict[str, Any], place: dict[str, str]) -> dict[str, Any] | Answer:
    """The answer to a login request; `place` is what its address names."""
    name = str(data.get("LOGIN_NAME", "")).upper()
    account = state.accounts.get(name)
    if data.get("AUTHENTICATOR") == "SNOWFLAKE_JWT":
        if account is None or not signed(data["TOKEN"], name, account):
            return Answer(code="390144", message=WRONG_KEY)
    elif data.get("AUTHENTICATOR") == "OAUTH":
        if account is None or data.get("TOKEN") != account.password:
            return Answer(code="390303", message="Invalid OAuth access token. [0ce9eb56]")
    elif account is None or data.get("PASSWORD") != account.password:
        return Answer(code="390100", message=WRONG_PASSWORD)
    parameters = dict(data.get("SESSION_PARAMETERS", {}))
    warehouse, role = place.get("warehouse"), place.get("roleName", ROLE)
    if role.upper() != ROLE:
        return Answer(code="390189", message=f"Role '{role}' specified in the connect string does not exist or not authorized.")
    for requested, named, known in (
        ("warehouse", warehouse, state.warehouses),
        ("database", place.get("databaseName"), {DATABASE}),
    ):
        if named and named.upper() not in known and parameters.get("CLIENT_VALIDATE_DEFAULT_PARAMETERS"):
            return Answer(code="390201", message=f"The requested {requested} does not exist or not authorized.")
    database, schema = place.get("databaseName", DATABASE).upper(), place.get("schemaName", SCHEMA).upper()
    parameters.setdefault("TIMEZONE", ZONE)
    token = state.log_in(Session(state.engine.connect(database, schema), account, name, parameters, warehouse))
    shown = {"AUTOCOMMIT": True, "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY": 3600, "TIMEZONE": parameters["TIMEZONE"]}
    return {
        "data": {
            "token": token,
            "masterToken": token,
            "sessionId": len(state.sessions),
            "validityInSeconds": 3600,
            "masterValidityInSeconds": 14400,
            "serverVersion": "9.0.0",
            "parameters": [{"name": key, "value": value} for key, value in shown.items()],
            "sessionInfo": {"databaseName": database, "schemaName": schema, "roleName": ROLE, "warehouseName": warehouse},
        },
        "success": True,
    }


def signed(token: str, name: str, account: Account) -> bool:
    """Whether a token was signed with the key that belongs to the account's public key, and names that key and user.

    https://docs.snowflake.com/en/developer-guide/sql-api/authenticating
    """
    if account.public_key is None:
        return False
    try:
        claims = jwt.decode(token, account.public_key, algorithms=["RS256"])
    except jwt.InvalidTokenError:
        return False
    der = load_pem_public_key(account.public_key.encode()).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    print_ = base64.b64encode(hashlib.sha256(der).digest()).decode()
    return claims["sub"].split(".")[-1] == name and claims["iss"].endswith(f".{name}.SHA256:{print_}")
