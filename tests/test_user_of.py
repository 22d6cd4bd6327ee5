"""`user_of`: a request's headers as a user, where no context reaches; and what it never does."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from django.http.request import HttpHeaders
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from werkzeug.datastructures import EnvironHeaders

from amplify_mw import (
    AuthError,
    AuthUser,
    BlockingCallError,
    ConfigurationError,
    aio,
    carry,
    events,
    user_of,
)
from amplify_mw.engine.engine import Engine
from amplify_mw.testing import Down, LocalUserPool, signed_in, signed_in_machine
from tests.shells import WSGIShell
from tests.sites import HOUR, KINDS, LASTING, NAME, STORED, Browser, Build, Clock, Site, town
from tests.test_machines import machine_token

REFRESH = "GetTokensFromRefreshToken"
ROTATING = {"rotate_refresh_tokens": True, "rotation_grace": 0}
Way = Callable[[Any, Any], AuthUser]


def awaited(headers: Any, config: Any) -> AuthUser:
    async def ask() -> AuthUser:
        return await aio.user_of(headers, config)

    return asyncio.run(ask())


@pytest.fixture(params=[user_of, awaited], ids=["blocking", "awaited"])
def way(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


@pytest.fixture
def shell() -> WSGIShell:
    return WSGIShell()


@pytest.fixture
def pool_options() -> dict[str, Any]:
    return ROTATING


@pytest.fixture
def site(build: Build) -> Site:
    return build("token")


def said(way: Way, site: Site, headers: Any) -> str:
    """The user, or the error and its reason."""
    try:
        return way(headers, site.engine).username
    except AuthError as error:
        return f"{type(error).__name__} {error.reason}"


def of(browser: Browser) -> dict[str, str]:
    return {"cookie": browser.header}


# --- the user


@pytest.mark.parametrize("kind", [*KINDS, "amplify"])
def test_the_headers_of_a_request_are_its_user(build: Build, kind: str, way: Way) -> None:
    site = build(kind)
    browser = site.sign_in()
    assert way(of(browser), site.engine) == way(of(browser), site.engine)
    assert said(way, site, of(browser)) == "ada"
    assert said(way, site, {}) == "NotAuthorizedException no_session"
    assert said(way, site, {"Cookie": "theme=dark"}) == "NotAuthorizedException no_session"
    duplicate = f"{browser.header}; {NAME}=another"
    if kind != "amplify":
        assert said(way, site, {"Cookie": duplicate}) == "NotAuthorizedException duplicate_cookie"


def test_an_invalid_cookie_is_refused_with_its_reason(site: Site, way: Way) -> None:
    ada = site.sign_in().value
    assert said(way, site, {"Cookie": f"{NAME}=junk"}).endswith("malformed_token")
    assert said(way, site, {"Cookie": f"{NAME}={ada[:-4]}AAAA"}).endswith("bad_signature")
    site.clock.advance(2 * HOUR)
    assert said(way, site, {"Cookie": f"{NAME}={ada}"}) == "TokenExpiredException token_expired"


def test_it_shares_what_the_middleware_knows(site: Site, way: Way) -> None:
    browser = site.sign_in()
    browser.does()
    verdicts: Any = site.engine.authenticator.verdicts
    known = verdicts.get(browser.value.encode())
    assert way(of(browser), site.engine) is known.user


def test_nobody_in_the_process_needs_a_middleware_for_its_caches(pool: LocalUserPool) -> None:
    config = pool.config()
    headers = {"Cookie": f"{NAME}={pool.mint('ada')}"}
    for _ in range(3):
        assert user_of(headers, config).username == "ada"
    fetched = [request for request in pool.requests if "jwks" in str(request)]
    assert len(fetched) == 1
    Engine.of(config).close()


def test_an_outage_keeps_the_session_and_says_so(build: Build, way: Way) -> None:
    site = build("token", keys=None)
    headers = {"Cookie": f"{NAME}={site.pool.mint('ada')}"}
    with site.pool.fault("jwks", Down()):
        assert said(way, site, headers) == "NetworkError keys_unavailable"


# --- sessions whose tokens are due


@pytest.mark.parametrize("kind", STORED)
def test_a_stored_session_is_refreshed_once_for_all(build: Build, kind: str, way: Way) -> None:
    site = build(kind)
    browser = site.sign_in()
    site.clock.advance(2 * HOUR)
    site.pool.requests.clear()
    assert said(way, site, of(browser)) == said(way, site, of(browser)) == "ada"
    assert browser.does().body == "ada"
    assert site.pool.requests.count(REFRESH) == 1


@pytest.mark.parametrize("kind", STORED)
def test_requests_and_others_at_once_share_one_refresh(build: Build, kind: str, way: Way) -> None:
    """The refresh token is good once: a second refresh would end the session."""
    site = build(kind)
    browser = site.sign_in()
    site.clock.advance(2 * HOUR)
    site.pool.requests.clear()
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(said, way, site, of(browser)) for _ in range(4)]
        asked += [threads.submit(lambda: browser.copy().does().body) for _ in range(4)]
        assert {future.result() for future in asked} == {"ada"}
    assert site.pool.requests.count(REFRESH) == 1


@pytest.mark.parametrize("kind", ["sealed", "coordinated", "amplify"])
def test_tokens_in_a_cookie_are_never_refreshed(build: Build, kind: str, way: Way) -> None:
    site = build(kind)
    browser = site.sign_in()
    site.pool.requests.clear()
    site.clock.advance(HOUR - 2)  # due, and good
    assert said(way, site, of(browser)) == "ada"
    site.clock.advance(HOUR)
    assert said(way, site, of(browser)) == "TokenExpiredException token_expired"
    assert site.pool.requests.count(REFRESH) == 0
    assert browser.does().body == "ada"  # rotated once, by a response with the cookie
    assert site.pool.requests.count(REFRESH) == 1
    assert said(way, site, of(browser)) == "ada"


@pytest.mark.parametrize("kind", ["sealed", "coordinated", "amplify"])
def test_a_look_at_a_due_session_does_not_keep_the_next_request_from_it(
    build: Build, kind: str, way: Way
) -> None:
    site = build(kind)
    browser = site.sign_in()
    site.clock.advance(HOUR - 2)
    before = browser.header
    assert said(way, site, of(browser)) == "ada"
    assert browser.does().body == "ada"
    assert browser.header != before


@pytest.mark.parametrize("kind", ["sealed", "coordinated", "amplify"])
def test_an_older_cookie_goes_on_with_the_newer_tokens(build: Build, kind: str, way: Way) -> None:
    """A WebSocket's handshake keeps its cookies while other requests get newer ones."""
    site = build(kind)
    browser = site.sign_in()
    old = of(browser.copy())
    site.clock.advance(HOUR + 60)
    assert browser.does().body == "ada"
    assert said(way, site, old) == "ada"
    late = site.browser(dict(part.split("=", 1) for part in old["cookie"].split("; ")))
    assert late.does().body == "ada"
    assert late.header == browser.header  # a request with the old cookie still gets the new one


