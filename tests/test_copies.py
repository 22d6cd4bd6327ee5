"""A configuration that was copied, pickled, or sent to another process: it is the same still."""

import copy
import multiprocessing
import pickle
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    AuthRoutes,
    ConfigurationError,
    CookiePolicy,
    NotAuthorizedException,
    SealedSession,
    StoredSession,
    TokenSession,
    UserPool,
    get_current_user,
    start_session,
)
from amplify_mw.engine.engine import Engine
from amplify_mw.stores.base import SessionStore
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.stores.sqlite.store import SQLiteStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.sites import KEYS
from tests.valkey import redis_url as redis_url

POOL_ID = "eu-west-1_Ab12Cd34E"
JWKS = {"keys": [{"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"}]}
ROUTES = AuthRoutes(origin="https://app.example.com", keys=KEYS[:1])
NOWHERE = "redis://:a-secret-password@127.0.0.1:1/0"  # nothing is asked of it

CONFIGS: dict[str, Callable[[Path], AmplifyConfig]] = {
    "one pool": lambda _: AmplifyConfig(user_pool_id=POOL_ID, client_id="web"),
    "any client": lambda _: AmplifyConfig(user_pool_id=POOL_ID, client_id=None),
    "pools": lambda _: AmplifyConfig(pools=[UserPool(user_pool_id=POOL_ID, client_id="web")]),
    "everything": lambda _: AmplifyConfig(
        user_pool_id=POOL_ID,
        client_id=["web"],
        client_secret="secret",
        domain="auth.example.com",
        keys=JWKS,
        cookie=CookiePolicy.host_prefixed(),
        session=TokenSession(verify_with_cognito_every=60),
        protect=["/account/*"],
        public=["/account/help"],
        ignore=["/static/*"],
        routes=ROUTES,
        origins=["https://other.example.com"],
        csrf_exempt=["/hooks/*"],
        cache_control="private",
    ),
    "replicas": lambda _: AmplifyConfig(
        user_pool_id=POOL_ID,
        client_id="web",
        client_secret=["new", "old"],
        regions={"eu-west-3": "https://vpce-1.example"},
    ),
    "a file of keys": lambda folder: AmplifyConfig(
        user_pool_id=POOL_ID, client_id="web", keys=folder / "keys.json"
    ),
    "sealed": lambda _: AmplifyConfig(
        user_pool_id=POOL_ID, client_id="web", session=SealedSession(keys=KEYS)
    ),
    "several": lambda folder: AmplifyConfig(
        user_pool_id=POOL_ID,
        client_id="web",
        session=[AmplifyCookies(), StoredSession(SQLiteStore(folder / "sessions.db"))],
    ),
    "sqlite": lambda folder: AmplifyConfig(
        user_pool_id=POOL_ID,
        client_id="web",
        session=StoredSession(SQLiteStore(folder / "sessions.db", timeout=2)),
    ),
    "redis": lambda _: AmplifyConfig(
        user_pool_id=POOL_ID,
        client_id="web",
        session=SealedSession(keys=KEYS, coordinator=RedisStore(NOWHERE, local_cache=5)),
    ),
    "memory": lambda _: AmplifyConfig(
        user_pool_id=POOL_ID, client_id="web", session=StoredSession(MemoryStore())
    ),
}
COPIES: dict[str, Callable[[Any], Any]] = {
    "copied": copy.copy,
    "deeply": copy.deepcopy,
    "replaced": replace,
    "changed in nothing": lambda config: config.replace(),
    **{
        f"pickled by protocol {protocol}": lambda value, protocol=protocol: pickle.loads(
            pickle.dumps(value, protocol)
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.fixture(params=CONFIGS)
def config(request: pytest.FixtureRequest, tmp_path: Path) -> AmplifyConfig:
    (tmp_path / "keys.json").write_text('{"keys": []}')
    return CONFIGS[request.param](tmp_path)


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_equals_what_it_was_made_of(config: AmplifyConfig, how: str) -> None:
    if how.startswith("pickled") and "MemoryStore" in repr(config.session):
        with pytest.raises(ConfigurationError, match=r"^MemoryStore cannot be pickled: .*SQLite"):
            COPIES[how](config)
        return
    made = COPIES[how](config)
    assert made == config
    assert hash(made) == hash(config)
    assert repr(made) == repr(config)
    assert made.replace(protect=["/a"]) == config.replace(protect=["/a"])


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", ["one pool", "pools", "sealed", "sqlite"])
def test_a_copy_shares_the_engine_of_what_it_was_made_of(
    tmp_path: Path, name: str, how: str
) -> None:
    config = CONFIGS[name](tmp_path)
    engine = Engine.of(config)
    assert Engine.of(COPIES[how](config)) is engine
    AmplifyWSGIMiddleware(lambda *_: [], COPIES[how](config), protect=["/a"])
    engine.close()


@pytest.mark.parametrize("how", COPIES)
def test_a_pool_that_was_copied_equals_itself(how: str) -> None:
    pool = UserPool(user_pool_id=POOL_ID, client_id="web", keys=JWKS)
    made = COPIES[how](pool) if how != "changed in nothing" else replace(pool)
    assert (made, hash(made)) == (pool, hash(pool))


@pytest.mark.parametrize("how", ["copied", "deeply"])
def test_a_store_that_is_copied_is_the_same_store(tmp_path: Path, how: str) -> None:
    for store in (MemoryStore(), SQLiteStore(tmp_path / "a.db"), RedisStore(NOWHERE)):
        assert COPIES[how](store) is store


def test_two_stores_of_one_place_stay_two(tmp_path: Path) -> None:
    one, other = SQLiteStore(tmp_path / "a.db"), SQLiteStore(tmp_path / "a.db")
    again = pickle.loads(pickle.dumps([one, other, one]))
    assert [id(made) for made in again] == [id(store) for store in (one, other, one)]


def test_no_repr_of_a_copy_shows_a_secret(tmp_path: Path) -> None:
    for name in ("everything", "sealed", "redis"):
        made = copy.deepcopy(CONFIGS[name](tmp_path))
        assert not {"secret", "a-secret-password", KEYS[0]} & set(repr(made).split("'"))
        assert "a-secret-password" not in repr(made)


# --- another process


def who_in_a_process(config: AmplifyConfig, cookie: str) -> tuple[str, bool]:
    """What a process says that was sent a configuration; and whether it comes back equal."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        try:
            return [get_current_user().username.encode()]
        except NotAuthorizedException as error:
            return [error.reason.encode()]

    middleware = AmplifyWSGIMiddleware(app, config, protect=["/a"])
    client = Client(middleware, use_cookies=False)
    said = client.get("/", headers={"Cookie": f"amplify-session={cookie}"}).text
    again = pickle.loads(pickle.dumps(config))
    middleware.close()
    return said, again == config and hash(again) == hash(config)


def ask_a_process(config: AmplifyConfig, cookie: str) -> tuple[str, bool]:
    with multiprocessing.get_context("spawn").Pool(1) as processes:
        answer: tuple[str, bool] = processes.apply_async(who_in_a_process, (config, cookie)).get(
            120
        )
        return answer


@pytest.mark.parametrize("kind", ["token", "sealed", "sqlite", "redis"])
def test_a_process_that_was_sent_a_configuration_knows_the_same_sessions(
    pool: LocalUserPool, tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    store: SessionStore | None = None
    if kind == "sqlite":
        store = SQLiteStore(tmp_path / "sessions.db")
    elif kind == "redis":
        url = request.getfixturevalue("redis_url")
        store = RedisStore(url, prefix=f"{secrets.token_hex(8)}:")
    sessions: dict[str, Any] = {"token": TokenSession(), "sealed": SealedSession(keys=KEYS)}
    session = sessions.get(kind) or StoredSession(store)
    config = pool.config(session=session, keys=pool.jwks())
    cookie = signed_in_cookie(config, pool)
    assert ask_a_process(config, cookie) == ("ada", True)
    if store is not None:
        store.close()


def signed_in_cookie(config: AmplifyConfig, pool: LocalUserPool) -> str:
    """The cookie of a session that was started in this process."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_session(pool.sign_in("ada"))
        start_response("200 OK", [])
        return []

    middleware = AmplifyWSGIMiddleware(app, config)
    line = Client(middleware, use_cookies=False).post("/").headers["Set-Cookie"]
    middleware.close()
    return line.partition(";")[0].partition("=")[2]
