"""Several kinds of session: what they read together, and what is written for them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    ConfigurationError,
    CookiePolicy,
    NetworkError,
    SealedSession,
    StoredSession,
    TokenSession,
)
from amplify_mw.authenticator import Visit
from amplify_mw.engine.engine import Engine
from amplify_mw.sessions.amplify.wire import PREFIX
from amplify_mw.sessions.several import MAX_KINDS, Several, SeveralCookies
from amplify_mw.sessions.verdicts import NO_COOKIE, Change, Part, SignedIn, Verdict
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.verbs.start import starting
from amplify_mw.web.cookies import DUPLICATE, NewCookie
from tests.sites import KEYS, NAME
from tests.visits import visiting

NOW = 1_800_000_000.0
SESSION = NAME.encode()
AMPLIFY = f"{PREFIX}.local-client.".encode()
NAMES = [SESSION, SESSION + b".0", SESSION + b".1"] + [
    AMPLIFY + suffix
    for suffix in (b"LastAuthUser", b"ada.accessToken", b"ada.idToken", b"ada.refreshToken")
]
KINDS: list[Any] = [
    SealedSession(keys=KEYS[:1]),
    TokenSession(),
    AmplifyCookies(),
    StoredSession(MemoryStore(clock=lambda: NOW)),
]
HOSTILE = [
    b"",
    b"0:",
    b"1!",
    b"0!",
    b"\x1d",
    b"\x1d1:",
    b"\x1d\x1d",
    b":",
    b"9:x",
    b"\xff\xfe",
    b"%1d1:",
    b"local-client\x1fada\x1f\x1f\x1f\x1f",
]


class Street:
    """A site for each kind by itself, one for all, and ada's good values for them."""

    def __init__(self, pool: LocalUserPool) -> None:
        self.alone = [self._engine(pool, kind) for kind in KINDS]
        self.all = self._engine(pool, KINDS)
        tokens = pool.sign_in("ada")
        self.good = [b"ada", tokens.id_token.encode(), tokens.access_token.encode()]
        for engine in (self.alone[0], self.alone[3]):
            visit = self.visit(engine, b"")
            visit.headers = []
            flow = starting(visit, tokens, user_agent="", allow_cross_site=True)
            engine.driver.run(flow)
            assert visit.writes is not None
            self.good.append(visit.writes.value.encode())
        amplifys = b"local-client\x1fada\x1f" + b"\x1f".join([self.good[2], self.good[1], b"", b""])
        whole = [b"amplify-session=" + value for value in self.good[1:]]
        whole += [b"%bLastAuthUser=ada; %bada.accessToken=%b" % (AMPLIFY, AMPLIFY, self.good[2])]
        self.whole = whole
        self.good += [b"1:" + self.good[1], b"x\x1d1:" + self.good[1], b"x\x1d2:" + amplifys]

    def _engine(self, pool: LocalUserPool, session: Any) -> Engine:
        config = pool.config(session=session, keys=pool.jwks())
        return Engine(config, clock=lambda: NOW)

    def visit(self, engine: Engine, header: bytes) -> Visit:
        """What a request with that `Cookie` header finds, the first time."""
        found: Visit = engine.driver.run(visiting(engine.authenticator, header, NOW))
        return found

    def alone_on(self, header: bytes) -> Callable[[Engine], Verdict | None]:
        """What a kind finds by itself; None where it reads nothing."""

        def verdict(engine: Engine) -> Verdict | None:
            value = engine.authenticator.cookie.read(header)
            return None if value is None else self.visit(engine, header).verdict

        return verdict


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalUserPool]:
    with LocalUserPool(clock=lambda: NOW) as pool:
        pool.add_user("ada")
        yield pool


@pytest.fixture(scope="module")
def street(pool: LocalUserPool) -> Iterator[Street]:
    street = Street(pool)
    yield street
    for engine in (street.all, *street.alone):
        engine.close()


def headers(
    values: "list[bytes] | None" = None, whole: "list[bytes] | None" = None
) -> "st.SearchStrategy[bytes]":
    """`Cookie` headers with the cookies of all kinds, and with anything in them.

    `values`: what may be in a cookie, besides. `whole`: what may be in a header.
    """
    value = st.sampled_from([*(values or ()), *HOSTILE]) | st.binary(max_size=12)
    pair = st.tuples(st.sampled_from(NAMES), value).map(b"=".join)
    part = pair | st.binary(max_size=20) | st.sampled_from(whole or [b""])
    return st.lists(part, max_size=6).map(b"; ".join)


def cookies(*kinds: Any) -> SeveralCookies:
    return Several(kinds).cookies(CookiePolicy(), ("local-client",))


# --- reading


