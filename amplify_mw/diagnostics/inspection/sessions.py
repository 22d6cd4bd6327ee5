"""The session in a cookie's value, by its kind: its seal, its record, its times, its tokens.

Rules:
- Each kind is opened by its own code: a seal by `sessions.seal`, a record by `sessions.stored`.
- A store is only read. A session's id, its key and its handle are not shown.
- Tokens sealed by the library are explained as it checks them: the ID token's signature, and the
  access token's claims.
"""

from collections.abc import Iterator
from typing import Any, Final

from ...cognito.verifier import MAX_TOKEN_BYTES
from ...config.config import AmplifyConfig
from ...effects import Ask, Unreachable
from ...errors import ConfigurationError
from ...models.check import Check
from ...sessions.amplify.sessions import AmplifyCookies
from ...sessions.amplify.wire import AmplifySet, sets_in
from ...sessions.bundle import MAX_PACKED, Bundle
from ...sessions.lifetimes import LastingSession
from ...sessions.record import Record, has_ended
from ...sessions.seal import Seal, parse_key
from ...sessions.sealed import SealedCodec, SealedSession, open_bundle
from ...sessions.store import Store
from ...sessions.stored import StoredCodec, StoredSession, identifier_in
from ...sessions.token import MAX_SENT, TokenSession
from ...sessions.verdicts import Part
from ...web.cookies import DUPLICATE
from .alone import bare_checks
from .facts import counted, mend_of, prefixed, when
from .looking import Looking, missing_file
from .tokens import Subject, token_checks

_MAX_SEALED: Final = MAX_PACKED * 3 // 2


def session_checks(value: Any, looking: Looking, now: float) -> list[Check]:
    """All checks of a value read from the session's cookies."""
    kinds = kinds_of(looking.config)
    parts = value if isinstance(value, tuple) else (Part(0, value),)
    checks: list[Check] = []
    for number, part in parts:
        kind = kinds[number]
        found = [] if part is None or part is DUPLICATE else _of_kind(kind, part, looking, now)
        checks += prefixed(f"{_NAMES[type(kind)]}", found) if len(kinds) > 1 else found
    return checks


_NAMES: Final[dict[type, str]] = {
    TokenSession: "token",
    SealedSession: "sealed",
    StoredSession: "stored",
    AmplifyCookies: "amplify",
}


def kinds_of(config: AmplifyConfig) -> tuple[Any, ...]:
    """The configured kinds of session."""
    session: Any = config.session
    return tuple(session) if isinstance(session, list | tuple) else (session,)


def _of_kind(kind: Any, value: bytes, looking: Looking, now: float) -> list[Check]:
    if isinstance(kind, SealedSession):
        return list(_sealed(kind, value, looking, now))
    if isinstance(kind, StoredSession):
        return list(_stored(kind, value, looking, now))
    if isinstance(kind, AmplifyCookies):
        return list(_amplify(value, looking, now))
    if isinstance(kind, TokenSession):
        return [*_form(value), *token_checks(value, Subject(looking, now, MAX_SENT))]
    return []


def _form(value: bytes) -> Iterator[Check]:
    """A warning for a value in the form of another kind of session."""
    (check, *_) = bare_checks(value)
    if check.outcome == "ok":
        yield Check(
            *("form", "warning", check.found, "a token, for a TokenSession"),
            "name the app's own configuration, --config module:attribute, or correct session=",
        )


# Sealed sessions.


def _sealed(kind: SealedSession, value: bytes, looking: Looking, now: float) -> Iterator[Check]:
    yield from bare_checks(value)
    opened = _opened(kind, value, looking.config)
    count = len(kind.keys)
    if opened is None:
        wanted = f"one of the {count} configured keys" if count > 1 else "the configured key"
        if _seal(kind.keys, looking.config).is_of_another_key(value):
            mend = mend_of("unknown_session_key")
            yield Check("seal", "wrong", "sealed with another key", wanted, mend)
        else:
            yield Check("seal", "wrong", "does not open", wanted, mend_of("invalid_session"))
        return
    index, bundle, client = opened
    newest = "the newest" if index == 0 else "an older one"
    yield Check("seal", "ok", f"keys[{index}] opens it, {newest} of {count}")
    yield from _record_of_sealed(kind, bundle, client, looking)
    yield from _lasting(kind, bundle, looking, now)


