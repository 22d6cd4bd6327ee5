"""`end_session` in one process, while another refreshes or rolls the session: who ends it wins."""

import pytest

from tests.patience import PATIENCE
from tests.processes.cluster import Answer, Begun, Cluster, Member
from tests.processes.conftest import Cognito, Places, enter, expired_session

REFRESH = "GetTokensFromRefreshToken"
AGE, IDLE = 100.0, 600.0  # a session so old is due to be rolled
BEFORE_COGNITO = ["load by request", "acquire_and_load"]
AFTER_COGNITO = ["replace_and_release"]
ENDS = {
    "stored": ["load by request", "end"],
    "sealed": ["load by request", "create"],
}
sites = pytest.mark.parametrize("store", ["sqlite", "redis"])
kinds = pytest.mark.parametrize("kind", ["stored", "sealed"])


def before_and_after(*calls: str) -> list[str]:
    return [f"{when} {call}" for call in calls for when in ("before", "after")]


ends = pytest.mark.parametrize(
    ("kind", "place"),
    [(kind, place) for kind, calls in ENDS.items() for place in before_and_after(*calls)],
)
shells = pytest.mark.parametrize(
    "shells", [("wsgi", "asgi"), ("asgi", "wsgi")], ids=["by-asgi", "by-wsgi"]
)


def begin_and_hold(cluster: Cluster, member: Member, cookie: str, path: str, place: str) -> Begun:
    """Send a request, which is held at a call of its store."""
    member.do("hold", place=place)
    begun = member.begin(cookie, path)
    cluster.journal.wait(member.site, f"held {place}")
    return begun


def assert_over(members: list[Member], cookie: str, *answers: Answer) -> None:
    """No process knows the session, by whatever cookie."""
    assert {answer.status for answer in answers} <= {200, 401}
    cookies = {cookie, *(answer.new_cookie for answer in answers if answer.new_cookie)}
    got = [member.ask(value) for member in members for value in cookies for _ in range(2)]
    assert {answer.outcome for answer in got} == {(401, "cleared")}


@shells
@kinds
def test_an_end_wins_over_a_refresh_that_its_own_request_has_to_wait_for(
    cluster: Cluster,
    places: Places,
    cognito: Cognito,
    kind: str,
    shells: tuple[str, str],
) -> None:
    spec = places.site(cognito, kind, "redis")
    cookie = expired_session(spec, cognito)
    refreshing, ending = members = cluster.members(spec, *shells)
    with cognito.pool.hold(REFRESH) as gate:
        other = refreshing.begin(cookie)
        gate.wait_for_arrivals(1, timeout=PATIENCE)
        end = ending.begin(cookie, "/out")
        cluster.journal.wait(spec.name, "load by request", 2)
        gate.release()
        late, out = other.answer, end.answer
    assert out.outcome == (200, "cleared")
    assert_over(members, cookie, late)


@shells
@kinds
def test_an_end_wins_over_a_refresh_that_cognito_has(
    cluster: Cluster,
    places: Places,
    cognito: Cognito,
    kind: str,
    shells: tuple[str, str],
) -> None:
    spec = places.site(cognito, kind, "redis")
    cookie = enter(spec, cognito.tokens())
    refreshing, ending = members = cluster.members(spec, *shells)
    with cognito.pool.hold(REFRESH) as gate:
        begun = refreshing.begin(cookie, "/refresh")
        gate.wait_for_arrivals(1, timeout=PATIENCE)
        assert ending.ask(cookie, "/out").outcome == (200, "cleared")
        gate.release()
        late = begun.answer
    assert_over(members, cookie, late)


@sites
@kinds
@pytest.mark.parametrize("place", before_and_after(*BEFORE_COGNITO))
def test_an_end_wins_over_a_refresh_that_is_about_to_ask_cognito(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str, place: str
) -> None:
    spec = places.site(cognito, kind, store)
    cookie = enter(spec, cognito.tokens())
    refreshing, ending = members = cluster.members(spec, "wsgi", "asgi")
    begun = begin_and_hold(cluster, refreshing, cookie, "/refresh", place)
    assert ending.ask(cookie, "/out").outcome == (200, "cleared")
    refreshing.do("release", place=place)
    assert_over(members, cookie, begun.answer)


@sites
@kinds
@pytest.mark.parametrize("place", before_and_after(*AFTER_COGNITO))
def test_an_end_wins_over_new_tokens_on_their_way(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str, place: str
) -> None:
    spec = places.site(cognito, kind, store)
    cookie = enter(spec, cognito.tokens())
    refreshing, ending = members = cluster.members(spec, "asgi", "wsgi")
    with cognito.pool.hold(REFRESH) as gate:
        begun = refreshing.begin(cookie, "/refresh")
        gate.wait_for_arrivals(1, timeout=PATIENCE)
        refreshing.do("hold", place=place)
    cluster.journal.wait(spec.name, f"held {place}")
    assert ending.ask(cookie, "/out").outcome == (200, "cleared")
    refreshing.do("release", place=place)
    assert_over(members, cookie, begun.answer)


@sites
@ends
def test_an_end_wins_over_a_refresh_that_comes_amid_its_steps(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str, place: str
) -> None:
    spec = places.site(cognito, kind, store)
    cookie = enter(spec, cognito.tokens())
    refreshing, ending = members = cluster.members(spec, "wsgi", "asgi")
    begun = begin_and_hold(cluster, ending, cookie, "/out", place)
    late = refreshing.ask(cookie, "/refresh")
    ending.do("release", place=place)
    assert begun.answer.outcome == (200, "cleared")
    assert_over(members, cookie, late)


@sites
@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("stored", "after load by request"),
        ("stored", "before replace"),
        ("stored", "after replace"),
        ("sealed", "after load by request"),
    ],
)
def test_an_end_wins_over_a_roll_at_any_of_its_steps(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str, place: str
) -> None:
    spec = places.site(cognito, kind, store, idle=IDLE)
    cookie = enter(spec, cognito.tokens(age=AGE), AGE)
    rolling, ending = members = cluster.members(spec, "asgi", "wsgi")
    begun = begin_and_hold(cluster, rolling, cookie, "/", place)
    assert ending.ask(cookie, "/out").outcome == (200, "cleared")
    rolling.do("release", place=place)
    assert_over(members, cookie, begun.answer)


@sites
@ends
def test_an_end_wins_over_a_roll_that_comes_amid_its_steps(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, store: str, place: str
) -> None:
    spec = places.site(cognito, kind, store, idle=IDLE)
    cookie = enter(spec, cognito.tokens(age=AGE), AGE)
    rolling, ending = members = cluster.members(spec, "asgi", "wsgi")
    begun = begin_and_hold(cluster, ending, cookie, "/out", place)
    late = rolling.ask(cookie)
    ending.do("release", place=place)
    assert begun.answer.outcome == (200, "cleared")
    assert_over(members, cookie, late)


@pytest.mark.parametrize("shell", ["wsgi", "asgi"])
def test_within_a_process_an_end_wins_over_a_refresh_without_a_coordinator(
    cluster: Cluster, places: Places, cognito: Cognito, shell: str
) -> None:
    spec = places.site(cognito, "sealed", "none")
    cookie = enter(spec, cognito.tokens())
    (member,) = cluster.members(spec, shell)
    with cognito.pool.hold(REFRESH) as gate:
        begun = member.begin(cookie, "/refresh")
        gate.wait_for_arrivals(1, timeout=PATIENCE)
        assert member.ask(cookie, "/out").outcome == (200, "cleared")
        gate.release()
        late = begun.answer
    assert_over([member], cookie, late)