@given(header=headers())
@example(header=b"amplify-session=a\x1d2:b")
@example(header=b"amplify-session=a; amplify-session=b")
def test_each_kind_reads_what_it_reads_by_itself(header: bytes) -> None:
    expected = {}
    for index, kind in enumerate(KINDS):
        value = kind.cookies(CookiePolicy(), ("local-client",)).read(header)
        if value is DUPLICATE:
            expected[index] = None
        elif value is not None:
            expected[index] = value
    together = cookies(*KINDS).read(header)
    assert dict(together or ()) == expected
    assert (together is None) == (not expected)


def verdict_of(found: list[Verdict]) -> Verdict | None:
    """What the verdicts of the kinds come to: the rules, once more."""
    signed_in = [verdict for verdict in found if isinstance(verdict, SignedIn)]
    not_now = [one for one in found if not one.user and issubclass(one.error, NetworkError)]
    return next(iter([*signed_in, *not_now, *found]), None)


@settings(deadline=None)
@given(data=st.data())
def test_any_header_means_to_all_kinds_what_it_means_to_each(
    street: Street, data: st.DataObject
) -> None:
    header = data.draw(headers(street.good, street.whole))
    visit = street.visit(street.all, header)
    expected = verdict_of([found for found in map(street.alone_on(header), street.alone) if found])
    assert visit.verdict.user == (expected and expected.user)
    if expected is not None and not expected.user:
        assert (visit.verdict.error, visit.verdict.reason) == (expected.error, expected.reason)


@settings(deadline=None)
@given(data=st.data())
def test_what_any_header_leads_to_can_be_written_and_names_no_other_cookie(
    street: Street, data: st.DataObject
) -> None:
    header = data.draw(headers(street.good, street.whole))
    home, visit = street.all.authenticator, street.visit(street.all, header)
    assert visit.writes is not NO_COOKIE
    lines = [] if visit.writes is None else home.cookie.setting(visit.writes, header)
    names = {line.name.encode("latin-1") for line in lines}
    assert all(name in NAMES or name.startswith(AMPLIFY) for name in names)
    assert len(lines) == len(set(lines))


@settings(deadline=None)
@given(header=headers())
def test_whatever_a_header_brings_can_be_ended(street: Street, header: bytes) -> None:
    home = street.all.authenticator
    value = home.cookie.read(header) or ()
    assert home.sessions.contents(value) == []
    assert street.all.driver.run(home.sessions.end(value, NOW)) == []


def test_no_value_is_shown() -> None:
    header = b"amplify-session=secret"
    assert "secret" not in repr(cookies(*KINDS).read(header))
    assert "secret" not in repr((Change(0, NewCookie("secret")), Change(1, None)))


def test_a_kinds_own_value_is_no_value_of_all_kinds() -> None:
    own = {Part(index, value): "one kind's" for index in (0, 1) for value in (b"", b"x", None)}
    together = (cookies(*KINDS).read(b"amplify-session=x") or ())[:2]
    assert together == (Part(0, b"x"), Part(1, b"x"))
    assert own.get(together) is None
    assert own[together[0]] == "one kind's"


def test_of_two_changes_in_one_response_the_later_counts_for_each_kind() -> None:
    first, second = Change(0, NewCookie("a")), Change(1, NewCookie("b"))
    assert BOTH.merged((first, second), (Change(1, None),)) == (first, Change(1, None))
    assert BOTH.merged((first,), (second,)) == (first, second)


@pytest.mark.parametrize("index", range(MAX_KINDS))
def test_each_of_the_most_kinds_is_read(pool: LocalUserPool, index: int) -> None:
    kinds = [SealedSession(keys=[bytes([number]) * 32]) for number in range(MAX_KINDS)]
    values = []
    for session in (kinds[index], kinds):
        engine = Engine(pool.config(session=session, keys=pool.jwks()), clock=lambda: NOW)
        visit = engine.driver.run(visiting(engine.authenticator, b"; ".join(values), NOW))
        if not values:
            flow = starting(visit, pool.sign_in("ada"), user_agent="", allow_cross_site=True)
            engine.driver.run(flow)
            lines = engine.authenticator.cookie.setting(visit.writes, None)
            values = [line.value.partition(";")[0].encode() for line in lines[:1]]
    assert (visit.verdict.user.username, visit.verdict.kind, visit.writes) == ("ada", index, None)


# --- writing

BOTH = cookies(SealedSession(keys=KEYS[:1]), AmplifyCookies())
OURS_SENT = b"amplify-session.0=a; amplify-session.1=b"
AMPLIFYS_SENT = AMPLIFY + b"LastAuthUser=ada; " + AMPLIFY + b"ada.accessToken=x"


def test_a_change_sets_one_kinds_cookie_and_leaves_the_others() -> None:
    (line,) = BOTH.setting((Change(0, NewCookie("a:b", 600)),), AMPLIFYS_SENT)
    assert line.value.startswith(f"{NAME}=a:b;")
    assert "Max-Age=600" in line.value


