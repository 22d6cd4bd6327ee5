"""The app clients of machines in the local user pool, and tokens for their credentials.

Rules:
- A machine's client has a secret, and no sign-in of users: at Cognito, too, client credentials go
  with no other grant.
- Its access token has no username, no groups and no `origin_jti`; `sub` is the `client_id`. There
  is no ID token and no refresh token.
- Without a `scope` it gets all of the client's scopes. A resource is not checked.
- Nothing here locks; `LocalUserPool` does. Secrets are kept as they are, as the client's own.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from uuid import uuid4

from .secrecy import is_same

_VERSION: Final = 2


class BadMachine(Exception):
    """The token endpoint refuses a machine: `code` says why (RFC 6749 5.2)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class MachineClient:
    """The app client of a machine."""

    client_id: str
    secret: str = field(repr=False)
    scopes: tuple[str, ...]


class Machines:
    """The machines of one pool."""

    def __init__(self) -> None:
        self._clients: dict[str, MachineClient] = {}

    @property
    def secrets(self) -> dict[str, str]:
        """By the ids of the clients."""
        return {client.client_id: client.secret for client in self._clients.values()}

    def add(self, client_id: str, secret: str | None, scopes: Iterable[str]) -> str:
        """Add a machine; its secret. Raises `ValueError` if there is one of this id."""
        if client_id in self._clients:
            raise ValueError(f"client_id: the pool has a machine {client_id!r} already")
        made = secrets.token_urlsafe(38) if secret is None else secret
        self._clients[client_id] = MachineClient(client_id, made, tuple(scopes))
        return made

    def ensure(self, client_id: str, scopes: Iterable[str], secret: str | None) -> str:
        """Add a machine, or give the one of this id these scopes; its secret.

        `secret`: None keeps the one it has.
        """
        known = self._clients.pop(client_id, None)
        return self.add(client_id, secret or (known.secret if known else None), scopes)

    def exported(self) -> list[dict[str, Any]]:
        """The machines for a state file."""
        return [asdict(client) for client in self._clients.values()]

    def restore(self, clients: Iterable[MachineClient]) -> None:
        """Put these in the place of all."""
        self._clients = {client.client_id: client for client in clients}

    def check(self, client_id: str, secret: str) -> MachineClient:
        """The machine of these credentials. Raises `BadMachine`."""
        client = self._clients.get(client_id)
        if client is None or not is_same(secret, client.secret):
            raise BadMachine("invalid_client")
        return client


def read_machine(kept: Mapping[str, Any]) -> MachineClient:
    """What `exported` wrote. Raises `KeyError`, `TypeError` and the like if it is damaged."""
    scopes = tuple(map(str, kept["scopes"]))
    return MachineClient(str(kept["client_id"]), str(kept["secret"]), scopes)


def machine_claims(
    client: MachineClient, scope: str | None, resource: str | None
) -> dict[str, Any]:
    """The claims of a machine's access token, but for the issuer and the times.

    Raises `BadMachine` for a scope that it has not.
    """
    asked = client.scopes if scope is None else tuple(dict.fromkeys(scope.split()))
    if not asked or not set(asked) <= set(client.scopes):
        raise BadMachine("invalid_scope")
    return {
        "sub": client.client_id,
        "token_use": "access",
        "scope": " ".join(asked),
        "version": _VERSION,
        "jti": str(uuid4()),
        "client_id": client.client_id,
        **({} if resource is None else {"aud": resource}),
    }
