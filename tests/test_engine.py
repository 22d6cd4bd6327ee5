"""Engines: one per configuration, what is checked at construction, and what the log says."""

import asyncio
import gc
import logging
import pickle
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import AmplifyConfig, get_current_user
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.cognito.keys import COOL_DOWN, MAX_AGE, RETRY_PAUSE
from amplify_mw.engine.engine import Engine, Registry
from amplify_mw.errors import ConfigurationError
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.pool import Body, Down, Status
from amplify_mw.web.cookies import CookiePolicy
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.patience import PATIENCE
from tests.visits import visiting

CONFIG: dict[str, Any] = {"user_pool_id": "eu-west-1_Ab12Cd34E", "client_id": "web"}


# --- sharing


def test_equal_configurations_share_an_engine() -> None:
    first, second = (Engine.of(AmplifyConfig(**CONFIG)) for _ in range(2))
    assert first is second


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "other"},
        {"client_id": None},
        {"leeway": 6},
        {"cookie": CookiePolicy(name="other")},
        {"attributes_ttl": 0},
        {"keys": "other.json"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_different_configurations_do_not(change: dict[str, Any], tmp_path: Path) -> None:
    if "keys" in change:
        with LocalUserPool() as pool:
            change = {"keys": pool.jwks()}
    first, second = Engine.of(AmplifyConfig(**CONFIG)), Engine.of(AmplifyConfig(**CONFIG | change))
    assert first is not second


def test_two_that_are_built_at_once_are_one_in_the_end() -> None:
    config = AmplifyConfig(**CONFIG, leeway=7)

    def build(_: int) -> Engine:
        together.wait(PATIENCE)
        return Engine.of(config)

    together = threading.Barrier(8)
    with ThreadPoolExecutor(8) as threads:
        built = list(threads.map(build, range(8)))
    assert len(set(map(id, built))) == 1
    assert Engine.of(config) is built[0]


def test_an_engine_is_its_own(config: AmplifyConfig) -> None:
    engine = Engine(config)
    assert Engine.of(engine) is engine
    assert Engine.of(config) is not engine


@pytest.mark.parametrize("wrong", [None, {}, "eu-west-1_Ab12Cd34E", AmplifyConfig])
def test_what_is_no_configuration_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="AmplifyConfig"):
        Engine.of(wrong)


def test_an_engine_goes_when_its_last_user_goes() -> None:
    config = AmplifyConfig(**CONFIG | {"client_id": "short-lived"})
    shells = [AmplifyWSGIMiddleware(None, config), AmplifyASGIMiddleware(None, config)]  # type: ignore[arg-type]
    engine = weakref.ref(shells[0].engine)
    del shells[0]
    gc.collect()
    assert engine() is not None
    del shells
    gc.collect()
    assert engine() is None


def test_a_used_engine_goes_too(pool: LocalUserPool) -> None:
    engine = Engine.of(pool.config())
    gone = weakref.ref(engine)
    visit_of(engine, pool.sign_in("ada").id_token)
    del engine
    gc.collect()
    assert gone() is None


def test_an_app_that_is_built_meanwhile_fails_no_sessions_end() -> None:
    class Switching(weakref.KeyedRef[Any, Any]):
        """Lets another thread build an app, as Python may between any two steps."""

        def __call__(self) -> Any:
            registry.engine(AmplifyConfig(**CONFIG, leeway=len(built)))
            built.append(self)
            return super().__call__()

    registry, built = Registry(time.time), list[Any]()
    one = registry.engine(AmplifyConfig(**CONFIG))
    table: Any = registry._shared.data
    core, shared = next((key, reference()) for key, reference in table.items())
    table[core] = Switching(shared, lambda _: None, core)
    assert one.authenticator.verdicts in registry.all_verdicts()
    assert built


# --- what is found out at construction

BROKEN_KEYS: list[Any] = [
    {},
    {"keys": []},
    {"keys": "x"},
    {"keys": [{"kty": "RSA", "kid": "a", "n": "!", "e": "AQAB"}]},
    {"keys": [{"kty": "EC", "kid": "a"}]},
]


@pytest.mark.parametrize("keys", BROKEN_KEYS, ids=repr)
@pytest.mark.parametrize("shell", [AmplifyWSGIMiddleware, AmplifyASGIMiddleware])
def test_preloaded_keys_that_are_broken_are_a_configuration_error(shell: Any, keys: Any) -> None:
    with pytest.raises(ConfigurationError, match="keys"):
        shell(None, AmplifyConfig(**CONFIG, keys=keys))


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"{}"])
def test_a_key_file_that_is_broken_is_a_configuration_error(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="keys"):
        Engine.of(AmplifyConfig(**CONFIG, keys=path))


