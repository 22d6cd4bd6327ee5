"""A local user pool's state as a JSON document, and back.

Rules:
- There is no password and no token in it: users have verifiers, tokens and cookies are hashes. A
  user of another identity provider has no verifier. The private keys and the client's secrets are
  in it.
- A sign-in is kept for 30 days, as long as Cognito's refresh tokens last by default. A revoked one
  is kept as long, so that its access tokens stay refused.
- Codes and challenges, which last minutes, are not kept.
- A document is read as a whole or not at all.
"""

from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, get_args

from .client_secrets import read_secrets
from .issuers import IssuerType, is_region
from .ledger import BrowserSession, Ledger, LocalUser, RefreshToken, SignIn
from .machines import read_machine
from .signing import SigningKeys
from .srp import Verifier
from .tracking import REFRESH_LIFETIME, read_sessions


class BadDocument(ValueError):
    """The document is damaged: `str()` says how."""


class AnotherPool(ValueError):
    """The document is of a pool with another id or client: `str()` says which."""


def document(ledger: Ledger) -> dict[str, Any]:
    """The state of a pool."""
    since = ledger.clock() - REFRESH_LIFETIME
    return {
        "user_pool_id": ledger.user_pool_id,
        "client_id": ledger.client_id,
        "issuer_type": ledger.issuers.type,
        "client_secrets": ledger.client_secrets.exported(),
        "machines": ledger.machines.exported(),
        "regions": sorted(ledger.issuers.regions),
        "users": [_user(ledger, user) for user in list(ledger.users.values())],
        "keys": ledger.keys.exported(),
        "sign_ins": [
            _sign_in(ledger, hashed, token)
            for hashed, token in ledger.refresh_tokens.items()
            if token.sign_in.auth_time > since
        ],
        "browsers": [
            {"sha256": hashed, **asdict(browser)}
            for hashed, browser in ledger.browsers.items()
            if browser.auth_time > since
        ],
        "sessions": ledger.tracking.exported(since),
    }


def restore(ledger: Ledger, members: Mapping[str, Any]) -> None:
    """Put a document's state in the place of the ledger's. Raises `BadDocument`, `AnotherPool`."""
    for name, own in (("user_pool_id", ledger.user_pool_id), ("client_id", ledger.client_id)):
        if members.get(name) != own:
            raise AnotherPool(f"its {name} is {members.get(name)!r}, and this pool's is {own!r}")
    try:
        users = {user.username: user for user in map(_read_user, members["users"])}
        issuer_type, regions = _read_issuers(members)
        keys = SigningKeys.imported(members["keys"])
        sessions = read_sessions(members.get("sessions", {}))
        machines = [read_machine(one) for one in members.get("machines", ())]
        secrets = read_secrets(members.get("client_secrets"))
        sign_ins = [_read_sign_in(one) for one in members["sign_ins"]]
        browsers = {
            str(one["sha256"]): BrowserSession(
                str(one["username"]), str(one["sub"]), int(one["auth_time"]), _text(one, "acr")
            )
            for one in members["browsers"]
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadDocument(f"{type(error).__name__}: {error}") from error
    ledger.issuers.restore(issuer_type, regions)
    ledger.client_secrets.restore(secrets)
    ledger.machines.restore(machines)
    ledger.tracking.restore(*sessions)
    ledger.keys = keys
    ledger.users = users
    ledger.browsers = browsers
    ledger.refresh_tokens = {hashed: token for hashed, token, _ in sign_ins}
    for _, token, is_revoked in sign_ins:
        ledger.note_origin(token.sign_in.sub, token.sign_in.origin_jti)
        if is_revoked:
            ledger.revoke(token.sign_in.origin_jti)


def _read_issuers(members: Mapping[str, Any]) -> tuple[IssuerType | None, set[str]]:
    issuer_type = members.get("issuer_type")  # none in version 1
    if issuer_type not in (None, *get_args(IssuerType)):
        raise ValueError("the issuer type")
    regions = set(members.get("regions", ()))
    if not all(map(is_region, regions)):
        raise ValueError("a replica's Region")
    return issuer_type, regions


def _user(ledger: Ledger, user: LocalUser) -> dict[str, Any]:
    members: dict[str, Any] = {
        "username": user.username,
        "sub": user.sub,
        "groups": list(user.groups),
        "attributes": dict(user.attributes),
        "status": user.status,
        "enabled": user.enabled,
        "identity_provider": user.identity_provider,
    }
    if user.identity_provider is not None:
        return members
    verifier = ledger.verifier(user)
    return {**members, "salt": f"{verifier.salt:x}", "verifier": f"{verifier.value:x}"}


def _read_user(members: Mapping[str, Any]) -> LocalUser:
    if members["status"] not in ("CONFIRMED", "UNCONFIRMED", "RESET_REQUIRED"):
        raise ValueError("a user's status")
    provider = members["identity_provider"]
    verifier = (
        Verifier(int(members["salt"], 16), int(members["verifier"], 16))
        if provider is None
        else None
    )
    attributes = {str(name): str(value) for name, value in members["attributes"].items()}
    return LocalUser(
        str(members["username"]),
        str(members["sub"]),
        None,
        tuple(map(str, members["groups"])),
        MappingProxyType(attributes),
        members["status"],
        members["enabled"] is True,
        None if provider is None else str(provider),
        verifier,
    )


def _sign_in(ledger: Ledger, hashed: str, token: RefreshToken) -> dict[str, Any]:
    return {
        "sha256": hashed,
        **asdict(token.sign_in),
        "ends_at": None if token.ends_at == float("inf") else token.ends_at,
        "is_revoked": ledger.is_revoked(token.sign_in.origin_jti),
    }


def _text(members: Mapping[str, Any], name: str) -> str | None:
    """A member that older documents have not."""
    value = members.get(name)
    return None if value is None else str(value)


def _read_sign_in(members: Mapping[str, Any]) -> tuple[str, RefreshToken, bool]:
    sign_in = SignIn(
        username=str(members["username"]),
        sub=str(members["sub"]),
        scope=str(members["scope"]),
        auth_time=int(members["auth_time"]),
        origin_jti=str(members["origin_jti"]),
        event_id=str(members["event_id"]),
        resource=_text(members, "resource"),
        acr=_text(members, "acr"),
    )
    ends_at = float("inf") if members["ends_at"] is None else float(members["ends_at"])
    return str(members["sha256"]), RefreshToken(sign_in, ends_at), members["is_revoked"] is True
