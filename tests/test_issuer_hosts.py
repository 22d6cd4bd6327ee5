"""The hosts of a pool's key sets: each is asked when a token names its issuer, and no other is.

The hosts are Amazon's; in place of the network there is a table of their answers.
"""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from amplify_mw.cognito.keys import RETRY_PAUSE
from amplify_mw.effects import Request, Response, Unreachable
from amplify_mw.engine.http import HttpClient
from amplify_mw.testing import LocalUserPool
from tests.shells import Got
from tests.sites import HOUR, NAME, Browser, Build, Clock, Site, town

POOL_ID = "us-east-1_Ab12Cd34E"
ORIGINAL = f"https://cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
UPDATED = f"https://issuer-cognito-idp.us-east-1.amazonaws.com/{POOL_ID}"
IN_WEST = f"https://cognito-idp.us-west-2.amazonaws.com/{POOL_ID}"
FORBIDDEN = Response(403, {}, b'{"message":"Forbidden"}')  # for a pool that has not switched
REAL = HttpClient.send
KEPT = "NetworkError keys_unavailable"


class Internet:
    """The answers of hosts, by the issuer whose key set they are asked for; others are down."""

    def __init__(self, pool: LocalUserPool) -> None:
        self.keys = Response(200, {}, json.dumps(pool.jwks()).encode())
        self.answers: dict[str, Response] = {}
        self.asked: list[str] = []

    def send(self, client: HttpClient, request: Request) -> Response:
        if (
            f".amazonaws.com/{POOL_ID}/" not in request.url
        ):  # of a test before, whose site has not ended yet
            return REAL(client, request)
        issuer = request.url.removesuffix("/.well-known/jwks.json")
        self.asked.append(issuer)
        if issuer not in self.answers:
            raise Unreachable("the host is down")
        return self.answers[issuer]


@pytest.fixture
def pool_options() -> dict[str, Any]:
    return {"user_pool_id": POOL_ID, "issuer": ORIGINAL}


@pytest.fixture
def internet(pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch) -> Internet:
    internet = Internet(pool)
    monkeypatch.setattr(HttpClient, "send", lambda *asked: internet.send(*asked))
    return internet


@pytest.fixture
def site(build: Build, internet: Internet) -> Site:  # it comes first
    return amazons(build)


def amazons(build: Build, **options: Any) -> Site:
    """A site whose pool is at Amazon's hosts."""
    at = {"endpoint_url": None, "issuer": None, "keys": None, "protect": ["/account"]}
    return build("token", **{**at, **options})


def with_token(site: Site, issuer: str, **options: Any) -> Browser:
    issued_at = site.clock() - 60
    return site.browser(
        {NAME: site.pool.mint("ada", issuer=issuer, issued_at=issued_at, **options)}
    )


def is_kept(browser: Browser) -> bool:
    """Whether a token cannot be checked now, and stays."""
    page: Got = browser.does()
    guarded: Got = browser.does(path="/account")
    assert (page.status, page.body, guarded.status) == (200, KEPT, 503)
    return page.all("set-cookie") == guarded.all("set-cookie") == []


def test_nothing_is_fetched_before_a_token_names_its_issuer(site: Site, internet: Internet) -> None:
    assert site.browser().does().body == "NotAuthorizedException no_session"
    assert with_token(site, f"{UPDATED}/").does().body == "NotAuthorizedException wrong_issuer"
    assert with_token(site, IN_WEST).does().body == "NotAuthorizedException wrong_issuer"
    assert internet.asked == []


@pytest.mark.parametrize(("named", "other"), [(ORIGINAL, UPDATED), (UPDATED, ORIGINAL)])
def test_a_host_that_refuses_breaks_no_token_of_the_other(
    site: Site, internet: Internet, named: str, other: str
) -> None:
    internet.answers = {named: internet.keys, other: FORBIDDEN}
    assert with_token(site, named).does().body == "ada"
    assert internet.asked == [named]


def test_tokens_of_a_pool_that_has_not_switched_go_on_whatever_is_sent(
    site: Site, internet: Internet, clock: Clock
) -> None:
    internet.answers = {ORIGINAL: internet.keys, UPDATED: FORBIDDEN}
    for junk in range(100):
        answer = with_token(site, UPDATED, header={"kid": f"made up {junk}"}).does()
        assert (answer.status, answer.body, answer.all("set-cookie")) == (200, KEPT, [])
        assert with_token(site, ORIGINAL).does().body == "ada"
        clock.advance(0.01)
    assert internet.asked.count(UPDATED) == 1
    assert len(internet.asked) <= 3


