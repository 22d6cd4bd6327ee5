"""User pools that are not Amazon's: what their tokens say, where they are, what an operator hears.

The pool of these tests is at `0.0.0.0`, which leads to this machine and is no name of it: as good
as an emulator in another container.
"""

import copy
import pickle
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from amplify_mw import AmplifyConfig, AuthRoutes, CookiePolicy, SealedSession, UserPool
from amplify_mw.engine.engine import Engine, _warned
from amplify_mw.testing import LocalUserPool
from tests.routes.going import NAVIGATION, hop_of
from tests.shells import Ask, Shell
from tests.sites import KEYS

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="0.0.0.0 is asked as localhost")
ISSUERS = [
    "http://localhost.localstack.cloud:4566/us-east-1_db019d67",
    "http://cognito-idp.localhost.localstack.cloud:4566/us-east-1_db019d67",
    "http://localhost:4566/us-east-1_db019d67",
    "http://0.0.0.0:9229/local_2D4gvA2k",
    "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_db019d67",
]


@pytest.fixture(autouse=True)
def nothing_was_said() -> Iterator[None]:
    """As in a new process."""
    before = set(_warned)
    _warned.clear()
    yield
    _warned.clear()
    _warned.update(before)


def elsewhere(pool: LocalUserPool) -> str:
    return f"http://0.0.0.0:{urlsplit(pool.url).port}"


def name_of(shell: Shell, engine: Engine, cookie: str) -> str:
    def app() -> str:
        attributes = shell.verbs.fetch_user_attributes()
        return f"{shell.verbs.get_current_user().username} {attributes.get('email')}"

    return shell.send(shell.middleware(shell.app(app), engine), Ask(cookies=cookie)).body


@pytest.mark.parametrize("issuer", ISSUERS)
def test_the_tokens_of_an_emulator_name_any_issuer(shell: Shell, issuer: str) -> None:
    with LocalUserPool(user_pool_id="us-east-1_db019d67", issuer=issuer) as pool:
        pool.add_user("ada", email="ada@example.com")
        config = AmplifyConfig(
            user_pool_id="us-east-1_db019d67",
            client_id="local-client",
            endpoint_url=pool.url,
            issuer=issuer,
        )
        engine = Engine(config)
        cookie = f"amplify-session={pool.sign_in('ada').access_token}"
        assert name_of(shell, engine, cookie) == "ada ada@example.com"
        assert pool.requests == ["jwks", "GetUser"]
        engine.close()


def test_another_issuers_tokens_still_do_not_count(shell: Shell) -> None:
    with LocalUserPool(issuer=ISSUERS[0]) as pool:
        pool.add_user("ada")
        engine = Engine(pool.config())
        token = pool.mint("ada", issuer=ISSUERS[0] + "/")
        got = shell.send(
            shell.middleware(shell.app(lambda: "hello"), engine),
            Ask(cookies=f"amplify-session={token}"),
        )
        assert "amplify-session=;" in got.one("set-cookie")
        engine.close()


@needs_linux
def test_people_sign_in_at_an_emulator_of_a_compose_file(
    shell: Shell, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    home = elsewhere(pool)
    config = pool.config(
        endpoint_url=home,
        domain=home,
        refresh_api="oauth",
        allow_insecure_http=True,
        session=SealedSession(keys=KEYS[:1]),
        cookie=CookiePolicy(secure=False),
        routes=AuthRoutes(origin="http://web:8000"),
        protect=["/*"],
    )
    engine = Engine(config)
    app = shell.middleware(shell.app(lambda: shell.verbs.get_current_user().username), engine)
    same = {"Sec-Fetch-Site": "same-origin"}
    left = shell.send(app, Ask("/auth/sign-in", headers={**NAVIGATION, **same}))
    leaving = str(left.one("location"))
    assert leaving.startswith(f"{home}/oauth2/authorize?")
    back = pool.authorize(leaving.replace(home, pool.url), "ada")
    assert back.startswith("http://web:8000/auth/sign-in-callback?")
    attempt = left.one("set-cookie").partition(";")[0]
    callback, _, query = back.removeprefix("http://web:8000").partition("?")
    done = shell.send(app, Ask(callback, query=query, cookies=attempt, headers=same))
    assert hop_of(done) == "/"
    [session] = [line for line in done.all("set-cookie") if line.startswith("amplify-session=")]
    assert shell.send(app, Ask(cookies=session.partition(";")[0])).body == "ada"
    [warning] = warnings(caplog)
    assert warning.startswith(
        f"allow_insecure_http: tokens and codes go over plain http to {home},"
    )
    engine.close()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


POOL: dict[str, Any] = {"user_pool_id": "eu-west-1_Ab12Cd34E", "client_id": "web"}
EMULATOR = POOL | {"endpoint_url": "http://cognito:9229", "allow_insecure_http": True}


def test_plain_http_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    first = Engine(AmplifyConfig(**EMULATOR))
    for config in (
        AmplifyConfig(**EMULATOR, leeway=1),
        AmplifyConfig(pools=[UserPool(**EMULATOR)]),
    ):
        Engine(config).close()
    first.close()
    assert warnings(caplog) == [
        "allow_insecure_http: tokens and codes go over plain http to http://cognito:9229; that is "
        "for emulators and tests, never for people's accounts. Write https:// addresses, and leave "
        "allow_insecure_http out"
    ]


@pytest.mark.parametrize(
    "options",
    [
        POOL,
        POOL | {"allow_insecure_http": True},
        POOL | {"endpoint_url": "http://localhost:4566", "issuer": ISSUERS[0]},
    ],
    ids=str,
)
def test_what_is_not_in_the_clear_is_not_warned_about(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    Engine(AmplifyConfig(**options)).close()
    assert warnings(caplog) == []


@pytest.mark.parametrize("named", ["routes", "origins"])
def test_a_local_pool_behind_a_site_for_people_is_warned_about(
    named: str, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    site = "https://app.example.com"
    given: dict[str, Any] = {"routes": AuthRoutes(origin=site, keys=KEYS[:1]), "origins": [site]}
    for protect in ((), ("/a",)):
        Engine(pool.config(**{named: given[named]}, protect=protect)).close()
    [warning] = warnings(caplog)
    assert warning.startswith(
        f"the user pool at {pool.url}/ is on this machine, as a LocalUserPool"
    )
    assert site in warning


@pytest.mark.parametrize(
    "origin", ["http://localhost:8000", "https://localhost:8000", "https://app.localhost"]
)
def test_a_local_pool_of_a_local_site_is_not(
    origin: str, pool: LocalUserPool, caplog: pytest.LogCaptureFixture
) -> None:
    Engine(pool.config(routes=AuthRoutes(origin=origin, keys=KEYS[:1]))).close()
    Engine(pool.config(origins=["capacitor://localhost"])).close()
    Engine(pool.config()).close()
    assert warnings(caplog) == []


def test_such_a_configuration_is_a_value() -> None:
    config = AmplifyConfig(**EMULATOR, origins=["tauri://localhost"])
    for other in (config.replace(), copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert other == config
        assert other.user_pools[0].allow_insecure_http