@pytest.mark.parametrize("kind", ["sealed", "amplify"])
def test_tokens_without_a_refresh_token_expire_for_good(build: Build, kind: str, way: Way) -> None:
    site = build(kind)
    tokens = site.pool.sign_in("ada")
    browser = site.browser()
    given = {"id_token": tokens.id_token, "access_token": tokens.access_token}
    browser.does(lambda: site.verbs.start_session(given))
    site.clock.advance(2 * HOUR)
    assert said(way, site, of(browser)) == "TokenExpiredException token_expired"


@pytest.mark.parametrize("kind", LASTING)
def test_an_ended_session_is_refused(build: Build, kind: str, way: Way) -> None:
    site = build(kind)
    browser = site.sign_in()
    thief = of(browser.copy())
    browser.does(site.end())
    assert said(way, site, thief).startswith("NotAuthorizedException")


def test_a_session_that_is_not_used_expires(build: Build, way: Way) -> None:
    site = build("sealed", session={"idle": 2 * HOUR})
    browser = site.sign_in()
    site.clock.advance(2 * HOUR)
    assert said(way, site, of(browser)) == "TokenExpiredException session_expired"


@pytest.mark.parametrize(
    "kinds", [("sealed", "token"), ("amplify", "sealed"), ("sealed", "amplify")]
)
def test_several_kinds_are_looked_at_in_their_order(
    build: Build, kinds: tuple[str, ...], way: Way
) -> None:
    site = build(*kinds)
    browser = site.sign_in()
    assert said(way, site, of(browser)) == "ada"
    site.pool.requests.clear()
    site.clock.advance(2 * HOUR)
    assert said(way, site, of(browser)) == "TokenExpiredException token_expired"
    assert site.pool.requests.count(REFRESH) == 0
    assert browser.does().body == "ada"


