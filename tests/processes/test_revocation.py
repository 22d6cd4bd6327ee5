"""A session that one process has ended is over for the others."""

import pytest
import redis

from tests.patience import until
from tests.processes.cluster import Cluster, Member
from tests.processes.conftest import Cognito, Places, enter

SHELLS = ("wsgi", "asgi", "wsgi", "asgi")
sites = pytest.mark.parametrize("store", ["sqlite", "redis"])
kinds = pytest.mark.parametrize("kind", ["stored", "sealed"])
over, signed_in = (401, "cleared"), (200, None)


def know(members: list[Member], *cookies: str) -> None:
    """Each process has served the sessions and remembers what there is to remember."""
    got = [member.ask(cookie) for member in members for cookie in cookies for _ in range(2)]
    assert {answer.outcome for answer in got} == {signed_in}


@sites
@kinds
@pytest.mark.parametrize("ending", range(2), ids=["by-wsgi", "by-asgi"])
def test_the_very_next_request_in_each_process_is_refused(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str, ending: int
) -> None:
    spec = places.site(cognito, kind, store)
    cookie = enter(spec, cognito.tokens())
    members = cluster.members(spec, *SHELLS)
    know(members, cookie)
    assert members[ending].ask(cookie, "/out").outcome == (200, "cleared")
    assert [member.ask(cookie).outcome for member in members] == [over] * len(members)


@sites
@pytest.mark.parametrize("ending", range(2), ids=["by-wsgi", "by-asgi"])
def test_everywhere_ends_all_sessions_of_the_user_in_all_processes(
    cluster: Cluster, places: Places, cognito: Cognito, store: str, ending: int
) -> None:
    spec = places.site(cognito, "stored", store)
    laptop, phone = (enter(spec, cognito.tokens()) for _ in range(2))
    bob = enter(spec, cognito.tokens(name="bob"))
    members = cluster.members(spec, *SHELLS)
    know(members, laptop, phone, bob)
    members[ending].ask(laptop, "/out-everywhere")
    assert {m.ask(cookie).outcome for m in members for cookie in (laptop, phone)} == {over}
    know(members, bob)


@sites
@pytest.mark.parametrize("ending", range(2), ids=["by-wsgi", "by-asgi"])
def test_a_session_that_is_ended_by_its_handle_is_over_in_all_processes(
    cluster: Cluster, places: Places, cognito: Cognito, store: str, ending: int
) -> None:
    spec = places.site(cognito, "stored", store)
    laptop, phone = (enter(spec, cognito.tokens()) for _ in range(2))
    members = cluster.members(spec, *SHELLS)
    know(members, laptop, phone)
    assert members[ending].ask(laptop, "/out-elsewhere").body == "1"
    assert {member.ask(phone).outcome for member in members} == {over}
    know(members, laptop)


def test_a_sealed_session_is_believed_in_other_processes_for_its_staleness_at_most(
    cluster: Cluster, places: Places, cognito: Cognito
) -> None:
    spec = places.site(cognito, "sealed", "sqlite", staleness=60.0)
    cookie = enter(spec, cognito.tokens())
    ending, other = cluster.members(spec, "wsgi", "asgi")
    know([ending, other], cookie)
    ending.ask(cookie, "/out")
    assert ending.ask(cookie).outcome == over
    assert other.ask(cookie).outcome == signed_in
    other.do("shift", seconds=61)
    assert other.ask(cookie).outcome == over


def test_a_local_cache_of_redis_hears_of_the_end(
    cluster: Cluster, places: Places, cognito: Cognito
) -> None:
    spec = places.site(cognito, "stored", "redis", local_cache=3600.0)
    cookie = enter(spec, cognito.tokens())
    members = ending, *_ = cluster.members(spec, *SHELLS)
    for member in members:
        from_memory(member, spec.where, cookie)
    ending.ask(cookie, "/out")
    for member in members:  # the news travels beside the requests
        until(lambda member=member: member.ask(cookie).outcome == over)
    assert {member.ask(cookie).outcome for member in members} == {over}


def from_memory(member: Member, url: str, cookie: str) -> None:
    """Ask until the process does not ask the server any more."""
    with redis.Redis.from_url(url) as server:

        def asks_nobody() -> bool:
            before = gets(server)
            assert member.ask(cookie).outcome == signed_in
            return gets(server) == before

        until(asks_nobody)


def gets(server: "redis.Redis") -> int:
    statistics = server.info("commandstats")
    return int(statistics["cmdstat_get"]["calls"])
