"""Debian's Redis: another server than the wheel's, which is linked without a TLS library."""

import shutil
from pathlib import Path

import pytest

from tests.valkey.server import Valkey, free_port

DEBIANS = shutil.which("redis-server")


class DebiansRedis(Valkey):
    """Redis. Skips the test where there is none."""

    def __init__(self, folder: Path, *options: str) -> None:
        if DEBIANS is None:
            pytest.skip("no redis-server here: apt-get install redis-server")
        super().__init__(folder, *options)

    def _command(self) -> list[str]:
        assert DEBIANS is not None
        return [DEBIANS, *super()._command()[1:]]


class TlsRedis(DebiansRedis):
    """Redis that shows a certificate. `pem`: key and certificate, in one file.

    `Link(tls=...)` before a plain server is always there.
    """

    def __init__(self, folder: Path, pem: Path, *options: str) -> None:
        shown = ("--tls-cert-file", str(pem), "--tls-key-file", str(pem))
        super().__init__(folder, *shown, "--tls-auth-clients", "no", *options)
        self.tls_url = f"rediss://127.0.0.1:{self.tls_port}/0"

    def _choose_ports(self) -> None:
        super()._choose_ports()
        self.tls_port = free_port()

    def _command(self) -> list[str]:
        return [*super()._command(), "--tls-port", str(self.tls_port)]
