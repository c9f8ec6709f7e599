"""What to do when a server is there and TLS with it fails. OpenSSL says it in words of its own, and redis-py passes
them on as those of a server that can't be reached."""

from __future__ import annotations

from typing import Final

_ADVICE: Final = (
    (
        ("mismatch, certificate is not valid for",),
        "the certificate is for another name: write the host in the URL as the certificate has it",
    ),
    (("certificate has expired", "certificate is not yet valid"), "the server needs a certificate that is valid today"),
    (
        ("CERTIFICATE_VERIFY_FAILED",),
        "name the file with the certificate of who signed the server's: rediss://...?ssl_ca_certs=FILE",
    ),
    (
        ("CERTIFICATE_REQUIRED", "EOF occurred in violation of protocol"),
        "if it wants a certificate of its clients, name yours: rediss://...?ssl_certfile=FILE&ssl_keyfile=FILE",
    ),
    (
        ("[X509:", "[PEM:", "[SSL] PEM lib"),
        "look at the files that the URL names as ssl_ca_certs, ssl_certfile and ssl_keyfile",
    ),
)
"""Words of an error, and what to do about it; the first that fits."""


def tls_failure(target: str, reason: str) -> str:
    """What a person reads of an error with these words; '' if it has nothing to do with TLS."""
    advice = next((advice for words, advice in _ADVICE if any(word in reason for word in words)), "")
    return advice and f"{target} is there, and TLS with it fails: {reason}; {advice}"
