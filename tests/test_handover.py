"""A user handed over to a job: `hand_over_user` in the request, `acting_as` in the job."""

import asyncio
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from contextvars import copy_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw import (
    AmplifyConfig,
    AuthError,
    AuthRoutes,
    AuthUser,
    ConfigurationError,
    Needs,
    NotHandedOverError,
    OutsideRequestError,
    SealedSession,
    TokenExpiredException,
    acting_as,
    aio,
    carry,
    end_session,
    end_session_by_handle,
    events,
    fetch_auth_session,
    fetch_user_attributes,
    get_claim,
    get_current_principal,
    get_current_user,
    hand_over_user,
    handle_server_auth,
    list_sessions,
    require_auth,
    start_session,
    user_or_none,
)
from amplify_mw.engine.engine import Engine
from amplify_mw.sessions.handover import Handovers
from amplify_mw.sessions.seal import Seal, key_text
from amplify_mw.testing import LocalUserPool, signed_in, signed_in_machine, signed_out
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.shells import WSGIShell
from tests.sites import DAY, HOUR, KEYS, NAME, Build, Clock, Site, town

POOL = "eu-west-1_Ab12Cd34E"
INVALID = "NotAuthorizedException invalid_handover"
EXPIRED = "TokenExpiredException handover_expired"


@pytest.fixture
def shell() -> WSGIShell:
    return WSGIShell()


@pytest.fixture
def pool(clock: Clock) -> Iterator[LocalUserPool]:
    with town(clock) as pool:
        pool.add_user("eve", email="eve@example.com", groups=["editors", "admins"])
        yield pool


@pytest.fixture
def site(build: Build) -> Site:
    return build("memory", handover_keys=KEYS[:1])


def handed(site: Site, name: str = "eve", **options: Any) -> str:
    """What a request of a user hands over."""
    return site.sign_in(name).ask(lambda: hand_over_user(**options)).body


def outcome(action: Callable[[], object]) -> str:
    try:
        return str(action())
    except AuthError as error:
        return f"{type(error).__name__} {error.reason}"
    except RuntimeError as error:
        return type(error).__name__


def who() -> str:
    return outcome(lambda: get_current_user().username)


def acting(text: str, config: Any, action: Callable[[], object] = who) -> str:
    def act() -> object:
        with acting_as(text, config):
            return action()

    return outcome(act)


# --- the user


def test_a_job_acts_as_the_user_of_the_request(site: Site) -> None:
    text = handed(site)
    with acting_as(text, site.engine) as user:
        assert user == get_current_user() == user_or_none() == get_current_principal()
        assert (user.username, user.groups) == ("eve", ("editors", "admins"))
        assert handle_server_auth() == {"success": True, "user": user}
    in_request: list[AuthUser] = []
    site.sign_in("eve").does(lambda: in_request.append(get_current_user()))
    assert [user] == in_request


def test_the_error_in_a_job_says_what_to_do() -> None:
    with pytest.raises(OutsideRequestError, match=r"acting_as\(handed_over, config\).*user_of"):
        get_current_user()


def test_outside_its_block_there_is_no_user(site: Site) -> None:
    text = handed(site)
    assert who() == "OutsideRequestError"
    with acting_as(text, site.engine):
        assert who() == "eve"
    assert who() == "OutsideRequestError"
    with pytest.raises(KeyError), acting_as(text, site.engine):
        raise KeyError
    assert who() == "OutsideRequestError"


def test_what_it_leaves_running_has_no_user_after_it(site: Site) -> None:
    with acting_as(handed(site), site.engine):
        context = copy_context()
        carried = carry(who)
        assert context.run(who) == "eve"
    assert context.run(who) == "OutsideRequestError"
    assert carried() == "eve"


def test_it_wins_in_its_block_and_the_requests_user_is_back_after_it(site: Site) -> None:
    """A task queue may run a job at once, within the request."""
    eve = handed(site)
    grace = site.sign_in("grace")
    before = grace.header
    said: list[str] = []

    def handle() -> str:
        said.append(who())
        said.append(acting(eve, site.engine))
        said.append(who())
        return "done"

    got = grace.ask(handle)
    assert said == ["grace", "eve", "grace"]
    assert (got.all("set-cookie"), grace.header) == ([], before)