def test_two_users_in_two_kinds_are_nobody(build: Build, way: Way) -> None:
    site = build("amplify", "sealed")
    jar = site.sign_in("grace").jar
    sealed = build("sealed").sign_in().jar
    both = site.browser({**jar, **sealed})
    assert said(way, site, of(both)) == "NotAuthorizedException different_users"


def test_cognito_is_asked_where_it_is_configured(build: Build, way: Way) -> None:
    site = build("memory", session={"verify_with_cognito_every": 60})
    browser = site.sign_in()
    assert said(way, site, of(browser)) == "ada"
    site.pool.disable_user("ada")
    site.clock.advance(61)
    assert said(way, site, of(browser)).startswith("NotAuthorizedException")


# --- Bearer


def test_a_bearer_token_comes_first(build: Build, way: Way) -> None:
    site = build("token", bearer=True)
    grace = {"Authorization": f"Bearer {site.pool.mint('grace', 'access')}"}
    assert said(way, site, grace) == "grace"
    assert said(way, site, grace) == "grace"
    ada = site.sign_in()
    both = "InvalidRequestException different_credentials"
    assert said(way, site, {**grace, **of(ada)}) == both
    hers = {"Authorization": f"Bearer {site.pool.mint('ada', 'access')}"}
    assert said(way, site, {**hers, **of(ada)}) == "ada"
    assert said(way, site, {"Authorization": "Bearer a b"}).endswith("malformed_header")
    assert said(way, site, {"Authorization": "Basic YTpi", **of(ada)}) == "ada"


def test_a_header_is_not_read_where_it_does_not_count(site: Site, way: Way) -> None:
    headers = {"Authorization": f"Bearer {site.pool.mint('ada', 'access')}"}
    assert said(way, site, headers) == "NotAuthorizedException no_session"


def test_a_machine_is_no_user(build: Build, way: Way) -> None:
    site = build("token", bearer=True)
    headers = {"Authorization": f"Bearer {machine_token(site.pool)}"}
    for _ in range(2):
        assert said(way, site, headers) == "NotAuthorizedException not_a_person"


# --- events


def test_a_refusal_is_an_event_without_a_request(build: Build, way: Way) -> None:
    heard: list[events.Event] = []
    site = build("token", on_event=heard.append)
    assert said(way, site, {"Cookie": f"{NAME}=junk"}).endswith("malformed_token")
    (event,) = heard
    assert isinstance(event, events.Refused)
    assert (event.reason, event.at, event.session) == ("malformed_token", "cookie", "token")
    assert (event.method, event.path) == (None, None)
    said(way, site, {})
    assert heard == [event]  # nobody is no event


def test_a_token_of_another_pool_is_a_notice(build: Build, way: Way) -> None:
    heard: list[events.Event] = []
    site = build("token", on_event=heard.append)
    with LocalUserPool(clock=site.clock) as other:
        other.add_user("ada")
        assert said(way, site, {"Cookie": f"{NAME}={other.mint('ada')}"}).endswith("wrong_issuer")
    (notice,) = [event for event in heard if isinstance(event, events.Notice)]
    assert "(user_of)" in notice.text


# --- where it runs


def test_it_refuses_to_stop_an_event_loop(site: Site) -> None:
    async def ask() -> None:
        with pytest.raises(BlockingCallError, match=r"amplify_mw\.aio import user_of"):
            user_of({}, site.config)

    asyncio.run(ask())


def test_it_needs_no_context(site: Site) -> None:
    browser, found = site.sign_in(), []
    thread = threading.Thread(target=lambda: found.append(user_of(of(browser), site.engine)))
    thread.start()
    thread.join()
    assert [user.username for user in found] == ["ada"]


def test_a_tests_user_wins(site: Site, way: Way) -> None:
    with signed_in("bob"):
        assert said(way, site, of(site.sign_in())) == said(way, site, {}) == "bob"
    with signed_in_machine("job"):
        assert said(way, site, {}) == "NotAuthorizedException not_a_person"


def test_a_test_that_is_over_has_no_say(site: Site) -> None:
    with signed_in("bob"):
        context = copy_context()
    assert context.run(said, user_of, site, of(site.sign_in())) == "ada"


def test_a_tests_user_wins_in_a_carried_call_too(site: Site, way: Way) -> None:
    with signed_in("bob"):
        carried = carry(said)
    assert carried(way, site, of(site.sign_in())) == "bob"


def test_a_request_around_it_has_no_say(site: Site) -> None:
    ada, grace = site.sign_in(), of(site.sign_in("grace"))
    assert ada.does(lambda: user_of(grace, site.engine).username, site.who).body == "grace, ada"