def _opened(
    kind: SealedSession, value: bytes, config: AmplifyConfig
) -> tuple[int, Bundle, str | None] | None:
    """The index of the key to a value, the bundle, and its client."""
    for index, key in enumerate(kind.keys):
        found = open_bundle(_seal([key], config), value)
        if found is not None:
            return index, *found
    return None


def _seal(keys: Any, config: AmplifyConfig) -> Seal:
    clients = None if config.clients is None else frozenset(config.clients)
    parsed = [parse_key(key) for key in keys]
    return Seal(parsed, config.cookie.name, clients, _MAX_SEALED)


def _record_of_sealed(
    kind: SealedSession, bundle: Bundle, client: str | None, looking: Looking
) -> Iterator[Check]:
    """The coordinator's word on a session: newer tokens, or its end."""
    if kind.coordinator is None:
        yield Check("ended", "ok", "no coordinator: each process knows of its own sign-outs alone")
        return
    seal = _seal(kind.keys, looking.config)
    record, check = _loaded(
        kind.coordinator, SealedCodec(seal, bundle.sid, client or "").key, looking
    )
    if check is not None:
        yield check
    elif has_ended(record):
        yield Check("ended", "wrong", "it has ended", "", mend_of("session_revoked"))
    elif record is not None and record.version > bundle.turn:
        yield Check("ended", "ok", "no; the coordinator has newer tokens")
    else:
        is_memory = type(kind.coordinator).__name__ == "MemoryStore"
        yield Check("ended", "ok", "no" + ", as far as this process knows" * is_memory)


# Stored sessions.


def _stored(kind: StoredSession, value: bytes, looking: Looking, now: float) -> Iterator[Check]:
    identifier = identifier_in(value)
    if identifier is None:
        found = counted(len(value))
        yield Check("id", "wrong", found, "43 characters of base64url", mend_of("invalid_session"))
        return
    yield Check("id", "ok", "43 characters of base64url")
    codec = StoredCodec(identifier)
    record, check = _loaded(kind.store, codec.key, looking)
    if check is not None:
        yield check
        return
    name = type(kind.store).__name__
    if record is None:
        wanted = f"a record in the {name}"
        yield Check("record", "wrong", "none", wanted, mend_of("invalid_session"))
    elif has_ended(record):
        yield Check("record", "wrong", "a tombstone: it has ended", "", mend_of("session_revoked"))
    elif (opened := codec.of(record).open(record)) is None:
        wanted = "a record that this id opens"
        yield Check("record", "wrong", "was changed, or is another's", wanted)
    else:
        yield Check("record", "ok", f"in the {name}, until {when(record.expires_at, now)}")
        yield from _lasting(kind, opened[0], looking, now)


def _loaded(store: Any, key: bytes, looking: Looking) -> tuple[Record | None, Check | None]:
    """A store's record, or why it cannot be told."""

    def load() -> Any:
        return (yield Ask(store, Store.load, key))

    try:
        record, _ = looking.run(load())
    except (Unreachable, ConfigurationError):
        file = missing_file(store)
        found = f"the {type(store).__name__} does not answer"
        if file:
            found = f"there is no file {file}, or it is empty"
        return None, Check("store", "unknown", found, "", mend_of("store_unavailable"))
    return record, None


# For both of them.