def test_a_change_without_a_time_sets_the_policys_own() -> None:
    (line,) = BOTH.setting((Change(0, NewCookie("a")),), None)
    assert f"Max-Age={CookiePolicy().max_age}" in line.value


def test_a_change_clears_one_kinds_cookies_and_leaves_the_others() -> None:
    ours = {
        line.name for line in BOTH.setting((Change(0, None),), OURS_SENT + b"; " + AMPLIFYS_SENT)
    }
    assert ours == {NAME, f"{NAME}.0", f"{NAME}.1"}
    amplifys = BOTH.setting((Change(1, None),), OURS_SENT + b"; " + AMPLIFYS_SENT)
    assert {line.name.startswith(PREFIX) for line in amplifys} == {True}


def test_what_one_kind_sets_another_does_not_clear() -> None:
    shared = cookies(TokenSession(), SealedSession(keys=KEYS[:1]))
    lines = shared.setting((Change(0, NewCookie("token")), Change(1, None)), OURS_SENT)
    assert [line.name for line in lines] == [NAME, f"{NAME}.0", f"{NAME}.1"]
    assert ["Max-Age=0" in line.value for line in lines] == [False, True, True]


def test_a_cookie_that_two_kinds_read_is_cleared_by_one_line() -> None:
    shared = cookies(TokenSession(), StoredSession(MemoryStore()))
    assert (
        len(shared.clearing(None))
        == len(shared.setting((Change(0, None), Change(1, None)), None))
        == 1
    )


def test_the_first_kind_says_how_large_a_new_session_may_be() -> None:
    both = cookies(TokenSession(), SealedSession(keys=KEYS[:1]))
    assert both.max_bytes == 4096
    assert both.size((Change(0, NewCookie("abc", 600)), Change(1, None))) == len(NAME) + len("abc")


# --- configuration


def configuration(session: Any) -> AmplifyConfig:
    return AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web", session=session)


@pytest.mark.parametrize(
    ("session", "taught"),
    [
        ([], "the list is empty; write one kind"),
        ((), "the list is empty; write one kind"),
        ([AmplifyCookies], r"AmplifyCookies\(\)"),
        ([TokenSession(), SealedSession], r"SealedSession\(keys=\[...\]\)"),
        ([TokenSession(), None], "or a list of these"),
        (["sealed"], "or a list of these"),
        ([[TokenSession()]], "or a list of these"),
        ({"kind": TokenSession()}, "or a list of these"),
        ("token", "or a list of these"),
        ([TokenSession()] * (MAX_KINDS + 1), "at most 10 kinds; got 11"),
    ],
)
def test_what_is_no_list_of_kinds_teaches(session: Any, taught: str) -> None:
    with pytest.raises(ConfigurationError, match=taught):
        configuration(session)


def test_a_list_of_one_equals_the_kind_alone() -> None:
    one, alone = configuration([AmplifyCookies()]), configuration(AmplifyCookies())
    assert (one, hash(one), one.session) == (alone, hash(alone), AmplifyCookies())


def test_equal_lists_make_equal_configurations() -> None:
    one = configuration([AmplifyCookies(), SealedSession(keys=KEYS)])
    same = configuration((AmplifyCookies(), SealedSession(keys=tuple(KEYS))))
    assert (one, hash(one)) == (same, hash(same))
    assert one.replace(leeway=1).session == one.session
    assert Engine.of(one) is Engine.of(same)


@pytest.mark.parametrize(
    "other",
    [
        [SealedSession(keys=KEYS), AmplifyCookies()],
        [AmplifyCookies(), SealedSession(keys=KEYS[:1])],
        [AmplifyCookies()],
        [AmplifyCookies(), SealedSession(keys=KEYS), TokenSession()],
    ],
)
def test_other_lists_make_other_configurations(other: Any) -> None:
    assert configuration([AmplifyCookies(), SealedSession(keys=KEYS)]) != configuration(other)


def test_a_list_that_changes_later_changes_no_configuration() -> None:
    kinds: list[Any] = [AmplifyCookies(), TokenSession()]
    config = configuration(kinds)
    kinds.clear()
    assert config == configuration([AmplifyCookies(), TokenSession()])


@pytest.mark.parametrize(
    ("asked", "every"), [((None, None), None), ((60, None), 60), ((None, 60), 60), ((90, 60), 60)]
)
def test_the_shortest_that_any_kind_asks_for_holds(asked: Any, every: float | None) -> None:
    first, second = asked
    kinds = [
        TokenSession(verify_with_cognito_every=first),
        AmplifyCookies(verify_with_cognito_every=second),
    ]
    assert configuration(kinds).kind.verify_with_cognito_every == every