def test_a_configuration_that_is_none_says_what_to_write() -> None:
    with pytest.raises(ConfigurationError, match="config: write AmplifyConfig"):
        user_of({}, {"user_pool_id": "a"})  # type: ignore[arg-type]


# --- spellings of headers


def spellings(cookie: str) -> list[Any]:
    environ = {"HTTP_COOKIE": cookie, "SERVER_NAME": "a"}
    return [
        {"Cookie": cookie},
        {"COOKIE": cookie, "Accept": "*/*"},
        {b"cookie": cookie.encode()},
        {"cookie": [cookie]},
        {"cookie": (cookie.encode(),)},
        [("cookie", "theme=dark"), ("Cookie", cookie)],
        ((b"cookie", cookie.encode()), (b"accept", b"*/*")),
        iter([("Cookie", cookie)]),
        Headers(raw=[(b"cookie", b"theme=dark"), (b"cookie", cookie.encode())]),
        EnvironHeaders(environ),
        HttpHeaders(environ),
    ]


@pytest.mark.parametrize("index", range(len(spellings(""))))
def test_headers_come_as_frameworks_have_them(site: Site, way: Way, index: int) -> None:
    cookie = site.sign_in().header
    assert said(way, site, spellings(cookie)[index]) == "ada"


def test_a_header_that_was_looked_up_may_be_missing(site: Site, way: Way) -> None:
    headers = {"Cookie": None, "Authorization": None}
    assert said(way, site, headers) == "NotAuthorizedException no_session"


def test_a_session_in_two_fields_is_two_cookies(site: Site, way: Way) -> None:
    header = site.sign_in().header
    assert said(way, site, [("cookie", header), ("cookie", header)]) == "ada"
    twice = [("cookie", header), ("Cookie", f"{NAME}=other")]
    assert said(way, site, twice) == "NotAuthorizedException duplicate_cookie"


class Request:
    def __init__(self) -> None:
        self.headers = {"Cookie": ""}
        self.items = "no method"


class Attributes:
    """Headers as attributes, as Gradio has them: a client's header may hide a method."""

    def __init__(self, headers: dict[str, str]) -> None:
        vars(self).update(headers)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(vars(self).items())

    def items(self) -> Any:
        return vars(self).items()

    def get(self, name: str) -> Any:
        return vars(self).get(name)


@pytest.mark.parametrize("more", [{}, {"items": "a"}, {"get": "a"}, {"items": "a", "get": "b"}])
def test_a_header_may_be_called_as_a_method_is(site: Site, way: Way, more: dict[str, str]) -> None:
    assert said(way, site, Attributes({**of(site.sign_in()), **more})) == "ada"


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (None, "request.headers"),
        ("amplify-session=a", "request.headers"),
        (b"amplify-session=a", "request.headers"),
        (Request(), "a Request"),
        ([("cookie",)], "pairs"),
        (["cookie"], "pairs"),
        ([1], "pairs"),
        ({1: "a"}, "a int"),
        ({"Cookie": 1}, "a int"),
        ({"Cookie": {"amplify-session": "a"}}, "a dict"),
        ({"cookie": ["a", 1]}, "a list"),
        ({"type": "http", "asgi": {"version": "3.0"}, "headers": []}, "scope"),
        ({"wsgi.input": open, "HTTP_COOKIE": "a"}, None),
    ],
)
def test_what_is_no_headers_is_a_type_error(site: Site, way: Way, given: Any, word: Any) -> None:
    if word is None:
        import io

        given, word = {**given, "wsgi.input": io.BytesIO()}, "environ"
    with pytest.raises(TypeError, match=word):
        way(given, site.engine)


TEXT = st.text() | st.binary() | st.sampled_from([f"{NAME}=a", "Bearer a.b.c", "\ud800", "\udcff"])
VALUES = TEXT | st.none() | st.lists(TEXT, max_size=3)
NAMES = st.sampled_from(["Cookie", b"cookie", "authorization", "wsgi.input", "asgi"]) | TEXT


@pytest.fixture(scope="module")
def engine() -> Any:
    clock = Clock()
    with town(clock) as pool:
        yield Engine(pool.config(bearer=True, keys=pool.jwks()), clock=clock)


@given(st.dictionaries(NAMES, VALUES, max_size=5) | st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_what_a_client_sends_raises_nothing_else(engine: Engine, headers: Any) -> None:
    with pytest.raises(AuthError):
        user_of(headers, engine)  # type: ignore[arg-type]
