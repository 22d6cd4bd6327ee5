"""Stores in use before a fork, and on several event loops of one process."""

import pytest

from amplify_mw.models.session import TokenSet
from tests.patience import until
from tests.processes.cluster import Cluster, Member
from tests.processes.conftest import DUE, Cognito, Places, sign_in
from tests.processes.sites import Spec

SITES = [
    ("stored", "memory"),
    ("stored", "sqlite"),
    ("stored", "redis"),
    ("sealed", "none"),
    ("sealed", "sqlite"),
    ("sealed", "redis"),
]
SHARED = [row for row in SITES if row[1] in ("sqlite", "redis")]
sites = pytest.mark.parametrize(("kind", "store"), SITES)
shared_sites = pytest.mark.parametrize(("kind", "store"), SHARED)
shells = pytest.mark.parametrize("shell", ["wsgi", "asgi"])


def due(cognito: Cognito) -> TokenSet:
    """Tokens that are good, and about to expire."""
    return cognito.tokens(age=DUE)


def warm_site(cluster: Cluster, spec: Spec, shell: str, cognito: Cognito) -> tuple[Member, str]:
    """A process that has used its store for all there is, and a session that it has refreshed."""
    (member,) = cluster.members(spec, shell)
    cookie = sign_in(member, due(cognito))
    refreshed = member.ask(cookie)
    assert refreshed.outcome == (200, "set")
    return member, refreshed.new_cookie or cookie


@sites
@shells
def test_a_forked_child_reads_and_refreshes_sessions(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str, shell: str
) -> None:
    member, known = warm_site(cluster, places.site(cognito, kind, store), shell, cognito)
    another = sign_in(member, due(cognito))
    before = cognito.grants
    got = member.answers("fork", *[known] * 5, *[another] * 5)
    assert [(answer.status, answer.body) for answer in got] == [(200, "ada")] * 10
    assert {answer.pid for answer in got}.isdisjoint({member.worker.pid})
    assert cognito.grants == before + 1


@sites
@shells
def test_a_parent_goes_on_after_its_child_has_ended(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str, shell: str
) -> None:
    member, known = warm_site(cluster, places.site(cognito, kind, store), shell, cognito)
    assert len(member.answers("fork", known)) == 1
    cookie = sign_in(member, due(cognito))
    assert {member.ask(value).status for value in (known, cookie)} == {200}
    assert member.ask(known, "/out").outcome == (200, "cleared")
    assert member.ask(known).outcome == (401, "cleared")


@sites
@shells
def test_a_child_does_not_wait_for_a_refresh_that_its_parent_has_in_the_air(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str, shell: str
) -> None:
    spec = places.site(cognito, kind, store, margin=60.0, ahead=900.0)
    (member,) = cluster.members(spec, shell)
    cookie = sign_in(member, cognito.tokens())
    cookie = member.ask(cookie, "/refresh").new_cookie or cookie
    cookie = sign_in(member, due(cognito))
    with cognito.pool.hold("GetTokensFromRefreshToken") as gate:
        assert member.ask(cookie).outcome == (200, None)
        gate.wait_for_arrivals()
        got = member.answers("fork", *[cookie] * 5)
        assert [(answer.status, answer.new_cookie) for answer in got] == [(200, None)] * 5
    if kind == "sealed":
        until(lambda: member.ask(cookie).new_cookie)
    assert member.ask(cookie).status == 200


@shared_sites
@shells
def test_what_a_child_has_ended_is_over_for_its_parent(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str, shell: str
) -> None:
    member, known = warm_site(cluster, places.site(cognito, kind, store), shell, cognito)
    asks = [{"cookie": known, "path": "/out"}]
    assert [answer["status"] for answer in member.do("fork", asks=asks)] == [200]
    assert member.ask(known).outcome == (401, "cleared")


@sites
def test_event_loops_that_come_and_go_share_a_store(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str
) -> None:
    member, known = warm_site(cluster, places.site(cognito, kind, store), "asgi", cognito)
    got = member.answers("loops", *[known] * 5, count=3)
    assert [(answer.status, answer.body) for answer in got] == [(200, "ada")] * 5 * 6


@sites
def test_event_loops_of_one_process_share_a_refresh(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str
) -> None:
    (member,) = cluster.members(places.site(cognito, kind, store), "asgi")
    cookie = sign_in(member, due(cognito))
    got = member.answers("loops", *[cookie] * 5, count=3)
    assert {answer.status for answer in got} == {200}
    assert cognito.grants == 1


@sites
@shells
def test_a_process_may_fork_while_it_serves(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str, shell: str
) -> None:
    member, known = warm_site(cluster, places.site(cognito, kind, store), shell, cognito)
    begun = [member.begin(known, count=20) for _ in range(5)]
    got = [answer for _ in range(5) for answer in member.answers("fork", *[known] * 5)]
    got += [answer for some in begun for answer in some.answers]
    assert [(answer.status, answer.body) for answer in got] == [(200, "ada")] * 125
