"""Private keys in the forms in which dbt takes them, and what is said of those that cannot be opened."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from klaviyo_sync.config.connections import SnowflakeConnection
from klaviyo_sync.config.env import Revealed
from klaviyo_sync.core.errors import ConfigError
from klaviyo_sync.warehouses.snowflake_keys import key_of

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PASSWORD = "of the key"


def written(form: str = "PEM", layout: str = "PKCS8", password: str | None = None) -> bytes:
    """The key in one form."""
    closed = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    return KEY.private_bytes(getattr(serialization.Encoding, form), getattr(serialization.PrivateFormat, layout), closed)


def connection(**keys: str) -> Any:
    """A connection with these keys."""
    said = {key: value if key == "private_key_path" else Revealed(value) for key, value in keys.items()}
    return SnowflakeConnection.model_construct(**{"name": "snow", "private_key": None, "private_key_path": None, **said})


PEM, ENCRYPTED = written().decode(), written(password=PASSWORD).decode()
TEXTS = {
    "pem": PEM,
    "the older layout": written(layout="TraditionalOpenSSL").decode(),
    "line ends written out": PEM.replace("\n", "\\n"),
    "windows line ends": PEM.replace("\n", "\r\n"),
    "on one line": PEM.replace("\n", " "),
    "in quotes": f'"{PEM}"',
    "base64 of pem": base64.b64encode(PEM.encode()).decode(),
    "der on one line": base64.b64encode(written("DER")).decode(),
    "der on lines": base64.encodebytes(written("DER")).decode(),
    "the body of the pem": "".join(PEM.splitlines()[1:-1]),
}
CLOSED = {
    "pem": ENCRYPTED,
    "on one line": ENCRYPTED.replace("\n", ""),
    "base64 of pem": base64.b64encode(ENCRYPTED.encode()).decode(),
    "der on one line": base64.b64encode(written("DER", password=PASSWORD)).decode(),
}


@pytest.mark.parametrize("form", TEXTS)
@pytest.mark.parametrize("password", [{}, {"private_key_password": "not needed"}])
def test_every_form_of_a_key(form: str, password: dict[str, str]) -> None:
    """PEM, PEM that an environment variable bent, base64 of PEM and base64 of DER are one key; a needless password does no harm."""
    assert key_of(connection(private_key=TEXTS[form], **password)) == PEM


@pytest.mark.parametrize("form", CLOSED)
def test_every_form_of_an_encrypted_key(form: str) -> None:
    """An encrypted key is opened with its password; without it, or with another one, the password is what the message asks for."""
    assert key_of(connection(private_key=CLOSED[form], private_key_password=PASSWORD)) == PEM
    for wrong in ({}, {"private_key_password": "another"}):
        with pytest.raises(ConfigError, match="private_key_password") as caught:
            key_of(connection(private_key=CLOSED[form], **wrong))
        assert CLOSED[form][40:80] not in str(caught.value)


@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_keys_in_files(tmp_path: Path, form: str, password: str | None) -> None:
    """A file holds the key as PEM or DER, encrypted or not."""
    (tmp_path / "rsa_key.p8").write_bytes(written(form, password=password))
    assert key_of(connection(private_key_path=str(tmp_path / "rsa_key.p8"), private_key_password=PASSWORD)) == PEM


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"private_key_path": "/nowhere/rsa_key.p8"}, "/nowhere/rsa_key.p8, cannot be read (No such file or directory)"),
        ({"private_key": "/keys/rsa_key.p8"}, "call it private_key_path"),
        ({"private_key": "no key"}, "expected PEM (PKCS#8)"),
        ({"private_key": base64.b64encode(b"nor this").decode()}, "expected PEM (PKCS#8)"),
    ],
)
def test_what_is_no_key(keys: dict[str, str], said: str) -> None:
    """What is no key is the configuration's fault, and the key of the YAML that holds it is named."""
    with pytest.raises(ConfigError) as caught:
        key_of(connection(**keys))
    assert said in str(caught.value)


def test_no_key_at_all() -> None:
    """A connection that logs in by other means has none."""
    assert key_of(connection()) is None
