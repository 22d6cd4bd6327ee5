"""The local user pool's certificate: one of its own, for this machine's names.

Rules:
- It is for localhost, 127.0.0.1 and ::1, and signs no other: trusting it trusts this pool alone.
- It is made once and kept with the pool's state, and made anew a week before it ends.
"""

import ssl
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

_LIFETIME: Final = timedelta(days=397)  # the longest that browsers accept of anybody
_LAST_WEEK: Final = timedelta(days=7)
_NAME: Final = "amplify-mw pool (development)"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, as PEM text."""

    certificate: str
    key: str = field(repr=False)

    def lasts(self, now: float) -> bool:
        """Whether it has begun and does not end soon. Raises `ValueError` if it is none."""
        parsed = x509.load_pem_x509_certificate(self.certificate.encode())
        moment = datetime.fromtimestamp(now, UTC)
        return parsed.not_valid_before_utc <= moment < parsed.not_valid_after_utc - _LAST_WEEK

    def context(self) -> ssl.SSLContext:
        """The context for a server that shows it. Raises `OSError` and `ValueError`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        with tempfile.TemporaryDirectory() as folder:  # which is of this user alone
            path = Path(folder, "certificate.pem")  # `ssl` reads files only
            path.touch(0o600)
            path.write_text(self.certificate + self.key)
            context.load_cert_chain(path)
        return context


def is_own(content: bytes) -> bool:
    """Whether a file's content is a certificate of a local pool."""
    try:
        names = x509.load_pem_x509_certificate(content).subject
    except ValueError:
        return False
    return any(attribute.value == _NAME for attribute in names)


def new_certificate(now: float) -> Certificate:
    """A new certificate, good from a day before `now`: clocks differ."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _NAME)])
    start = datetime.fromtimestamp(now, UTC) - timedelta(days=1)
    hosts = [
        x509.DNSName("localhost"),
        x509.IPAddress(ip_address("127.0.0.1")),
        x509.IPAddress(ip_address("::1")),
    ]
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certificate(signed.public_bytes(Encoding.PEM).decode(), private.decode())