def test_blocks_may_be_nested(site: Site) -> None:
    eve, grace = handed(site), handed(site, "grace")
    with acting_as(eve, site.engine):
        assert acting(grace, site.engine) == "grace"
        assert who() == "eve"


def test_a_block_left_during_another_request_brings_nobody_back(site: Site) -> None:
    """A block in a generator, which is closed much later: it leaves that request as it is."""

    def stream() -> Iterator[None]:
        with acting_as(text, site.engine):
            yield

    text = handed(site)
    with signed_in("grace"):
        streaming = stream()
        next(streaming)
        with signed_in("ada"):
            streaming.close()
            assert who() == "ada"
        assert who() == "OutsideRequestError"


def test_it_works_in_async_code(site: Site) -> None:
    eve, grace = handed(site), handed(site, "grace")

    async def job(text: str, other: asyncio.Event, own: asyncio.Event) -> str:
        with acting_as(text, site.engine):
            own.set()
            await other.wait()
            return (await aio.get_current_user()).username

    async def jobs() -> list[str]:
        one, two = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(job(eve, one, two), job(grace, two, one))

    assert asyncio.run(jobs()) == ["eve", "grace"]


def test_a_thread_of_the_job_has_no_user_unless_it_is_carried(site: Site) -> None:
    said: list[str] = []
    with acting_as(handed(site), site.engine):
        for action in (who, carry(who)):
            thread = threading.Thread(target=lambda action=action: said.append(action()))
            thread.start()
            thread.join()
    assert said == ["OutsideRequestError", "eve"]


def test_the_awaited_form_is_the_same(site: Site) -> None:
    assert aio.acting_as is acting_as
    with signed_in("ada"):
        text = asyncio.run(aio.hand_over_user(expires_in=60))
        assert acting(text, site.engine) == "ada"


@pytest.mark.parametrize("kind", ["token", "sealed", "memory", "amplify"])
def test_every_kind_of_session_hands_over(build: Build, kind: str) -> None:
    site = build(kind, handover_keys=KEYS[:1])
    assert acting(handed(site), site.engine) == "eve"


def test_a_program_hands_over_its_user(build: Build) -> None:
    site = build("token", handover_keys=KEYS[:1], bearer=True)
    headers = {"Authorization": f"Bearer {site.pool.mint('eve', 'access')}"}
    text = site.browser().ask(hand_over_user, headers=headers).body
    assert acting(text, site.engine) == "eve"


def test_nobody_and_a_machine_hand_nobody_over() -> None:
    with signed_out():
        assert outcome(hand_over_user) == "NotAuthorizedException no_session"
    with signed_in_machine("job"):
        assert outcome(hand_over_user) == "NotAuthorizedException not_a_person"
    assert outcome(hand_over_user) == "OutsideRequestError"


def test_it_is_small_and_plain_text_without_tokens(site: Site) -> None:
    text = handed(site)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 400
    assert json.loads(json.dumps(text)) == text
    assert handed(site) != handed(site)


# --- its time


def test_it_expires(site: Site) -> None:
    text = handed(site, expires_in=600)
    site.clock.advance(599)
    assert acting(text, site.engine) == "eve"
    site.clock.advance(2)
    assert acting(text, site.engine) == EXPIRED


def test_a_block_that_goes_on_for_too_long_loses_its_user(site: Site) -> None:
    @require_auth(groups=["editors"])
    def guarded() -> str:
        return "passed"

    with acting_as(handed(site, expires_in=600), site.engine):
        carried = carry(who)
        assert (guarded(), who()) == ("passed", "eve")
        site.clock.advance(601)
        assert [who(), outcome(guarded), carried()] == [EXPIRED] * 3
        assert outcome(lambda: get_claim("sub")) == EXPIRED
        assert outcome(hand_over_user) == EXPIRED
        assert user_or_none() is None


def test_it_outlives_the_session(site: Site) -> None:
    browser = site.sign_in("eve")
    text = browser.ask(lambda: hand_over_user(expires_in=3 * HOUR)).body
    browser.does(site.end())
    site.clock.advance(2 * HOUR)
    assert acting(text, site.engine) == "eve"


