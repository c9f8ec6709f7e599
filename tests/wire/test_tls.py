"""A server that is there, and TLS with it fails: what is wrong, and what to do, instead of "no server, start one"."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from tests.contract.jobs import add

from atomiq import Queue, connect
from atomiq._wire.connect import check_connection, unavailable_text
from atomiq._wire.translate import translated
from atomiq.exceptions import ServerUnavailable


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `localhost`, signed by itself; its key is beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "localhost.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "localhost.key"), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "garbage").write_text("no certificate")
    return made


@pytest.fixture
def port(certificate: Path) -> Iterator[int]:
    """Where somebody shakes hands over TLS, and does no more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    listener = socket.create_server(("127.0.0.1", 0))

    def shake_hands() -> None:
        while True:
            try:
                talk = listener.accept()[0]
            except OSError:  # the test is over
                return
            with talk, contextlib.suppress(OSError):  # it is the client who refuses
                context.wrap_socket(talk, server_side=True).close()

    thread = threading.Thread(target=shake_hands)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("rediss://localhost:{port}", "self-signed certificate.*; name the file .*ssl_ca_certs=FILE"),
        ("rediss://127.0.0.1:{port}?ssl_ca_certs={folder}/localhost.crt", "mismatch.*; the certificate is for another"),
        ("rediss://localhost:{port}?ssl_ca_certs={folder}/garbage", "; look at the files that the URL names"),
    ],
)
def test_what_tls_fails_at(url: str, said: str, port: int, certificate: Path) -> None:
    """It was `no server at ...: certificate verify failed ... Start Redis or Valkey there`."""
    with connect(url.format(port=port, folder=certificate.parent), retry=None) as connection:
        with pytest.raises(ServerUnavailable, match=f"is there, and TLS with it fails: .*{said}"):
            check_connection(connection)
        with pytest.raises(ServerUnavailable, match=f"is there, and TLS with it fails: .*{said}"):
            Queue(connection=connection).enqueue(add, 1, 1)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1006).", "today"),
        ("Error 8 while writing to socket. EOF occurred in violation of protocol (_ssl.c:2427).", "ssl_certfile=FILE"),
        ("(1, '[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required')", "ssl_certfile=FILE"),
        ("Error 116 connecting to h:1. [X509: KEY_VALUES_MISMATCH] key values mismatch (_ssl.c:3926).", "ssl_keyfile"),
    ],
)
def test_words_of_real_servers(text: str, advice: str) -> None:
    """A certificate that is over, one of the client that is missing or is not of its key."""
    error = redis.ConnectionError(text)
    for told in (unavailable_text("there", error), str(translated(error, "enqueue", "there"))):
        assert "there is there, and TLS with it fails: " in told
        assert advice in told
