"""What a wrong option of a session kind or a store says, and what a wrong call does."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

import amplify_mw.stores
from amplify_mw import ConfigurationError, SealedSession, StoredSession, aio, start_session
from amplify_mw.engine.engine import Engine
from amplify_mw.stores import MemoryStore, SessionStore, SQLiteStore
from amplify_mw.testing import LocalUserPool, signed_in
from amplify_mw.verbs.given import token_set
from amplify_mw.wsgi import AmplifyWSGIMiddleware

KEY = "A" * 43


class Partial:
    """A store of before, which does not inherit the steps that were added to the contract."""

    def __init__(self) -> None:
        for name in SessionStore.__abstractmethods__ | {"ask"}:
            setattr(self, name, lambda *_: None)


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: SealedSession(keys=KEY), r"keys=\['...'\]"),
    (lambda: SealedSession(keys=[]), "the first one seals"),
    (lambda: SealedSession(keys=["short"]), "amplify-mw keygen"),
    (lambda: SealedSession(keys=[KEY], coordinator=MemoryStore), "got the class MemoryStore"),
    (lambda: SealedSession(keys=[KEY], coordinator="redis://localhost"), "got str"),
    (lambda: SealedSession(keys=[KEY], max_bytes=10), "max_bytes: write a number from 1,024"),
    (lambda: StoredSession(SQLiteStore), "got the class SQLiteStore"),
    (lambda: StoredSession("redis://host"), r"PostgresStore\('postgresql://...'\) or RedisStore"),
    (lambda: StoredSession(MemoryStore(), lease=0), "lease: write a number from 1 to 300; got 0"),
    (lambda: StoredSession(Partial()), "Partial has no reload, .*inherit from .*SessionStore"),
    (lambda: StoredSession("sessions.db"), r"SQLiteStore\('sessions.db'\)"),
    (lambda: StoredSession(MemoryStore(), idle=0), "idle: write a number from 60"),
    (lambda: StoredSession(MemoryStore(), idle=timedelta(days=7)), "idle: write a number"),
    (lambda: StoredSession(MemoryStore(), absolute=-1), "absolute"),
    (lambda: StoredSession(MemoryStore(), lease=0), "lease"),
    (lambda: StoredSession(MemoryStore(), refresh_ahead=-1), "refresh_ahead"),
    (lambda: StoredSession(MemoryStore(), refresh_ahead=3601), "refresh_ahead"),
    (lambda: StoredSession(MemoryStore(), patience=-0.1), "patience"),
    (lambda: StoredSession(MemoryStore(), patience=61), "patience"),
    (lambda: StoredSession(MemoryStore(), verify_with_cognito_every=0), "verify_with_cognito"),
    (lambda: MemoryStore(max_sessions=0), "max_sessions: write a number from 1"),
    (lambda: SQLiteStore(Path(__file__).parent), "path of a file"),
]


@pytest.mark.parametrize(("make", "says"), WRONG)
def test_a_wrong_option_says_what_to_write(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        make()


@pytest.mark.parametrize(
    ("session", "given"),
    [(StoredSession, "the class StoredSession"), (MemoryStore(), "MemoryStore"), ("stored", "str")],
)
def test_what_is_no_session_kind_is_named(pool: LocalUserPool, session: Any, given: str) -> None:
    with pytest.raises(ConfigurationError, match=f"StoredSession.*got {given}"):
        pool.config(session=session)


def test_no_repr_shows_a_key() -> None:
    assert KEY not in repr(SealedSession(keys=[KEY])) + str(SealedSession(keys=[KEY]))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"AuthenticationResult": {}}, r"start_session\(answer\['AuthenticationResult'\]\)"),
        ({"ChallengeName": "SMS_MFA", "Session": "s"}, "respond_to_auth_challenge"),
        (None, "TokenSet"),
    ],
)
def test_what_is_no_set_of_tokens_is_a_mistake_of_the_app(answer: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        token_set(answer)


@pytest.mark.parametrize(
    "verb",
    ["get_current_user", "fetch_auth_session", "end_session", "fetch_user_attributes"],
)
def test_a_coroutine_that_is_forgotten_is_warned_of_by_the_verbs_name(verb: str) -> None:
    with signed_in("ada"):
        coroutine = getattr(aio, verb)()
    assert (coroutine.__name__, coroutine.__qualname__) == (verb, verb)
    coroutine.close()


def test_a_store_that_is_down_at_the_first_sign_in_is_told_of(
    pool: LocalUserPool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SQLiteStore(tmp_path / "no such folder" / "sessions.db")

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_session(pool.sign_in("ada"))
        raise AssertionError("it has no store")

    engine = Engine.of(pool.config(session=StoredSession(store)))
    client = Client(AmplifyWSGIMiddleware(app, engine))
    with caplog.at_level(logging.WARNING, "amplify_mw"):
        assert [client.get("/").status_code for _ in range(2)] == [503, 503]
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        "the session store does not answer"
    ]


def test_stores_are_found_where_one_looks_for_them() -> None:
    assert set(amplify_mw.stores._LATER) <= set(dir(amplify_mw.stores))
    for name in amplify_mw.stores._LATER:
        found = getattr(amplify_mw.stores, name)
        assert getattr(found, "__name__", name) == name  # (a constant has none)
    with pytest.raises(AttributeError, match="NoStore"):
        amplify_mw.stores.NoStore  # noqa: B018