@pytest.mark.parametrize(
    "seconds", [0, 0.5, -1, 7 * DAY + 1, float("nan"), float("inf"), "60", True]
)
def test_its_time_has_bounds(seconds: Any) -> None:
    with signed_in("ada"), pytest.raises(ConfigurationError, match="expires_in"):
        hand_over_user(expires_in=seconds)


def test_a_job_hands_its_user_on_for_no_longer_than_it_has_it(site: Site) -> None:
    with acting_as(handed(site, expires_in=600, claims=["email"]), site.engine):
        again = hand_over_user(expires_in=DAY, claims=["email"])
        assert outcome(lambda: hand_over_user(claims=["sub"])) == "NotHandedOverError"
    assert acting(again, site.engine, lambda: get_claim("email")) == "eve@example.com"
    site.clock.advance(601)
    assert acting(again, site.engine) == EXPIRED


# --- what the job may know


def test_a_guard_looks_at_the_groups(site: Site) -> None:
    @require_auth
    def signed() -> str:
        return "passed"

    @require_auth(groups=["editors"])
    def guarded() -> str:
        return "passed"

    with acting_as(handed(site), site.engine):
        assert (signed(), guarded(), guarded()) == ("passed", "passed", "passed")
    with acting_as(handed(site, "grace"), site.engine):
        assert (signed(), outcome(guarded)) == ("passed", "ForbiddenException missing_group")


def test_a_guards_function_gets_the_user(site: Site) -> None:
    @require_auth(check=lambda user: user.username == "eve")
    def guarded() -> str:
        return "passed"

    assert acting(handed(site), site.engine, guarded) == "passed"
    refused = acting(handed(site, "grace"), site.engine, guarded)
    assert refused == "ForbiddenException not_permitted"


def test_claims_are_those_handed_over(site: Site) -> None:
    with acting_as(handed(site, claims=["email", "custom:none"]), site.engine):
        assert get_claim("email") == get_claim("email") == "eve@example.com"
        assert get_claim("custom:none") is None  # the token had none
        for token_use in (None, "id", "access"):
            with pytest.raises(NotHandedOverError):
                get_claim("sub" if token_use is None else "email", token_use=token_use)  # type: ignore[arg-type]
        with pytest.raises(NotHandedOverError, match=r"the claim 'sub'.*claims=\[\.\.\.\]"):
            get_claim("sub")


def test_a_guard_looks_at_the_claims_handed_over(site: Site) -> None:
    @require_auth(claims={"email": "eve@example.com"})
    def guarded() -> str:
        return "passed"

    assert acting(handed(site, claims=["email"]), site.engine, guarded) == "passed"
    refused = acting(handed(site, "grace", claims=["email"]), site.engine, guarded)
    assert refused == "ForbiddenException unmet_claim"
    assert acting(handed(site), site.engine, guarded) == "NotHandedOverError"


@pytest.mark.parametrize(
    "needs",
    [
        Needs(scopes=["aws.cognito.signin.user.admin"]),
        Needs(scopes=["orders/write"], machines=True),
        Needs(fresh=600),
        Needs(acr="urn:mfa"),
        Needs(claims={"sub": "a"}),
    ],
    ids=["scopes", "machines", "fresh", "acr", "claims"],
)
def test_a_guard_that_asks_for_more_says_so(site: Site, needs: Needs) -> None:
    guarded = require_auth(needs)(lambda: "passed")
    text = handed(site, claims=["auth_time", "acr"])
    assert acting(text, site.engine, guarded) == "NotHandedOverError"


@pytest.mark.parametrize(
    "action",
    [
        fetch_user_attributes,
        fetch_auth_session,
        lambda: fetch_auth_session(required=True),
        lambda: fetch_auth_session(force_refresh=True),
        end_session,
        lambda: end_session(everywhere=True, allow_cross_site=True),
        lambda: start_session({"id_token": "a", "access_token": "b"}),
        lambda: end_session_by_handle("a"),
        lambda: list_sessions(source="cognito"),
    ],
)
def test_what_needs_a_token_or_the_session_says_so(site: Site, action: Any) -> None:
    text = handed(site)
    before = len(site.kept("eve"))
    assert acting(text, site.engine, action) == "NotHandedOverError"
    assert len(site.kept("eve")) == before
    assert issubclass(NotHandedOverError, OutsideRequestError)


