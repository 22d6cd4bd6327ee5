"""Sessions in Amplify's cookies: refreshed once, ended for good. Flows are stepped by hand."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amplify_mw import AmplifyCookies, ResponseStartedError, TokenSet
from amplify_mw.authenticator import Visit
from amplify_mw.effects import Response, Unreachable
from amplify_mw.engine.engine import Engine
from amplify_mw.models import SignInDetails
from amplify_mw.sessions.amplify.sessions import AmplifyCodec
from amplify_mw.sessions.amplify.wire import AmplifySet
from amplify_mw.sessions.verdicts import NO_COOKIE, NO_SESSION, Resolution, SignedIn
from amplify_mw.testing import LocalUserPool
from amplify_mw.verbs.fetch import fetching
from amplify_mw.verbs.start import starting
from amplify_mw.web.cookies import NewCookie
from tests.amplify import Jar, cookies_of, last_auth_user, name_of
from tests.sessions.steps import (
    Process,
    T,
    World,
    access_token,
    error,
    finish,
    is_refresh,
    step_to,
    told,
)
from tests.visits import visiting

HOUR = 3600.0
DUE = T + HOUR - 4
OVER = T + HOUR + 6
DOWN = Unreachable("ConnectError")
REVOKED = ("session_revoked", True)


@dataclass
class AmplifyWorld(World):
    """A world whose browsers have Amplify's cookies."""

    def process(self, **options: Any) -> "AmplifyProcess":
        config = {"keys": self.pool.jwks()} | options.pop("config", {})
        session = AmplifyCookies(**options)
        engine = Engine(self.pool.config(session=session, **config), clock=lambda: self.now)
        self.engines.append(engine)
        return AmplifyProcess(self, engine)


@dataclass
class AmplifyProcess(Process):
    """One process of a site, and the cookies of one browser."""

    jar: Jar = field(default_factory=Jar)

    def given(self, tokens: TokenSet | None = None, **more: Any) -> Jar:
        """A browser in which Amplify JS has just signed ada in."""
        self.jar = Jar()
        self.jar.put(cookies_of(tokens or self.world.tokens(), **more))
        return self.jar

    def coming(self, jar: Jar) -> Any:
        """A flow: a request with these cookies, as they are now."""
        header = jar.header().encode()
        return visiting(self.home, header, self.world.now)

    def come(self, jar: Jar) -> Visit:
        """What becomes of a request whose response never arrives."""
        visit: Visit = self.world.run(self.coming(jar))
        return visit

    def go(self, jar: Jar) -> Visit:
        """What becomes of a request whose response does."""
        visit = self.come(jar)
        self.answer(jar, visit)
        return visit

    def answer(self, jar: Jar, visit: Visit) -> None:
        if visit.writes is None:
            return
        if visit.writes is NO_COOKIE:
            lines = self.home.cookie.clearing(visit.cookies)
        else:
            lines = self.home.cookie.setting(visit.writes, visit.cookies)
        for line in lines:
            jar.store(line.value)


@pytest.fixture(scope="module")
def time() -> list[float]:
    return [T]


@pytest.fixture(scope="module")
def pool(time: list[float]) -> LocalUserPool:
    """A pool that nobody can reach; it signs tokens."""
    pool = LocalUserPool(clock=lambda: time[0])
    pool.start()
    pool.close()
    for name in ("ada", "bob"):
        pool.add_user(name)
    return pool


@pytest.fixture
def make(pool: LocalUserPool, time: list[float]) -> Iterator[Callable[..., AmplifyWorld]]:
    """Makes worlds at `T`."""
    made: list[AmplifyWorld] = []

    def make(**options: Any) -> AmplifyWorld:
        made.append(AmplifyWorld(pool, time, **options))
        return made[-1]

    yield make
    for world in made:
        for engine in world.engines:
            engine.close()


