"""The TLS context for HTTPS."""

import ssl
from pathlib import Path
from typing import NoReturn

from caveat.models.errors import CaveatError
from caveat.service.settings import Settings


def context(settings: Settings) -> ssl.SSLContext | None:
    """Make the context from the PEM files of the settings, for TLS 1.2 and later; None if there are none.

    Raises
    ------
    CaveatError
        If a file can't be read, or the key is not that of the certificate.
    """
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None or key is None:
        return None
    for path, kind in ((certificate, "CERTIFICATE"), (key, "PRIVATE KEY")):
        if f"{kind}-----".encode() not in _read(path):  # OpenSSL would not say which file is wrong
            raise CaveatError(f"{path}: holds no {kind.lower()} in PEM format")

    def no_passphrase() -> NoReturn:
        raise CaveatError(f"{key}: is encrypted; write it without a passphrase, with `openssl pkey`")

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    try:
        made.load_cert_chain(certificate, key, no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CaveatError(f"{key}: is not the key of {certificate}") from None
        raise CaveatError(f"{certificate} or {key}: is damaged, or of a kind that OpenSSL refuses") from None
    return made


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CaveatError(f"{path}: {error.strerror}") from None
