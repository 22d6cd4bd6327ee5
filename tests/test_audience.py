"""Access tokens that are bound to an API: `aud`, wherever they come from."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    AuthRoutes,
    ConfigurationError,
    SealedSession,
)
from amplify_mw.cognito.verifier import is_for
from amplify_mw.engine.engine import Engine, Registry
from amplify_mw.testing import LocalUserPool
from tests.shells import Ask, Shell
from tests.sites import Build, Clock, town
from tests.test_bearer import Api, who
from tests.test_machines import machine_token, outcome, principal

ORDERS, STOCK = "https://orders.example.com", "https://stock.example.com"
Make = Callable[..., Api]


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool() as pool:
        pool.add_user("ada")
        yield pool


@pytest.fixture
def api(shell: Shell, pool: LocalUserPool) -> Make:
    def api(handler: Any = who, **options: Any) -> Api:
        return Api(shell, pool, handler, **{"audience": ORDERS, **options})

    return api


NAMES: list[tuple[Any, bool]] = [
    (ORDERS, True),
    ([ORDERS], True),
    ([STOCK, ORDERS], True),
    ([7, None, ORDERS], True),
    (STOCK, False),
    ([STOCK], False),
    (ORDERS + "/", False),
    (ORDERS.upper(), False),
    ("", False),
    ([], False),
    ([[ORDERS]], False),
    ({ORDERS: 1}, False),
    (7, False),
    (None, False),
]


@pytest.mark.parametrize(("aud", "is_for"), NAMES)
def test_a_token_has_to_name_this_api(api: Make, aud: Any, is_for: bool) -> None:
    site = api()
    expected = "ada" if is_for else "wrong_audience"
    token = site.token(claims={"aud": aud})
    assert site.ask(f"Bearer {token}").body == expected
    got = site.ask(cookie=token)
    assert (got.body, got.clears_cookie) == (expected, not is_for)
    machine = machine_token(site.pool, aud=aud)
    said = api(lambda: outcome(principal)).ask(f"Bearer {machine}").body
    assert said.startswith("machine ") is is_for


@pytest.mark.parametrize("aud", [name for name, _ in NAMES])
def test_without_the_option_it_is_not_looked_at(api: Make, aud: Any) -> None:
    site = api(audience=())
    assert site.ask("Bearer " + site.token(claims={"aud": aud})).body == "ada"


def test_several_names_are_as_good_as_one(api: Make) -> None:
    site = api(audience=[ORDERS, STOCK])
    for aud in (ORDERS, STOCK):
        assert site.ask("Bearer " + site.token(claims={"aud": aud})).body == "ada"


def test_an_id_token_names_the_app_client(api: Make) -> None:
    site = api()
    assert site.ask(cookie=site.pool.mint("ada")).body == "ada"


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_other_claim_is_for_it(aud: Any) -> None:
    assert not is_for(aud, frozenset({ORDERS}))


@pytest.mark.parametrize("kind", ["sealed", "memory"])
def test_a_session_starts_with_bound_tokens_alone(build: Build, kind: str, clock: Clock) -> None:
    with town(clock) as pool:
        site = build(kind, pool=pool, audience=ORDERS)
        got = site.browser().does(site.start(pool.sign_in("ada")))
        assert got.body == "NotAuthorizedException wrong_audience"
        with pool.tamper("access", claims={"aud": ORDERS}):
            browser = site.sign_in()
            assert browser.does().body == "ada"


@pytest.mark.parametrize("kind", ["sealed", "memory"])
def test_a_refreshed_token_of_another_api_ends_no_session(
    build: Build, kind: str, clock: Clock
) -> None:
    with town(clock) as pool:
        site = build(kind, pool=pool, audience=ORDERS)
        with pool.tamper("access", claims={"aud": ORDERS}):
            browser = site.sign_in()
        clock.advance(3700)
        got = browser.does()
        assert got.body == "NetworkError wrong_audience"
        assert not got.clears_cookie
        with pool.tamper("access", claims={"aud": ORDERS}):
            clock.advance(600)
            assert browser.does().body == "ada"


def test_a_user_signs_out_here_whose_tokens_another_middleware_has_refreshed(
    shell: Shell, clock: Clock
) -> None:
    with town(clock) as pool:
        registry = Registry(clock)
        options: dict[str, Any] = {"session": AmplifyCookies(), "keys": pool.jwks()}
        site, orders = (
            Engine(pool.config(audience=audience, **options), registry=registry)
            for audience in ((), ORDERS)
        )
        prefix, access = "CognitoIdentityServiceProvider.local-client", {"aud": ORDERS}
        tokens = {
            "accessToken": pool.mint("ada", "access", claims=access),
            "idToken": pool.mint("ada"),
            "refreshToken": pool.sign_in("ada").refresh_token,
        }
        pairs = [f"{prefix}.ada.{name}={value}" for name, value in tokens.items()]
        ask = Ask(cookies="; ".join([f"{prefix}.LastAuthUser=ada", *pairs]))

        def ask_at(engine: Engine, handler: Any) -> str:
            return shell.send(shell.middleware(shell.app(handler), engine), ask).body

        clock.advance(3700)
        assert ask_at(site, who) == "ada"  # with refreshed tokens, which do not name this API
        assert ask_at(orders, lambda: shell.verbs.end_session() or "out") == "out"
        assert ask_at(site, who) == "session_revoked"
        site.close()
        orders.close()


@pytest.mark.parametrize("value", [None, 7, [""], [7], "two words", ["a\nb"], {ORDERS}, b"a"])
def test_a_name_is_text_without_spaces(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="audience"):
        AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web", audience=value)


class TestResource:
    @pytest.mark.parametrize(
        "value", ["orders", "https://a.example/#b", "//a", 7, "", "https:// a"]
    )
    def test_it_is_an_absolute_address(self, value: Any) -> None:
        with pytest.raises(ConfigurationError, match="resource"):
            AuthRoutes(origin="https://app.example.com", resource=value)

    @pytest.mark.parametrize("value", [ORDERS, "http://localhost:8000/api?a=b", "myapp://orders"])
    def test_cognitos_forms_are_taken(self, value: str) -> None:
        assert AuthRoutes(origin="https://app.example.com", resource=value).resource == value

    @pytest.mark.parametrize("resource", [None, STOCK])
    def test_routes_ask_for_what_counts(self, resource: str | None) -> None:
        with pytest.raises(ConfigurationError, match=f"resource='{ORDERS}'"):
            AmplifyConfig(
                user_pool_id="eu-west-1_Ab12Cd34E",
                client_id="web",
                domain="auth.example.com",
                session=SealedSession(keys=["A" * 43]),
                audience=ORDERS,
                routes=AuthRoutes(origin="https://app.example.com", resource=resource),
            )