def test_where_every_host_refuses_tokens_are_kept(
    site: Site, internet: Internet, clock: Clock
) -> None:
    internet.answers = {ORIGINAL: FORBIDDEN, UPDATED: FORBIDDEN}
    browsers = [with_token(site, issuer) for issuer in (ORIGINAL, UPDATED)]
    assert all(map(is_kept, browsers))
    clock.advance(RETRY_PAUSE)
    internet.answers[ORIGINAL] = internet.answers[UPDATED] = internet.keys
    assert [browser.does().body for browser in browsers] == ["ada", "ada"]


def test_a_pool_that_switches_needs_its_new_host_alone(
    site: Site, internet: Internet, clock: Clock
) -> None:
    internet.answers = {ORIGINAL: internet.keys, UPDATED: FORBIDDEN}
    before = with_token(site, ORIGINAL)
    assert before.does().body == "ada"
    internet.answers = {UPDATED: internet.keys}
    assert with_token(site, UPDATED).does().body == "ada"
    assert before.does().body == "ada"
    clock.advance(HOUR - 120)  # its keys are in use while their host is down
    assert with_token(site, ORIGINAL).does().body == "ada"


def test_one_alone_may_count(build: Build, internet: Internet) -> None:
    internet.answers = {ORIGINAL: internet.keys, UPDATED: internet.keys}
    site = amazons(build, issuers="updated")
    assert with_token(site, ORIGINAL).does().body == "NotAuthorizedException wrong_issuer"
    assert internet.asked == []
    assert with_token(site, UPDATED).does().body == "ada"
    assert internet.asked == [UPDATED]


def test_a_replicas_tokens_have_its_own_key_set(build: Build, internet: Internet) -> None:
    internet.answers = {ORIGINAL: internet.keys, IN_WEST: internet.keys}
    site = amazons(build, regions=["us-west-2"])
    assert with_token(site, IN_WEST).does().body == "ada"
    assert internet.asked == [IN_WEST]


def test_preloaded_keys_are_those_of_every_issuer(
    build: Build, internet: Internet, pool: LocalUserPool
) -> None:
    site = amazons(build, keys=pool.jwks(), regions=["us-west-2"])
    for issuer in (ORIGINAL, UPDATED, IN_WEST):
        assert with_token(site, issuer).does().body == "ada"
    assert internet.asked == []


# --- a Region that does not exist


@pytest.fixture
def nowhere(clock: Clock) -> Iterator[LocalUserPool]:
    """A pool whose id was mistyped: its hosts have no address."""
    host = "https://cognito-idp.us-east-9.amazonaws.com"
    with town(
        clock, user_pool_id="us-east-9_Ab12Cd34E", issuer=f"{host}/us-east-9_Ab12Cd34E"
    ) as it:
        yield it


def test_a_region_that_does_not_exist_is_an_outage_and_clears_nothing(
    build: Build,
    nowhere: LocalUserPool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    looked_up: list[str] = []

    def look_up(host: str, *_: Any, **__: Any) -> list[Any]:
        looked_up.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    defaults: Any = HttpClient.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "resolve", look_up)
    site = amazons(build, pool=nowhere)
    assert is_kept(with_token(site, nowhere.issuer))
    assert is_kept(with_token(site, nowhere.issuer.replace("cognito-idp", "issuer-cognito-idp")))
    amazons_own = {
        f"{name}.us-east-9.amazonaws.com" for name in ("cognito-idp", "issuer-cognito-idp")
    }
    assert set(looked_up) == amazons_own
    assert "cognito-idp.us-east-9.amazonaws.com" in caplog.text
    assert "Name or service not known" in caplog.text


# --- a pool of the same id elsewhere


@pytest.mark.parametrize("kind", ["sealed", "memory", "sqlite"])
def test_a_session_of_a_pool_of_the_same_id_elsewhere_is_nobodys(
    build: Build, pool: LocalUserPool, clock: Clock, kind: str
) -> None:
    with town(clock, user_pool_id=POOL_ID) as emulator:
        for ours, theirs in ((pool, emulator), (emulator, pool)):
            site = build(kind, pool=ours)
            browser = site.sign_in()
            browser.site = build(site.session, pool=theirs)
            got = browser.does()
            assert (got.body, got.clears_cookie) == ("NotAuthorizedException wrong_issuer", True)