def test_what_is_awaited_says_so_too(site: Site) -> None:
    async def job(action: Any) -> None:
        with acting_as(handed_over, site.engine), pytest.raises(NotHandedOverError):
            await action()

    handed_over = handed(site)
    for action in (aio.fetch_user_attributes, aio.fetch_auth_session, aio.end_session):
        asyncio.run(job(action))


def test_a_job_may_list_the_users_sessions(site: Site) -> None:
    text = handed(site)
    with acting_as(text, site.engine) as user:
        (session,) = list_sessions()
        assert not session.is_current
        assert end_session_by_handle(session.handle, user.user_id)
        assert list_sessions() == []


def test_the_user_object_of_frameworks_works(site: Site) -> None:
    from amplify_mw import RequestAuth, RequestUser
    from amplify_mw.engine.context import current_visit

    with acting_as(handed(site), site.engine):
        visit = current_visit()
        assert RequestUser.of(visit).username == "eve"
        assert RequestAuth.of(visit).scopes == ["authenticated", "editors", "admins"]


# --- what opens


def test_another_key_opens_nothing(site: Site, build: Build) -> None:
    text = handed(site)
    other = build("memory", handover_keys=KEYS[1:2])
    assert acting(text, other.engine) == INVALID
    both = build("memory", handover_keys=[KEYS[1], KEYS[0]])
    assert acting(text, both.engine) == "eve"  # during a change of keys
    assert acting(handed(both), site.engine) == INVALID  # the first one seals


def test_another_pool_opens_nothing(site: Site, clock: Clock) -> None:
    text = handed(site)
    with LocalUserPool(user_pool_id="eu-west-1_Other1234", clock=clock) as other:
        config = other.config(handover_keys=KEYS[:1])
        assert acting(text, Engine(config, clock=clock)) == INVALID


def test_keys_are_a_sealed_sessions_or_the_routes() -> None:
    pool: dict[str, Any] = {"user_pool_id": POOL, "client_id": "web"}
    routes = AuthRoutes(origin="https://app.example.com", keys=KEYS[1:2])
    sealed, own = SealedSession(keys=KEYS[:1]), {"handover_keys": KEYS[2:]}
    domain = {"domain": "auth.example.com"}

    def keys(**options: Any) -> list[str]:
        return [*map(key_text, AmplifyConfig(**pool, **options).keys_for_handovers)]

    assert keys() == []
    assert keys(session=sealed) == KEYS[:1]
    assert keys(session=[AmplifyConfig(**pool).session, sealed]) == KEYS[:1]
    assert keys(routes=routes, **domain) == KEYS[1:2]
    assert keys(routes=routes, session=sealed, **domain) == KEYS[:1]
    assert keys(routes=routes, session=sealed, **domain, **own) == KEYS[2:]


def test_without_a_key_it_says_what_to_write(build: Build) -> None:
    site = build("token")
    with pytest.raises(ConfigurationError, match=r"handover_keys=\['\.\.\.'\].*keygen"):
        acting(handed(build("token", handover_keys=KEYS)), site.engine)
    said: list[str] = []

    def handle() -> str:
        with pytest.raises(ConfigurationError) as caught:
            hand_over_user()
        said.append(str(caught.value))
        return ""

    site.sign_in().ask(handle)
    assert "handover_keys" in said[0]


@pytest.mark.parametrize(
    ("keys", "word"), [("A" * 43, "write a list"), (["short"], "32 random bytes")]
)
def test_a_key_that_is_none_is_refused_without_showing_it(keys: Any, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word) as caught:
        AmplifyConfig(user_pool_id=POOL, client_id="web", handover_keys=keys)
    assert str(keys) not in str(caught.value)
    config = AmplifyConfig(user_pool_id=POOL, client_id="web", handover_keys=KEYS)
    assert KEYS[0] not in repr(config)
    assert "handover_keys" not in repr(config)