def _lasting(kind: LastingSession, bundle: Bundle, looking: Looking, now: float) -> Iterator[Check]:
    """The times and the tokens of a lasting session."""
    idle, absolute = bundle.seen_at + kind.idle, bundle.created_at + kind.absolute
    yield Check("started", "ok", when(bundle.created_at, now))
    for name, ends, begins in (
        ("idle", idle, f"last seen {when(bundle.seen_at, now)}"),
        ("absolute", absolute, ""),
    ):
        found = "; ".join(filter(None, (f"ends {when(ends, now)}", begins)))
        if now < ends:
            yield Check(name, "ok", found)
        else:
            yield Check(name, "wrong", found, "a time to come", mend_of("session_expired"))
    has_refresh = bundle.refresh_token is not None
    found = "it has one" if has_refresh else "it has none: the session ends with its tokens"
    yield Check("refresh_token", "ok", found)
    subject = Subject(looking, now, MAX_TOKEN_BYTES, ("id",))
    trusted = subject._replace(uses=("access",), is_trusted=True)
    tokens = prefixed("id_token", token_checks(bundle.id_token, subject))
    tokens += prefixed("access_token", token_checks(bundle.access_token, trusted))
    yield from (_renewable(check, can_refresh=has_refresh) for check in tokens)


def _renewable(check: Check, *, can_refresh: bool) -> Check:
    """A token's expiry is no fault if a refresh replaces it."""
    if not can_refresh or check.mend != mend_of("token_expired"):
        return check
    return check._replace(outcome="warning", mend="the next request gets new tokens")


# Amplify's cookies.


def _amplify(value: bytes, looking: Looking, now: float) -> Iterator[Check]:
    sets = sets_in(value)
    if len(sets) > 1:
        yield Check("sets", "warning", "cookies came twice: two sets of tokens", "one of each name")
    for mine in sets[:2]:
        yield from _set(mine, looking, now)


def _set(mine: AmplifySet, looking: Looking, now: float) -> Iterator[Check]:
    has_refresh = bool(mine.refresh_token)
    subject = Subject(looking, now, MAX_SENT, ("access",))
    if mine.access_token:
        checks = prefixed("access_token", token_checks(mine.access_token, subject))
    else:
        checks = [Check("access_token", "wrong", "not sent", "", mend_of("no_session"))]
    if mine.id_token:
        of_id = token_checks(mine.id_token, subject._replace(uses=("id",)))
        checks += prefixed("id_token", of_id)
    else:
        checks.append(Check("id_token", "warning", "not sent: the access token names the user"))
    found = "sent" if has_refresh else "not sent: the session ends with its tokens"
    checks.append(Check("refresh_token", "ok", found))
    yield from (_renewable(check, can_refresh=has_refresh) for check in checks)


# The tokens themselves, for their claims.


def tokens_of(value: Any, looking: Looking) -> dict[str, bytes]:
    """The ID and access tokens in a value, by their names."""
    kinds = kinds_of(looking.config)
    parts = value if isinstance(value, tuple) else (Part(0, value),)
    found: dict[str, bytes] = {}
    for number, part in parts:
        if part is not None and part is not DUPLICATE:
            found |= _tokens(kinds[number], part, looking)
    return found


def _tokens(kind: Any, value: bytes, looking: Looking) -> dict[str, bytes]:
    if isinstance(kind, TokenSession):
        return {"token": value}
    if isinstance(kind, AmplifyCookies):
        sets = sets_in(value)[:1]
        return {
            name: token for mine in sets for name, token in _named(mine.id_token, mine.access_token)
        }
    if isinstance(kind, SealedSession):
        opened = _opened(kind, value, looking.config)
        bundle = None if opened is None else opened[1]
    else:
        identifier = identifier_in(value)
        if not isinstance(kind, StoredSession) or identifier is None:
            return {}
        codec = StoredCodec(identifier)
        record, _ = _loaded(kind.store, codec.key, looking)
        kept = None if record is None or has_ended(record) else codec.of(record).open(record)
        bundle = None if kept is None else kept[0]
    return {} if bundle is None else dict(_named(bundle.id_token, bundle.access_token))


def _named(id_token: bytes, access_token: bytes) -> list[tuple[str, bytes]]:
    return [("id_token", id_token), ("access_token", access_token)]
