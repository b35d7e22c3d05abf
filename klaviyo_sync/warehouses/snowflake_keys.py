"""Private keys in all the forms in which dbt, the driver and people hand them on.

dbt takes a key's file, its PEM text, or the base64 of its DER form on one line, each encrypted or not:
https://docs.getdbt.com/docs/core/connect-data-platform/snowflake-setup#key-pair-authentication
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from klaviyo_sync.core.errors import ConfigError

BEGIN = re.compile(rb"-----BEGIN [A-Z ]+-----")


def key_of(connection: Any) -> str | None:
    """The connection's private key as PEM text (PKCS#8, not encrypted); None when it logs in by other means.

    Raises ConfigError, which holds nothing of the key, when it is none, cannot be read, or needs another password.
    """
    name = "private_key_path" if connection.private_key_path else "private_key"
    if connection.private_key_path:
        try:
            written = Path(connection.private_key_path).expanduser().read_bytes()
        except OSError as error:
            raise ConfigError(
                f"Snowflake: private_key_path of the connection, {connection.private_key_path}, cannot be read ({error.strerror}); "
                "correct it."
            ) from None
    elif connection.private_key:
        written = connection.private_key.encode()
    else:
        return None
    password = connection.private_key_password.encode() if connection.private_key_password else None
    if BEGIN.search(written) is None and name == "private_key" and Path(connection.private_key).suffix in (".p8", ".pem", ".key", ".der"):
        raise ConfigError("Snowflake: private_key of the connection holds the name of a file; call it private_key_path.")
    return opened(written, password, name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def opened(written: bytes, password: bytes | None, name: str) -> Any:
    """The key in a text or file. A password beside a key that is not encrypted is not needed, and does no harm."""
    key = plain_form(written)
    load = load_pem_private_key if BEGIN.search(key) else load_der_private_key
    try:
        return load(key, password)
    except TypeError:  # the key is encrypted and there is no password, or the other way round
        if password is not None:
            return opened(written, None, name)
        advice = "it is encrypted; give its private_key_password"
    except (ValueError, UnsupportedAlgorithm):
        if password is None and b"ENCRYPTED" not in key:
            raise ConfigError(
                f"Snowflake: {name} of the connection is not a private key that can be read; expected PEM (PKCS#8), or base64 of it or of "
                "its DER form. A key that is encrypted needs private_key_password."
            ) from None
        advice = "check private_key_password, and that the key is PEM (PKCS#8), or base64 of it or of its DER form"
    raise ConfigError(f"Snowflake: {name} of the connection cannot be opened; {advice}.")


def plain_form(written: bytes) -> bytes:
    """What was written, as PEM or DER, whatever it went through: line ends written as backslash and n, PEM on one line, base64."""
    text = written.replace(b"\\r", b"").replace(b"\\n", b"\n").strip().strip(b"\"'")
    if BEGIN.search(text):
        return rewrapped(text)
    try:
        decoded = base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        return written
    return rewrapped(decoded) if BEGIN.search(decoded) else decoded


def rewrapped(pem: bytes) -> bytes:
    """PEM with its header, footer and body on lines of their own."""
    parts = re.search(rb"(-----BEGIN [A-Z ]+-----)(.*?)(-----END [A-Z ]+-----)", pem, re.DOTALL)
    if parts is None or b":" in parts[2]:  # an old form, with headers inside, stays as it is
        return pem
    return b"\n".join((parts[1], *re.findall(rb".{1,64}", b"".join(parts[2].split())), parts[3], b""))