def test_a_sessions_cookie_is_no_hand_over_nor_the_other_way(build: Build) -> None:
    """The keys are the same, and what is made of them is not."""
    site = build("sealed")
    browser = site.sign_in("eve")
    assert acting(browser.value, site.engine) == INVALID
    text = browser.ask(hand_over_user).body
    assert acting(text, site.engine) == "eve"
    thief = site.browser({NAME: text})
    assert thief.does().body == "NotAuthorizedException unknown_session_key"
    named = Seal([bytes([1]) * 32], NAME, None)
    pools = Handovers([bytes([1]) * 32], {POOL: "iss"})
    user = AuthUser("eve", "1")
    assert named.open(pools.seal(user, POOL, {}, expires_at=1, iv=bytes(12)).encode()) is None
    assert pools.open(named.seal(b"[]", "", bytes(12)).decode()) is None


def test_no_cookie_of_a_sign_in_is_a_hand_over(build: Build) -> None:
    from amplify_mw.routes.attempt import PREFIX

    seal = Seal([bytes([1]) * 32], PREFIX, frozenset({POOL}))
    pools = Handovers([bytes([1]) * 32], {POOL: "iss"})
    facts = json.dumps([1, "eve", "1", [], 1e12, {}]).encode()
    assert pools.open(seal.seal(facts, POOL, bytes(12)).decode()) is None


SEALED = Handovers([bytes([1]) * 32], {POOL: "https://issuer.example"})
USER = AuthUser("eve\u00e9\u4e2d", "1-2", groups=("a b", "\U0001f600"))
TEXT = SEALED.seal(USER, POOL, {"custom:a": [1, None]}, expires_at=2_000, iv=bytes(range(12)))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1)


@given(NAMES, NAMES, st.lists(NAMES), st.dictionaries(NAMES, VALUES), st.integers(0, 2**50))
def test_what_is_sealed_opens_as_it_was(
    username: str, user_id: str, groups: list[str], claims: dict[str, Any], end: int
) -> None:
    user = AuthUser(username, user_id, groups=tuple(groups))
    text = SEALED.seal(user, POOL, claims, expires_at=end, iv=bytes(12))
    opened = SEALED.open(text)
    assert opened is not None
    assert (opened.user, opened.pool, opened.expires_at) == (user, POOL, end)
    assert dict(opened.claims(None)) == claims


def test_any_other_character_is_refused() -> None:
    opened = SEALED.open(TEXT)
    assert opened is not None
    assert opened.user == USER
    for index in range(len(TEXT)):
        for other in "A.-_\n=\u00e9" + chr(ord(TEXT[index]) ^ 1):
            changed = TEXT[:index] + other + TEXT[index + 1 :]
            assert changed == TEXT or SEALED.open(changed) is None
        assert SEALED.open(TEXT[:index]) is None
    for longer in (TEXT + "A", "A" + TEXT, TEXT + ".", TEXT * 2, TEXT + "\n", " " + TEXT):
        assert SEALED.open(longer) is None


@given(st.text() | st.text("AZaz09-_.", max_size=200) | st.just("A" * 70_000))
def test_no_text_raises_anything(text: str) -> None:
    assert SEALED.open(text) is None


FACTS = [1, "eve", "1", ["a"], 2_000.0, {}]


@given(VALUES | st.tuples(st.sampled_from(range(6)), VALUES))
def test_what_another_version_has_sealed_is_refused_or_whole(change: Any) -> None:
    facts: Any = change
    if isinstance(change, tuple):
        facts = [*FACTS]
        facts[change[0]] = change[1]
    seal: Seal = SEALED._seal
    opened = SEALED.open(seal.seal(json.dumps(facts).encode(), POOL, bytes(12)).decode())
    if opened is not None:
        assert all((opened.user.username, opened.user.user_id, isinstance(opened.pool, str)))
        assert all(isinstance(name, str) for name in opened.user.groups)


@pytest.mark.parametrize(
    "plain", [b"", b"\xff", b"[" * 100_00, b"NaN", b'[1,"e","1",[],Infinity,{}]']
)
def test_what_is_sealed_and_no_hand_over_is_refused(plain: bytes) -> None:
    assert SEALED.open(SEALED._seal.seal(plain, POOL, bytes(12)).decode()) is None


@pytest.mark.parametrize("text", [None, b"text", 1])
def test_what_is_no_text_is_a_type_error(site: Site, text: Any) -> None:
    with pytest.raises(TypeError, match="hand_over_user"), acting_as(text, site.engine):
        pass


