"""Eight processes with fifty requests each, at once, on one session whose tokens are due."""

import pytest

from tests.patience import PATIENCE, until
from tests.processes.cluster import Answer, Begun, Cluster, Member
from tests.processes.conftest import DUE, Cognito, Places, enter, expired_session
from tests.processes.sites import Spec

SHELLS = ("wsgi", "asgi") * 4
EACH = 50
ALL = EACH * len(SHELLS)
LEASES = (3.0, 15.0, 75.0)  # seconds: a holder on a busy machine may be too late for a short one
STORES = ("sqlite", "redis", "postgres", "cluster", "sentinel")
everywhere = pytest.mark.parametrize("store", STORES)
sites = pytest.mark.parametrize("store", STORES[:3])
kinds = pytest.mark.parametrize("kind", ["stored", "sealed"])


def begin(members: list[Member], cookie: str) -> list[Begun]:
    return [member.begin(cookie, count=EACH) for member in members]


def answers(begun: list[Begun]) -> list[Answer]:
    return [answer for some in begun for answer in some.answers]


def cookies_to_go_on_with(spec: Spec, old: str, got: list[Answer]) -> set[str | None]:
    """What the requests' sender has after them: a sealed session has a new cookie."""
    if spec.kind == "stored":
        return {answer.new_cookie or old for answer in got}
    return {answer.new_cookie for answer in got} - {old}


@everywhere
@kinds
def test_one_refresh_serves_all_of_them(
    cluster: Cluster, places: Places, rotating: Cognito, kind: str, store: str
) -> None:
    spec = places.site(rotating, kind, store)
    cookie = expired_session(spec, rotating)
    members = cluster.members(spec, *SHELLS)
    with rotating.pool.hold("GetTokensFromRefreshToken") as gate:
        begun = begin(members, cookie)
        cluster.journal.wait(spec.name, "look by request", ALL)
        gate.wait_for_arrivals(1, timeout=PATIENCE)
        gate.release()
        got = answers(begun)
    assert [(answer.status, answer.body) for answer in got] == [(200, "ada")] * ALL
    assert len({answer.pid for answer in got}) == len(SHELLS)
    assert rotating.grants == 1
    (new,) = cookies_to_go_on_with(spec, cookie, got)
    assert {m.ask(new).outcome for m in members} == {(200, None)}
    assert rotating.grants == 1


@sites
@kinds
def test_tokens_that_are_still_good_are_refreshed_once(
    cluster: Cluster, places: Places, rotating: Cognito, kind: str, store: str
) -> None:
    spec = places.site(rotating, kind, store)
    cookie = enter(spec, rotating.tokens(age=DUE))
    members = cluster.members(spec, *SHELLS)
    with rotating.pool.hold("GetTokensFromRefreshToken") as gate:
        begun = begin(members, cookie)
        cluster.journal.wait(spec.name, "look by request", ALL)
        gate.wait_for_arrivals(1, timeout=PATIENCE)
        gate.release()
        got = answers(begun)
    assert [(answer.status, answer.body) for answer in got] == [(200, "ada")] * ALL
    assert {m.ask(cookie).status for m in members} == {200}
    assert rotating.grants == 1


@sites
@kinds
def test_ahead_of_time_nobody_waits_and_one_refresh_serves_all_of_them(
    cluster: Cluster, places: Places, rotating: Cognito, kind: str, store: str
) -> None:
    spec = places.site(rotating, kind, store, margin=60.0, ahead=900.0)
    cookie = enter(spec, rotating.tokens(age=DUE), DUE)
    members = cluster.members(spec, *SHELLS)
    with rotating.pool.hold("GetTokensFromRefreshToken") as gate:
        got = answers(begin(members, cookie))
        gate.wait_for_arrivals(1, timeout=PATIENCE)
    assert [(answer.status, answer.body) for answer in got] == [(200, "ada")] * ALL
    assert cookies_to_go_on_with(spec, "", got) in ({""}, {None})
    until(lambda: members[0].ask(cookie).new_cookie or kind == "stored")
    assert {member.ask(cookie).status for member in members} == {200}
    assert rotating.grants == 1


@sites
@kinds
def test_nobody_else_asks_while_cognito_takes_longer_than_the_lease(
    cluster: Cluster, places: Places, rotating: Cognito, kind: str, store: str
) -> None:

    def is_asked_once(lease: float) -> bool:
        rotating.pool.requests.clear()
        spec = places.site(rotating, kind, store, lease=lease)
        cookie = expired_session(spec, rotating)
        members = cluster.members(spec, *SHELLS)
        with rotating.pool.hold("GetTokensFromRefreshToken") as gate:
            begun = begin(members, cookie)
            cluster.journal.wait(spec.name, "look by request", ALL)
            cluster.journal.wait(spec.name, "renew by library", 4)  # three a lease
            gate.release()
            got = answers(begun)
        if rotating.grants > 1:
            return False
        assert [(answer.status, answer.body) for answer in got] == [(200, "ada")] * ALL
        assert len(cookies_to_go_on_with(spec, cookie, got)) == 1
        return True

    assert any(map(is_asked_once, LEASES))


@sites
@kinds
def test_a_late_request_with_the_cookie_of_before_is_given_the_new_tokens(
    cluster: Cluster, places: Places, rotating: Cognito, kind: str, store: str
) -> None:
    spec = places.site(rotating, kind, store)
    cookie = expired_session(spec, rotating)
    first, *others = cluster.members(spec, *SHELLS)
    new = first.ask(cookie).new_cookie
    got = [member.ask(cookie) for member in others]
    assert {answer.status for answer in got} == {200}
    # A stored session's cookie is the same as ever: it is enough that it was set once.
    assert {answer.new_cookie for answer in got} == {new if kind == "sealed" else None}
    assert rotating.grants == 1


def test_nobody_is_turned_away_while_cognito_takes_longer_than_three_leases(
    cluster: Cluster, places: Places, rotating: Cognito
) -> None:
    def is_asked_once(lease: float) -> bool:
        rotating.pool.requests.clear()
        spec = places.site(rotating, "stored", "sqlite", lease=lease)
        cookie = expired_session(spec, rotating)
        members = cluster.members(spec, "wsgi", "asgi")
        with rotating.pool.hold("GetTokensFromRefreshToken") as gate:
            begun = begin(members, cookie)
            cluster.journal.wait(spec.name, "renew by library", 10)  # three a lease
            gate.release()
            got = answers(begun)
        if rotating.grants > 1:
            return False
        assert {(answer.status, answer.body) for answer in got} == {(200, "ada")}
        return True

    assert any(map(is_asked_once, (1.5, 10)))