def test_an_engine_that_failed_to_be_made_blocks_no_other(config: AmplifyConfig) -> None:
    with pytest.raises(ConfigurationError):
        Engine.of(AmplifyConfig(**CONFIG, keys={}))
    assert Engine.of(config)


def test_with_preloaded_keys_nothing_is_ever_fetched(pool: LocalUserPool) -> None:
    engine = Engine.of(pool.config(keys=pool.jwks()))
    token = pool.sign_in("ada").id_token
    pool.rotate_keys()
    assert reason_of(engine, token) == ""
    assert reason_of(engine, pool.sign_in("ada").id_token) == "unknown_key"
    assert pool.requests == []


# --- one key set for both shells


def app(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [get_current_user().username.encode()]


def ask_wsgi(config: AmplifyConfig | Engine, cookie: str) -> bytes:
    environ = {"REQUEST_METHOD": "GET", "HTTP_COOKIE": f"amplify-session={cookie}"}
    return b"".join(AmplifyWSGIMiddleware(app, config)(environ, lambda *_: None))  # type: ignore[arg-type,return-value]


def ask_asgi(config: AmplifyConfig | Engine, cookie: str) -> bytes:
    sent: list[Any] = []
    headers = [(b"cookie", f"amplify-session={cookie}".encode())]

    async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
        body = get_current_user().username.encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def ask() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
        await AmplifyASGIMiddleware(asgi_app, config)(scope, send, send)  # type: ignore[arg-type]

    asyncio.run(ask())
    return b"".join(message.get("body", b"") for message in sent)


@pytest.mark.parametrize("order", [(ask_wsgi, ask_asgi), (ask_asgi, ask_wsgi)])
def test_keys_are_fetched_once_for_both_shells(
    pool: LocalUserPool, order: tuple[Callable[..., bytes], ...]
) -> None:
    engine = Engine.of(pool.config())  # what a server's two middlewares would hold
    token = pool.sign_in("ada").id_token
    assert [ask(pool.config(), token) for ask in order] == [b"ada", b"ada"]
    assert pool.requests == ["jwks"]
    engine.close()


# --- outcomes over time, and the log


@pytest.fixture
def now() -> list[float]:
    return [float(int(time.time()))]  # it stands still


@pytest.fixture
def pool(now: list[float]) -> Iterator[LocalUserPool]:
    with LocalUserPool(clock=lambda: now[0]) as pool:
        pool.add_user("ada", email="ada@example.com")
        yield pool


@pytest.fixture
def engine(pool: LocalUserPool, now: list[float]) -> Iterator[Engine]:
    engine = Engine(pool.config(), clock=lambda: now[0])
    yield engine
    engine.close()


def visit_of(engine: Engine, cookie: str) -> Any:
    header = b"amplify-session=" + cookie.encode()
    home, now = engine.authenticator, engine.clock()
    return engine.driver.run(visiting(home, header, now))


def reason_of(engine: Engine, cookie: str) -> str:
    """Why a cookie signs nobody in, or nothing."""
    return getattr(visit_of(engine, cookie).verdict, "reason", "")


def test_a_known_cookie_is_known_at_once(engine: Engine, pool: LocalUserPool) -> None:
    token = pool.sign_in("ada").id_token
    first, second = visit_of(engine, token), visit_of(engine, token)
    assert first.verdict is second.verdict
    assert first is not second


def test_an_outage_clears_nothing_and_passes(
    engine: Engine, pool: LocalUserPool, now: list[float]
) -> None:
    token = pool.sign_in("ada").id_token
    with pool.fault("jwks", Down()):
        visit = visit_of(engine, token)
        assert (visit.verdict.reason, visit.clears) == ("keys_unavailable", False)
    now[0] += RETRY_PAUSE
    assert reason_of(engine, token) == ""


def test_a_rotated_key_is_fetched_and_its_user_signed_in(
    engine: Engine, pool: LocalUserPool, now: list[float]
) -> None:
    assert reason_of(engine, pool.sign_in("ada").id_token) == ""
    now[0] += COOL_DOWN
    pool.rotate_keys()
    assert reason_of(engine, pool.sign_in("ada").id_token) == ""
    assert pool.count("jwks") == 2


def test_a_withdrawn_keys_verdicts_go_when_the_new_set_comes(
    engine: Engine, pool: LocalUserPool, now: list[float]
) -> None:
    old = pool.sign_in("ada").id_token
    assert reason_of(engine, old) == ""
    now[0] += COOL_DOWN
    pool.rotate_keys(keep_old=False)
    assert reason_of(engine, pool.sign_in("ada").id_token) == ""
    visit = visit_of(engine, old)
    assert (visit.verdict.reason, visit.clears) == ("unknown_key", True)


def test_junk_kids_cost_a_fetch_a_cool_down_and_sign_nobody_out(
    engine: Engine, pool: LocalUserPool, now: list[float]
) -> None:
    good = pool.sign_in("ada").id_token
    assert reason_of(engine, good) == ""
    for second in range(21):
        junk = pool.mint("ada", header={"kid": f"junk-{second}"})
        assert reason_of(engine, junk) == "keys_unavailable"
        assert reason_of(engine, good) == ""
        now[0] += 1
    assert pool.count("jwks") == 3


@pytest.mark.parametrize("fault", [Down(), Status(500), Body(b"<html>"), Body(b'{"keys":[]}')])
def test_old_keys_serve_through_an_outage(
    engine: Engine, pool: LocalUserPool, now: list[float], fault: Any
) -> None:
    assert reason_of(engine, pool.sign_in("ada").id_token) == ""
    with pool.fault("jwks", fault):
        now[0] += 5 * MAX_AGE
        assert reason_of(engine, pool.sign_in("ada").id_token) == ""
        engine.close()  # the fetch in the background has landed
    assert pool.count("jwks") == 2


def records(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "amplify_mw" and record.levelno == level
    ]


@pytest.mark.parametrize(
    ("claims", "reason"),
    [({"exp": 1}, "token_expired"), ({"aud": "x"}, "wrong_client"), ({"iss": "x"}, "wrong_issuer")],
)
@pytest.mark.parametrize("ask", [ask_wsgi, ask_asgi])
def test_each_refusal_is_told_at_debug_by_its_reason(
    engine: Engine,
    pool: LocalUserPool,
    caplog: pytest.LogCaptureFixture,
    ask: Callable[..., bytes],
    claims: dict[str, Any],
    reason: str,
) -> None:
    token = pool.mint("ada", claims=claims)
    with caplog.at_level(logging.DEBUG, "amplify_mw"):
        assert b"401" in ask(engine, token)
    start, end = f"cookie refused: {reason}", " (GET '/')"
    assert any(
        text.startswith(start) and text.endswith(end) for text in records(caplog, logging.DEBUG)
    )


def test_an_outage_is_told_once_at_warning_and_so_is_its_end(
    engine: Engine, pool: LocalUserPool, now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    token = pool.sign_in("ada").id_token
    with pool.fault("jwks", Status(503)):
        for _ in range(3):
            assert reason_of(engine, token) == "keys_unavailable"
            now[0] += RETRY_PAUSE
    assert reason_of(engine, token) == ""
    began, ended = records(caplog, logging.WARNING)
    assert pool.jwks_url in began
    assert "503" in began
    assert ended == f"{pool.jwks_url} answers again"


def test_no_record_of_any_logger_holds_a_token_a_kid_or_an_answer(
    engine: Engine, pool: LocalUserPool, now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = [
        pool.sign_in("ada").access_token,
        pool.mint("ada", header={"kid": "secret-kid"}),
        pool.mint("ada", expires_in=-99),
        "secret.cookie.value",
    ]
    with pool.fault("jwks", Body(b"secret answer")):
        visit_of(engine, tokens[0])
    now[0] += RETRY_PAUSE
    for token in tokens:
        ask_wsgi(engine, token)
    visit = visit_of(engine, tokens[0])
    for fault in (Status(400, b'{"__type":"secret answer"}'), Body(b"secret answer"), Down()):
        with pool.fault("GetUser", fault):
            engine.driver.run(engine.authenticator.fetch_attributes(visit, visit.verdict, now[0]))
    said = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)
    assert "cookie refused: malformed_token (GET '/')" in said
    secrets = [part for token in tokens[:3] for part in token.split(".")]
    for secret in ["secret", tokens[0], *secrets, *(str(k["kid"]) for k in pool.jwks()["keys"])]:
        assert secret not in said


def test_errors_of_verdicts_survive_pickling(engine: Engine, pool: LocalUserPool) -> None:
    error = visit_of(engine, pool.mint("ada", expires_in=-99)).verdict.exception()
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.reason) == (type(error), "token_expired")
