"""Tokens of somebody else's pool, through both shells: one answer, and nobody else is asked.

There are three pools on this machine: the site's, another on Amazon's host, and one of an attacker
that has the id of the site's. Tokens name them in every place that a careless reader would follow.
"""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest

from amplify_mw import AmplifyConfig, TokenSession
from amplify_mw.cognito.keys import RETRY_PAUSE
from amplify_mw.engine.engine import Engine
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.pool import Body, Down, Redirect, Status
from tests.shells import Ask, Got, Shell
from tests.sites import NAME, Build, Clock, Site, outcome, town

POOL_ID, OTHER_ID = "eu-west-1_Ab12Cd34E", "eu-west-1_Other0001"
HOSTS = {
    "original": "https://cognito-idp.eu-west-1.amazonaws.com",
    "updated": "https://issuer-cognito-idp.eu-west-1.amazonaws.com",
}


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    return HOSTS[request.param]


@pytest.fixture
def pool_options(host: str) -> dict[str, Any]:
    return {"user_pool_id": POOL_ID, "issuer": f"{host}/{POOL_ID}"}


@pytest.fixture
def other(clock: Clock, host: str) -> Iterator[LocalUserPool]:
    with town(clock, user_pool_id=OTHER_ID, issuer=f"{host}/{OTHER_ID}") as other:
        other.rotate_keys(keep_old=False)  # (new pools in one process have one key)
        yield other


@pytest.fixture
def evil(clock: Clock) -> Iterator[LocalUserPool]:
    with town(clock, user_pool_id=POOL_ID) as evil:
        evil.rotate_keys(keep_old=False)
        yield evil


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses to which this process connects."""
    reached: list[Any] = []
    connect = socket.socket.connect

    def noted(self: socket.socket, address: Any) -> None:
        reached.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    return reached


@dataclass(frozen=True)
class World:
    """The site, and the three pools."""

    site: Site
    host: str
    ours: LocalUserPool
    other: LocalUserPool
    evil: LocalUserPool

    def minted(self, by: LocalUserPool, issuer: str, **header: Any) -> str:
        """A token that a pool has signed a minute ago."""
        then = self.site.clock() - 60
        return by.mint("ada", issuer=issuer, issued_at=then, header=header)

    @property
    def kid(self) -> str:
        """The id of our key."""
        kid: str = self.ours.jwks()["keys"][0]["kid"]
        return kid

    def at_evil(self, name: str) -> str:
        return f"{self.evil.url}/{POOL_ID}/.well-known/jwks.json?{name}"


@pytest.fixture(params=["one Region", "two Regions"])
def world(
    build: Build,
    host: str,
    pool: LocalUserPool,
    other: LocalUserPool,
    evil: LocalUserPool,
    request: pytest.FixtureRequest,
) -> World:
    home = {"issuer": f"{host}/{POOL_ID}", "keys": None}
    if request.param == "two Regions":
        pool.replica("us-west-2")
    site = build(TokenSession(), protect=["/account"], **home)
    return World(site, host, pool, other, evil)


def ours(world: World) -> set[tuple[str, int]]:
    """The addresses of the pool, in all its Regions."""
    urls = world.site.config.user_pools[0].api_urls
    return {("127.0.0.1", urlsplit(url).port or 0) for url in urls}


def shown(site: Site, jwt: str) -> tuple[Got, Got]:
    """What a page of anybody's says to such a cookie, and a guarded one."""
    return site.browser({NAME: jwt}).does(), site.browser({NAME: jwt}).does(path="/account")


