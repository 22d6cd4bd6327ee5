"""The primary of some sessions is killed while a site's processes serve them, or hands over."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.processes.cluster import Cluster, Member
from tests.processes.conftest import DUE, Cognito, Places, enter, sign_in
from tests.processes.sites import Spec
from tests.processes.traffic import not_now, signed_in, traffic
from tests.valkey import Node, ValkeyCluster, ValkeySentinels

SHELLS = ("wsgi", "asgi")
kinds = pytest.mark.parametrize("kind", ["stored", "sealed"])


def on_each(nodes: ValkeyCluster, spec: Spec, cognito: Cognito, member: Member) -> dict[Node, str]:
    """The cookies of sessions, one on each primary, and on its replicas."""
    found: dict[Node, str] = {}
    while len(found) < len(nodes.others()):
        before = set(nodes.keys(f"{spec.name}:s:"))
        cookie = refreshed(spec, cognito, member)
        (key,) = set(nodes.keys(f"{spec.name}:s:")) - before
        found.setdefault(nodes.owner(key), cookie)
    nodes.settle()
    return found


def refreshed(spec: Spec, cognito: Cognito, member: Member) -> str:
    """The cookie of a session that was refreshed: a coordinator has a record of it then."""
    cookie = enter(spec, cognito.tokens(age=DUE))
    return member.ask(cookie, "/refresh").new_cookie or cookie


def assert_serves(member: Member, cognito: Cognito) -> None:
    """A whole life of a session: sign-in, a refresh, and its end."""
    cookie = sign_in(member, cognito.tokens())
    cookie = member.ask(cookie, "/refresh").new_cookie or cookie
    assert member.ask(cookie).outcome == signed_in
    assert member.ask(cookie, "/out").outcome == (200, "cleared")
    assert member.ask(cookie).status == 401


def told(member: Member) -> list[str]:
    """What a process has logged of its store."""
    return [line for line in member.do("log") if "session store" in line]


def assert_told_once(lines: list[str]) -> None:
    """Each way to fail is told once, however many requests met it, and the end of it."""
    outages = [line for line in lines if "does not answer" in line]
    assert outages
    assert len(set(outages)) == len(outages)
    assert lines[-1] == "the session store answers again"
    assert len(lines) <= 2 * len(outages)


@kinds
def test_a_killed_primary_is_missed_until_the_cluster_has_another(
    cluster: Cluster,
    places: Places,
    cognito: Cognito,
    own_valkey_cluster: ValkeyCluster,
    kind: str,
) -> None:
    nodes = own_valkey_cluster
    spec = replace(places.site(cognito, kind, "none"), store="cluster", where=nodes.url)
    members = cluster.members(spec, *SHELLS)
    cookies = on_each(nodes, spec, cognito, members[0])
    dead = nodes.nodes[0]  # the one that the url names
    others = cookies.keys() - {dead}
    for member in members:
        member.do("log")
    with traffic(members, {str(node): cookie for node, cookie in cookies.items()}) as visits:
        for node in cookies:
            visits.wait(str(node), signed_in)
        visits.phase = "down"
        dead.stop()
        visits.wait(str(dead), not_now, count=20)
        nodes.wait_for_heir(dead)
        visits.phase = "up"
        for node in cookies:
            visits.wait(str(node), signed_in, count=20)

    for node in others:
        for phase in ("before", "down", "up"):
            assert set().union(*visits.outcomes(str(node), phase)) == {signed_in}
    for phase in ("before", "down"):  # some were on their way
        assert set().union(*visits.outcomes(str(dead), phase)) <= {signed_in, not_now}
    for got in visits.outcomes(str(dead), "up"):
        assert set(got[got.index(signed_in) + visits.at_once :]) == {signed_in}
    for member in members:
        assert_told_once(told(member))
        assert_serves(member, cognito)


@kinds
def test_a_cluster_that_hands_over_as_planned_is_noticed_by_nobody(
    cluster: Cluster,
    places: Places,
    cognito: Cognito,
    own_valkey_cluster: ValkeyCluster,
    kind: str,
) -> None:
    nodes = own_valkey_cluster
    spec = replace(places.site(cognito, kind, "none"), store="cluster", where=nodes.url)
    members = cluster.members(spec, *SHELLS)
    cookies = on_each(nodes, spec, cognito, members[0])
    primary, *_ = cookies
    with traffic(members, {str(node): cookie for node, cookie in cookies.items()}) as visits:
        visits.wait(str(primary), signed_in)
        for member in members:
            member.do("log")
        for _ in range(2):
            primary = nodes.fail_over(primary)
        visits.phase = "after"
        for node in cookies:
            visits.wait(str(node), signed_in, count=20)

    for node in cookies:
        for phase in ("before", "after"):
            assert set().union(*visits.outcomes(str(node), phase)) == {signed_in}
    assert [told(member) for member in members] == [[], []]


def kill(service: ValkeySentinels) -> None:
    primary = service.primary
    primary.stop()
    service.wait_for_heir(primary)


@kinds
@pytest.mark.parametrize("end", [kill, ValkeySentinels.fail_over])
def test_sentinels_new_primary_is_found_without_a_restart(
    cluster: Cluster,
    places: Places,
    cognito: Cognito,
    own_valkey_sentinels: ValkeySentinels,
    kind: str,
    end: Callable[[ValkeySentinels], object],
) -> None:
    service = own_valkey_sentinels
    spec = replace(places.site(cognito, kind, "none"), store="sentinel", where=service.where)
    members = cluster.members(spec, *SHELLS)
    cookie = refreshed(spec, cognito, members[0])
    service.settle()
    for member in members:
        member.do("log")
    with traffic(members, {"ada": cookie}) as visits:
        visits.wait("ada", signed_in)
        visits.phase = "failing over"
        end(service)
        visits.phase = "after"
        visits.wait("ada", signed_in, count=20)

    for phase in ("before", "failing over"):
        assert set().union(*visits.outcomes("ada", phase)) <= {signed_in, not_now}
    for got in visits.outcomes("ada", "after"):
        assert set(got[got.index(signed_in) + visits.at_once :]) == {signed_in}
    for member in members:
        lines = told(member)
        if lines:
            assert_told_once(lines)
        assert_serves(member, cognito)