@pytest.mark.parametrize("text", ["", "junk", "a.b.c.d.e", "\u00e9", "\ud800", "A" * 70_000])
def test_junk_is_invalid(site: Site, text: str) -> None:
    assert acting(text, site.engine) == INVALID


def test_claims_that_are_too_large_or_no_list_are_refused() -> None:
    with signed_in("ada", attributes={"custom:notes": "a" * 60_000}):
        with pytest.raises(ValueError, match="hand over fewer"):
            hand_over_user(claims=["custom:notes"])
        with pytest.raises(ConfigurationError, match=r"claims=\['email'\], a list"):
            hand_over_user(claims="email")


# --- around it


def test_a_refusal_is_an_event(build: Build) -> None:
    heard: list[events.Event] = []
    site = build("memory", handover_keys=KEYS[:1], on_event=heard.append)
    text = handed(site)
    heard.clear()
    assert acting("junk", site.engine) == INVALID
    site.clock.advance(2 * HOUR)
    assert acting(text, site.engine) == EXPIRED
    told = [(e.reason, e.at, e.session) for e in heard if isinstance(e, events.Refused)]
    refused = [("invalid_handover", "acting_as", "handover")]
    assert told == [*refused, ("handover_expired", "acting_as", "handover")]


def test_a_guards_refusal_is_an_event_of_the_user(build: Build) -> None:
    heard: list[events.Event] = []
    site = build("memory", handover_keys=KEYS[:1], on_event=heard.append)
    guarded = require_auth(groups=["nobodys"])(lambda: "passed")
    text = handed(site)
    heard.clear()
    assert acting(text, site.engine, guarded) == "ForbiddenException missing_group"
    (event,) = heard
    assert isinstance(event, events.Refused)
    assert (event.at, event.session, event.path) == ("require_auth", "handover", None)
    assert event.user_id is not None


def test_errors_can_be_sent_to_who_waits_for_the_job() -> None:
    error = pickle.loads(pickle.dumps(NotHandedOverError("the session")))
    assert (type(error), error.what) == (NotHandedOverError, "the session")
    expired = pickle.loads(pickle.dumps(TokenExpiredException("A", reason="handover_expired")))
    assert (expired.message, expired.reason) == ("A", "handover_expired")


def test_no_text_of_it_shows_in_an_error_or_a_repr(site: Site) -> None:
    text = handed(site, claims=["email"])
    with acting_as(text, site.engine):
        from amplify_mw.engine.context import current_visit

        visit = current_visit()
        assert "@" not in repr(visit) + repr(visit.verdict)
    with pytest.raises(AuthError) as caught, acting_as(text[:-2], site.engine):
        pass
    assert text[:20] not in repr(caught.value) + str(caught.value)


def test_an_app_called_by_the_job_sees_its_own_requests_users(site: Site) -> None:
    text, grace = handed(site), site.sign_in("grace")
    with acting_as(text, site.engine):
        assert grace.does().body == "grace"
        assert site.browser().does().body == "NotAuthorizedException no_session"
        assert who() == "eve"


def test_in_a_test_the_users_hand_overs_open(site: Site) -> None:
    eve = handed(site)
    with signed_in("ada", groups=["editors"], email="ada@example.com"):
        text = hand_over_user(claims=["email"])
        with acting_as(text, site.engine) as user:
            assert (user.groups, get_claim("email")) == (("editors",), "ada@example.com")
            again = hand_over_user()
            assert acting(again, site.engine) == "ada"
        assert acting(handed(site), site.engine) == "ada"  # whose requests these are
        assert acting(eve, site.engine) == "eve"
    assert acting(text, site.engine) == INVALID  # only there


def test_a_configuration_by_itself_is_enough() -> None:
    """A worker has no middleware."""
    config = AmplifyConfig(user_pool_id=POOL, client_id="web", handover_keys=KEYS[:1])
    end = 4_000_000_000
    text = SEALED.seal(AuthUser("eve", "1"), POOL, {}, expires_at=end, iv=bytes(12))
    with ExitStack() as stack:
        assert stack.enter_context(acting_as(text, config)).username == "eve"
        assert who() == "eve"
    assert AmplifyWSGIMiddleware(lambda *_: [], config) is not None
