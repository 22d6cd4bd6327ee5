"""A local user pool and its state file: read at the start, written after every change.

Rules:
- Without a file everything is as with one, and ends with the process.
- An answer goes out after the state it stems from is written. If writing fails, the log says so and
  the pool goes on: nobody is refused because a disk is full.
- Nothing here locks; `LocalUserPool` does.
"""

import os
import ssl
from collections.abc import Mapping
from typing import Any

from ...log import logger
from .certificate import Certificate, new_certificate
from .document import AnotherPool, BadDocument, document, restore
from .ledger import Ledger
from .state import StateError, StateFile


class Keeping:
    """The ledger of a pool, its certificate, and the file of both (or None)."""

    def __init__(self, ledger: Ledger, path: "str | os.PathLike[str] | None") -> None:
        self._ledger = ledger
        self._file: StateFile | None = None if path is None else StateFile(path)
        self._is_open = False
        self._is_failing = False
        self._certificate: Certificate | None = None

    def open(self) -> None:
        """Lock and read the file. Does nothing if it is open. Raises `StateError`."""
        if self._file is None or self._is_open:
            return
        members = self._file.open()
        if members is not None:
            try:
                self._restore(self._file, members)
            except BaseException:
                self._file.close()
                raise
        self._is_open = True
        self.save()

    def save(self) -> None:
        """Write the state, if it has changed and the file is open."""
        if self._file is None or not self._is_open:
            return
        members = document(self._ledger)
        if self._certificate is not None:
            own = self._certificate
            members["certificate"] = {"certificate": own.certificate, "key": own.key}
        try:
            self._file.save(members)
        except OSError as error:
            if not self._is_failing:
                text = "%s cannot be written (%s): what happens now is lost when the pool ends"
                logger.warning(text, self._file.path, error.strerror)
            self._is_failing = True
        else:
            self._is_failing = False

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()
        self._is_open = False

    def certificate(self) -> Certificate:
        """The pool's certificate, made when it is first needed or about to end."""
        now = self._ledger.clock()
        if self._certificate is None or not self._certificate.lasts(now):
            self._certificate = new_certificate(now)
            self.save()
        return self._certificate

    def context(self) -> ssl.SSLContext:
        """The context of the pool's TLS."""
        return self.certificate().context()

    def _restore(self, file: StateFile, members: Mapping[str, Any]) -> None:
        try:
            certificate = _read_certificate(members)
            restore(self._ledger, members)
        except AnotherPool as other:
            raise StateError(
                f"{file.path} is of another pool: {other}. It is left as it is: choose another file"
            ) from other
        except BadDocument as bad:
            raise file.set_aside(str(bad)) from bad
        self._certificate = certificate


def _read_certificate(members: Mapping[str, Any]) -> Certificate | None:
    found = members.get("certificate")
    if found is None:
        return None
    try:
        certificate = Certificate(str(found["certificate"]), str(found["key"]))
        certificate.context()
        certificate.lasts(0.0)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise BadDocument(f"the certificate: {type(error).__name__}") from error
    return certificate