@pytest.fixture(params=[False, True], ids=["", "rotating"])
def rotates(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def world(make: Callable[..., AmplifyWorld], rotates: bool) -> AmplifyWorld:
    return make(rotates=rotates)


@pytest.fixture
def process(world: AmplifyWorld) -> AmplifyProcess:
    return world.process()


def name_of_error(visit: Visit) -> str | None:
    """The name of what hinders."""
    assert not isinstance(visit.verdict, SignedIn)
    return visit.verdict.exception().name


def stop_after(steps: Any, count: int) -> bool:
    """Let a flow have so many effects; whether it goes on."""
    try:
        for _ in range(count):
            next(steps)
    except StopIteration:
        return False
    return True


# --- an end and a refresh, in any order


def is_over(process: AmplifyProcess, *jars: Jar) -> bool:
    return not any(isinstance(process.come(jar).verdict, SignedIn) for jar in jars)


@pytest.mark.parametrize("at", [DUE, OVER], ids=["due", "over"])
def test_an_end_at_any_step_of_a_refresh_wins(
    make: Callable[..., AmplifyWorld], rotates: bool, at: float
) -> None:
    goes_on, count = True, 0
    while goes_on:
        world, count = make(rotates=rotates), count + 1
        process = world.process()
        jar = process.given()
        before, signed_in = jar.copy(), process.come(jar)
        world.now = at
        visits: list[Visit] = []
        refreshing = world.steps(noting(process.coming(jar), visits))
        goes_on = stop_after(refreshing, count)
        world.run(process.ending(signed_in))
        finish(refreshing)
        process.answer(jar, visits[0])
        assert is_over(process, before, jar), count
        newest = f"refresh-{len(world.used)}" if rotates else "refresh-0"
        assert newest in world.revoked, count
    assert count > 5


def noting(flow: Any, values: list[Any]) -> Any:
    """The same flow; what it comes to is noted."""
    values.append((yield from flow))


def test_a_refresh_at_any_step_of_an_end_does_not_bring_the_session_back(
    make: Callable[..., AmplifyWorld], rotates: bool
) -> None:
    goes_on, count = True, 0
    while goes_on:
        world, count = make(rotates=rotates), count + 1
        process = world.process()
        jar = process.given()
        before, signed_in = jar.copy(), process.come(jar)
        world.now = DUE
        ending = world.steps(process.ending(signed_in))
        goes_on = stop_after(ending, count)
        process.go(jar)
        finish(ending)
        assert is_over(process, before, jar), count
    assert count > 3


def test_tokens_that_come_too_late_for_their_session_are_revoked(
    world: AmplifyWorld, process: AmplifyProcess
) -> None:
    jar = process.given()
    signed_in = process.come(jar)
    world.now = DUE
    refreshing = world.steps(process.coming(jar))
    step_to(refreshing, is_refresh)
    world.run(process.ending(signed_in))
    visit = finish(refreshing)
    assert (told(visit), len(world.used)) == (REVOKED, 1)
    assert world.revoked == ["refresh-0", "refresh-1" if world.rotates else "refresh-0"]


def test_who_ends_a_session_before_its_refresh_asks_nobody(
    world: AmplifyWorld, process: AmplifyProcess
) -> None:
    jar = process.given()
    signed_in = process.come(jar)
    world.now = DUE
    refreshing = world.steps(process.coming(jar))
    next(refreshing)
    world.run(process.ending(signed_in))
    assert (told(finish(refreshing)), world.used) == (REVOKED, [])


# --- late requests


@pytest.mark.parametrize("turns", [1, 2, 5, 12])
def test_who_comes_late_has_the_newest_at_once(
    world: AmplifyWorld, process: AmplifyProcess, turns: int
) -> None:
    jar = process.given()
    late = jar.copy()
    for _ in range(turns):
        world.now += 10
        visit = process.come(jar)
        world.run(fetching(visit, force_refresh=True))
        process.answer(jar, visit)
    assert told(process.go(late)) == (None, False)
    assert late.kept == jar.kept
    assert len(world.used) == turns


def test_the_user_is_not_asked_for_again_after_a_refresh_in_one_request(
    world: AmplifyWorld, process: AmplifyProcess
) -> None:
    jar = process.given()
    world.now = DUE
    first, second = process.come(jar), process.come(jar)  # the first answer is lost
    assert access_token(first) == access_token(second)
    assert len(world.used) == 1
    assert second.writes == first.writes is not None


def test_another_process_reads_what_one_has_written(
    world: AmplifyWorld, process: AmplifyProcess
) -> None:
    jar = process.given()
    world.now = DUE
    visit = process.go(jar)
    other = world.process().come(jar)
    assert (access_token(other), other.writes) == (access_token(visit), None)
    assert len(world.used) == 1


def test_where_another_process_was_first_the_cookies_stay(make: Any) -> None:
    world = make(rotates=True)
    process = world.process()
    jar = process.given()
    world.now = OVER
    world.script = [error("RefreshTokenReuseException")]
    visit = process.come(jar)
    assert (told(visit), visit.writes) == (("refresh_token_reused", False), None)
    assert name_of_error(visit) == "RefreshTokenReuseException"
    assert told(process.come(jar)) == ("refresh_token_reused", False)
    assert len(world.used) == 1  # nor is Cognito asked with each request


# --- what Cognito says


def test_a_refresh_that_takes_longer_than_the_tokens_last_leaves_nothing_to_serve(
    world: AmplifyWorld, process: AmplifyProcess
) -> None:
    jar = process.given()
    world.now, world.slow, world.script = DUE, 15.0, [Response(503, {}, b"")]
    visit = process.come(jar)
    assert (told(visit), visit.writes) == (("cognito_unavailable", False), None)


def test_new_tokens_of_somebody_else_are_not_believed(
    world: AmplifyWorld, process: AmplifyProcess
) -> None:
    jar = process.given()
    world.now = DUE
    world.script = [world.good(username="bob")]
    visit = process.come(jar)
    assert (told(visit), visit.writes) == (("token_mismatch", False), None)
    assert name_of_error(visit) == "UserUnAuthenticatedException"


@pytest.mark.parametrize(
    "facts",
    [{"key": "unknown"}, {"algorithm": "none"}, {"client_id": "another"}, {"issuer": "https://x"}],
)
def test_new_tokens_that_are_none_of_ours_sign_nobody_in(
    world: AmplifyWorld, process: AmplifyProcess, facts: dict[str, Any]
) -> None:
    jar = process.given()
    world.now = OVER
    world.script = [world.good(**facts), DOWN, DOWN]  # an unknown key is looked for
    visit = process.come(jar)
    assert not isinstance(visit.verdict, SignedIn)
    assert not visit.clears


def test_new_tokens_whose_keys_cannot_be_had_are_kept_until_they_can(
    rotates: bool, time: list[float]
) -> None:
    pool = LocalUserPool(clock=lambda: time[0])
    pool.start()
    pool.close()
    pool.add_user("ada")
    world = AmplifyWorld(pool, time, rotates=rotates)
    process = world.process(config={"keys": None})
    keys = Response(200, {}, json.dumps(pool.jwks()).encode())
    jar = process.given()
    world.script = [keys]
    process.come(jar)
    pool.rotate_keys()
    world.now = DUE
    world.script = [World.regular, DOWN]
    visit = process.go(jar)
    assert told(visit) == ("keys_unavailable", False)
    assert visit.writes is not None
    world.now += 60
    world.script = [Response(200, {}, json.dumps(pool.jwks()).encode())]
    assert told(process.go(jar)) == (None, False)
    assert world.used == ["refresh-0"]
    world.engines[0].close()


def test_while_keys_cannot_be_had_a_sign_out_is_one_all_the_same(
    make: Callable[..., AmplifyWorld], pool: LocalUserPool
) -> None:
    world = make()
    process = world.process(config={"keys": None})
    jar = process.given()
    world.script = [Response(200, {}, json.dumps(pool.jwks()).encode())]
    signed_in = process.come(jar)
    world.script = [DOWN] * 5
    world.run(process.ending(signed_in))
    process.answer(jar, signed_in)
    assert world.revoked == ["refresh-0"]
    assert [name for name in jar.names() if "Token" in name] == []


# --- starting


def test_a_session_that_came_too_late_may_be_started_again(
    world: AmplifyWorld, process: AmplifyProcess
) -> None:
    tokens = world.tokens()
    late = Visit.of(process.home, NO_SESSION)
    flow = starting(late, tokens, user_agent="", allow_cross_site=True)
    late.begin()
    with pytest.raises(ResponseStartedError):
        world.run(flow)
    again = Visit.of(process.home, NO_SESSION)
    world.run(starting(again, tokens, user_agent="", allow_cross_site=True))
    jar = Jar()
    process.answer(jar, again)
    world.now = DUE
    assert told(process.come(jar)) == (None, False)


# --- nobody else's, whatever is mixed


ROLES = ("ada", "bob")
KINDS = ("good", "old", "forged", "none")


@pytest.fixture(scope="module")
def wardrobe(pool: LocalUserPool, time: list[float]) -> Mapping[tuple[str, str, str], str | None]:
    """Tokens by use, user and kind. Those that are old have expired."""
    time[0] = T
    tokens: dict[tuple[str, str, str], str | None] = {}
    uses: list[Any] = ["id", "access"]
    for name in ROLES:
        for use in uses:
            good = pool.mint(name, use)
            tokens[use, name, "good"] = good
            tokens[use, name, "old"] = pool.mint(name, use, expires_in=-60)
            tokens[use, name, "forged"] = good[:-8] + "AAAAAAAA"
            tokens[use, name, "none"] = None
    return tokens


properties = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
slot = st.tuples(st.sampled_from(ROLES), st.sampled_from(KINDS))
refresh_slot = st.sampled_from(["refresh-ada", "refresh-bob", "junk", None])
outfit = st.tuples(slot, slot, refresh_slot)


def answer_by(world: World, refresh_token: str) -> Response:
    """Cognito's answer to a refresh token that has its user's name in it."""
    name = refresh_token.removeprefix("refresh-")
    if name not in ROLES:
        return error("NotAuthorizedException", "Invalid Refresh Token")
    return world.good(username=name)


@properties
@given(outfits=st.lists(outfit, min_size=1, max_size=6))
def test_nobody_is_signed_in_but_whom_a_genuine_access_token_names(
    make: Callable[..., AmplifyWorld],
    wardrobe: Mapping[tuple[str, str, str], str | None],
    outfits: list[Any],
) -> None:
    world = make()
    process = world.process()
    for (owner, kind), (id_owner, id_kind), refresh_token in outfits:
        world.script = [answer_by] * 3
        tokens: Any = TokenSet("", "", refresh_token)
        cookies = cookies_of(
            tokens,
            idToken=wardrobe["id", id_owner, id_kind],
            accessToken=wardrobe["access", owner, kind],
        )
        jar = Jar()
        jar.put(cookies)
        visit = process.go(jar)
        if isinstance(visit.verdict, SignedIn):
            assert (visit.verdict.user.username, kind in ("good", "old")) == (owner, True)
        if kind in ("forged", "none"):
            assert (visit.writes, visit.clears) == (None, False)


@properties
@given(
    suffix=st.sampled_from(
        ["accessToken", "idToken", "refreshToken", "signInDetails", "clockDrift", "LastAuthUser"]
    ),
    value=st.binary(max_size=60),
    at=st.sampled_from([T, DUE, OVER]),
)
def test_no_bytes_in_any_cookie_do_more_than_sign_nobody_in(
    make: Callable[..., AmplifyWorld], suffix: str, value: bytes, at: float
) -> None:
    world = make()
    process = world.process()
    cookies = cookies_of(world.tokens())
    name = last_auth_user() if suffix == "LastAuthUser" else name_of(suffix)
    header = b"; ".join(
        [
            f"{known}=".encode() + (value if known == name else text.encode())
            for known, text in cookies.items()
        ]
    )
    world.now = at
    visit = world.run(visiting(process.home, header, at))
    if isinstance(visit.verdict, SignedIn):
        assert visit.verdict.user.username == "ada"
    if visit.writes not in (None, NO_COOKIE):
        assert process.home.cookie.setting(visit.writes, header)
    process.home.cookie.clearing(header)


# --- secrets


def test_no_repr_shows_a_token(world: AmplifyWorld, process: AmplifyProcess) -> None:
    tokens = world.tokens(refresh_token="the-refresh-token")
    fields = (tokens.access_token, tokens.id_token, str(tokens.refresh_token), '{"loginId":"x"}')
    mine = AmplifySet("local-client", "ada", *(text.encode() for text in fields))
    codec = AmplifyCodec(mine, "owner", SignInDetails("x"), T)
    visit = process.come(process.given(tokens))
    assert isinstance(visit.verdict, SignedIn)
    values = [
        mine, codec, codec.loaded(), Resolution(visit.verdict, NewCookie(mine.value.decode())),
        visit, visit.verdict, visit.verdict.held, process.home.config.kind, process.home.sessions,
        process.home.cookie, ]  # fmt: skip
    shown = " ".join([f"{value!r} {value}" for value in values])
    for secret in (tokens.access_token, tokens.id_token, "the-refresh-token"):
        assert not any(part in shown for part in secret.split("."))


# --- an answer whose headers go late


def answering(process: AmplifyProcess, jar: Jar) -> Any:
    """A flow: a request, and what becomes of its response when the headers go."""
    visit = yield from process.coming(jar)
    visit.begin()
    yield from process.home.settle(visit)
    return visit


def sets_cookies(visit: Visit) -> bool:
    return visit.writes is not None and visit.writes is not NO_COOKIE


@pytest.mark.parametrize("at", [DUE, OVER], ids=["due", "over"])
def test_what_an_answer_sets_wherever_an_end_is_held_up_signs_nobody_in(
    make: Callable[..., AmplifyWorld], rotates: bool, at: float
) -> None:
    goes_on, count = True, 0
    while goes_on:
        world, count = make(rotates=rotates), count + 1
        process = world.process()
        jar = process.given()
        before, signed_in = jar.copy(), process.come(jar)
        world.now = at
        ending = world.steps(process.ending(signed_in))
        goes_on = stop_after(ending, count)
        visit = finish(world.steps(answering(process, jar)))
        assert goes_on or not sets_cookies(visit)
        finish(ending)
        process.answer(jar, visit)
        assert is_over(process, before, jar), count
    assert count > 3


def test_an_end_between_a_refresh_and_its_headers_leaves_the_browser_as_it_is(
    world: AmplifyWorld, process: AmplifyProcess
) -> None:
    jar = process.given()
    signed_in = process.come(jar)
    world.now = DUE
    visit = process.come(jar)
    assert sets_cookies(visit)
    world.run(process.ending(signed_in))
    world.run(process.home.settle(visit))
    assert visit.writes is None