FOREIGN: dict[str, tuple[Callable[[World], str], str]] = {
    "the other pool's own": (
        lambda world: world.minted(world.other, f"{world.host}/{OTHER_ID}"),
        "wrong_issuer",
    ),
    "the other pool's, as ours": (
        lambda world: world.minted(world.other, f"{world.host}/{POOL_ID}"),
        "unknown_key",
    ),
    "the other pool's, as ours, with the id of our key": (
        lambda world: world.minted(world.other, f"{world.host}/{POOL_ID}", kid=world.kid),
        "bad_signature",
    ),
    "of a pool with our id elsewhere": (
        lambda world: world.minted(world.evil, f"{world.evil.url}/{POOL_ID}"),
        "wrong_issuer",
    ),
    "of a pool elsewhere, with our issuer in its path": (
        lambda world: world.minted(world.evil, f"{world.evil.url}/{world.host}/{POOL_ID}"),
        "wrong_issuer",
    ),
    "of a pool elsewhere, with our host as its user": (
        lambda world: world.minted(
            world.evil, f"{world.host}@{urlsplit(world.evil.url).netloc}/{POOL_ID}"
        ),
        "wrong_issuer",
    ),
    "of a Region that does not exist": (
        lambda world: world.minted(
            world.evil, f"{world.host}/{POOL_ID}".replace("eu-west-1.", "xx-nowhere-9.")
        ),
        "wrong_issuer",
    ),
    "of a Region without a replica": (
        lambda world: world.minted(
            world.ours, f"{world.host}/{POOL_ID}".replace("eu-west-1.", "ap-south-1.")
        ),
        "wrong_issuer",
    ),
    "with a key set at jku": (
        lambda world: world.minted(
            world.evil, f"{world.host}/{POOL_ID}", kid=world.kid, jku=world.at_evil("jku")
        ),
        "bad_signature",
    ),
    "with a key set at jku, of an unknown key": (
        lambda world: world.minted(world.evil, f"{world.host}/{POOL_ID}", jku=world.at_evil("jku")),
        "unknown_key",
    ),
    "with a certificate at x5u": (
        lambda world: world.minted(
            world.evil, f"{world.host}/{POOL_ID}", kid=world.kid, x5u=world.at_evil("x5u")
        ),
        "bad_signature",
    ),
    "with a key as jwk": (
        lambda world: world.minted(
            world.evil, f"{world.host}/{POOL_ID}", kid=world.kid, jwk=world.evil.jwks()["keys"][0]
        ),
        "bad_signature",
    ),
    "with an address as kid": (
        lambda world: world.minted(world.evil, f"{world.host}/{POOL_ID}", kid=world.at_evil("kid")),
        "unknown_key",
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_token_is_nobodys_and_nothing_that_it_names_is_asked(
    world: World, reached: list[Any], name: str
) -> None:
    make, reason = FOREIGN[name]
    jwt = make(world)
    page, guarded = shown(world.site, jwt)
    assert (page.status, page.body) == (200, f"NotAuthorizedException {reason}")
    assert (guarded.status, page.clears_cookie, guarded.clears_cookie) == (401, True, True)
    assert set(reached) <= ours(world)
    assert (world.other.requests, world.evil.requests) == ([], [])


def test_of_two_pools_of_a_site_each_vouches_for_its_own_alone(
    shell: Shell, pool: LocalUserPool, other: LocalUserPool, clock: Clock
) -> None:
    both = (pool, other)
    pools = [each.config().user_pools[0] for each in both]
    engine = Engine(AmplifyConfig(pools=pools), clock)
    app = shell.middleware(
        shell.app(lambda: outcome(lambda: shell.verbs.get_current_user().username)), engine
    )
    for signer, named in product(both, both):
        jwt = signer.mint("ada", issuer=named.issuer, issued_at=clock() - 60)
        answer = "ada" if signer is named else "NotAuthorizedException unknown_key"
        assert shell.send(app, Ask(cookie=jwt)).body == answer
    engine.close()


# --- key sets that are none

HTML = b"<!doctype html><title>Sign in</title><p>Sign in to the hotel's network."
NO_KEY_SETS: dict[str, Callable[[World], Any]] = {
    "a login page": lambda _: Body(HTML, "text/html"),
    "a login page that says it is JSON": lambda _: Body(HTML),
    "a way to a login page": lambda world: Redirect(world.at_evil("redirect")),
    "a refusal": lambda _: Status(403, b"<Error>Forbidden</Error>"),
    "nothing": lambda _: Down(),
}


@pytest.mark.parametrize("name", NO_KEY_SETS)
def test_a_key_set_that_is_none_is_an_outage_and_clears_nothing(
    world: World, reached: list[Any], name: str
) -> None:
    jwt = world.minted(world.ours, f"{world.host}/{POOL_ID}")
    is_alone = len(ours(world)) == 1
    with world.ours.fault("jwks", NO_KEY_SETS[name](world)):
        page, guarded = shown(world.site, jwt)
    assert (page.status, guarded.status) == (200, 503 if is_alone else 200)
    assert page.body == ("NetworkError keys_unavailable" if is_alone else "ada")
    assert (guarded.one("retry-after") is not None) is is_alone
    assert page.all("set-cookie") == guarded.all("set-cookie") == []
    assert set(reached) == ours(world)
    assert world.evil.requests == []
    world.site.clock.advance(RETRY_PAUSE)
    assert shown(world.site, jwt)[0].body == "ada"


# --- a Region in the configuration that does not exist


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address that nobody listens at, and that nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_region_that_does_not_exist_is_in_nobodys_way(
    build: Build, host: str, pool: LocalUserPool, nowhere: str, clock: Clock
) -> None:
    regions = {"xx-nowhere-9": nowhere}
    site = build(TokenSession(), keys=None, protect=["/account"], regions=regions)
    issuer = f"{host}/{POOL_ID}"
    there = f"{HOSTS['original']}/{POOL_ID}".replace("eu-west-1.", "xx-nowhere-9.")
    for named in (issuer, there):
        page, guarded = shown(site, pool.mint("ada", issuer=named, issued_at=clock() - 60))
        assert (page.body, guarded.status) == ("ada", 200)
    forged = pool.mint("ada", issuer=there, key="unknown", issued_at=clock() - 60)
    page, guarded = shown(site, forged)
    assert (page.status, guarded.status) == (200, 503)  # its own key set cannot be asked
    assert page.body == "NetworkError keys_unavailable"


def test_with_nothing_else_left_a_region_that_does_not_exist_is_an_outage(
    build: Build, host: str, pool: LocalUserPool, nowhere: str
) -> None:
    regions = {"xx-nowhere-9": nowhere}
    site = build(TokenSession(), keys=None, protect=["/account"], regions=regions)
    with pool.fault("jwks", Down()):
        page, guarded = shown(site, pool.mint("ada", issuer=f"{host}/{POOL_ID}"))
    assert (page.status, page.body) == (200, "NetworkError keys_unavailable")
    assert guarded.status == 503
    assert page.all("set-cookie") == guarded.all("set-cookie") == []
