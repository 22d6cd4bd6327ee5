"""kill -9, or a long pause, of a process amid its refreshes: those of all kinds of site at once."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

import pytest

from amplify_mw.sessions.record import Record
from amplify_mw.sessions.verdicts import user_key
from tests.patience import PATIENCE
from tests.processes.cluster import Cluster, Member
from tests.processes.conftest import Cognito, Places, expired_session
from tests.processes.sites import Spec

REFRESH = "GetTokensFromRefreshToken"
SHELLS = ("wsgi", "asgi", "wsgi")
SITES = [(kind, store) for kind in ("stored", "sealed") for store in ("sqlite", "redis")]
GRACE = 60.0
Make = Callable[..., Cognito]


@dataclass
class Case:
    """A site with one session, in the process that is to be killed and in others."""

    spec: Spec
    cookie: str
    holder: Member
    others: list[Member]


@pytest.fixture
def forgiving(make_cognito: Make) -> Cognito:
    """A pool where a refresh whose answer was lost can be repeated for a while."""
    return make_cognito(rotate_refresh_tokens=True, rotation_grace=GRACE)


@pytest.fixture
def cases(cluster: Cluster, places: Places) -> "Cases":
    def make(cognito: Cognito, lease: float = 60) -> dict[str, Case]:
        """`lease`: of the others, who must not be late with renewing it."""
        made = {}
        for kind, store in SITES:
            spec = places.site(cognito, kind, store, lease=lease)
            brief = replace(spec, lease=1)
            holder, *others = cluster.members([brief, spec, spec], *SHELLS)
            cookie = expired_session(spec, cognito)
            made[f"{kind} {store}"] = Case(spec, cookie, holder, others)
        return made

    return make


def kill(cases: dict[str, Case]) -> None:
    (holder,) = {case.holder.worker for case in cases.values()}
    holder.kill()


def kill_waiting_for_cognito(cases: dict[str, Case], cognito: Cognito) -> None:
    """Cognito carries the refreshes out after their end; its answers reach nobody."""
    with cognito.pool.hold(REFRESH) as gate:
        for case in cases.values():
            case.holder.begin(case.cookie)
        gate.wait_for_arrivals(len(cases), timeout=PATIENCE)
        kill(cases)


def kill_before_cognito_acts(cases: dict[str, Case], cognito: Cognito) -> None:
    """Cognito never carries the refreshes out."""
    with cognito.pool.hold(REFRESH) as gate:
        for case in cases.values():
            case.holder.begin(case.cookie)
        gate.wait_for_arrivals(len(cases), timeout=PATIENCE)
        kill(cases)
        cognito.pool.close()  # which drops what is held
    cognito.pool.start()


def kill_with_the_new_tokens(cases: dict[str, Case], cognito: Cognito, cluster: Cluster) -> None:
    """Nobody else has them: they are not written yet."""
    with cognito.pool.hold(REFRESH) as gate:
        for case in cases.values():
            case.holder.begin(case.cookie)
        gate.wait_for_arrivals(len(cases), timeout=PATIENCE)
        for case in cases.values():
            case.holder.do("hold", place="before replace_and_release")
    for case in cases.values():
        cluster.journal.wait(case.spec.name, "held before replace_and_release")
    kill(cases)


def outcomes(cases: dict[str, Case]) -> dict[str, set[tuple[int, str | None]]]:
    """What all others answer to five requests each, sent at once."""
    begun = {
        name: [member.begin(case.cookie, count=5) for member in case.others]
        for name, case in cases.items()
    }
    return {
        name: {answer.outcome for some in all_of_it for answer in some.answers}
        for name, all_of_it in begun.items()
    }


def assert_nothing_is_lost(cases: dict[str, Case]) -> None:
    """Requests succeed, with the cookie of before and with the one that was set."""
    begun = {name: case.others[0].begin(case.cookie, count=5) for name, case in cases.items()}
    for name, case in cases.items():
        got = begun[name].answers
        assert {(answer.status, answer.body) for answer in got} == {(200, "ada")}, name
        (new,) = {answer.new_cookie for answer in got} - {None}
        later = [m.ask(value).status for m in case.others for value in (case.cookie, new)]
        assert later == [200] * 4, name


Cases = Callable[..., dict[str, Case]]


@pytest.mark.parametrize("rotates", [False, True], ids=["rotation-off", "rotation-with-grace"])
def test_a_holder_that_dies_waiting_for_cognito_loses_no_session(
    cases: Cases, make_cognito: Make, rotates: bool
) -> None:
    cognito = make_cognito(rotate_refresh_tokens=rotates, rotation_grace=GRACE)
    made = cases(cognito)
    kill_waiting_for_cognito(made, cognito)
    assert_nothing_is_lost(made)
    assert cognito.grants == 2 * len(made)


def test_a_holder_that_dies_with_the_new_tokens_loses_no_session(
    cluster: Cluster, cases: Cases, forgiving: Cognito
) -> None:
    made = cases(forgiving)
    kill_with_the_new_tokens(made, forgiving, cluster)
    assert_nothing_is_lost(made)
    assert forgiving.grants == 2 * len(made)


def test_a_holder_that_dies_before_cognito_acts_loses_no_session_even_without_grace(
    cases: Cases, rotating: Cognito
) -> None:
    made = cases(rotating)
    kill_before_cognito_acts(made, rotating)
    assert_nothing_is_lost(made)
    assert rotating.grants == 2 * len(made)


def test_those_who_wait_for_the_holder_are_served_by_one_of_them(
    cluster: Cluster, cases: Cases, forgiving: Cognito
) -> None:
    made = cases(forgiving)
    with forgiving.pool.hold(REFRESH) as gate:
        for case in made.values():
            case.holder.begin(case.cookie)
        gate.wait_for_arrivals(len(made), timeout=PATIENCE)
        begun = [m.begin(case.cookie, count=5) for case in made.values() for m in case.others]
        for case in made.values():
            cluster.journal.wait(case.spec.name, "load by request", 11)
        kill(made)
        gate.wait_for_arrivals(2 * len(made), timeout=PATIENCE)
        gate.release()
        got = [answer for some in begun for answer in some.answers]
    assert {(answer.status, answer.body) for answer in got} == {(200, "ada")}
    assert forgiving.grants == 2 * len(made)


def test_without_grace_new_tokens_that_died_with_their_holder_are_the_sessions_end(
    cluster: Cluster, cases: Cases, rotating: Cognito
) -> None:
    made = cases(rotating, lease=1)  # as long they wait for newer ones of the holder's
    kill_with_the_new_tokens(made, rotating, cluster)
    # A newer cookie of a sealed session may be on its way, as far as anybody can tell.
    over, unknown = {(401, "cleared")}, {(401, None)}
    assert outcomes(made) == {
        "stored sqlite": over,
        "stored redis": over,
        "sealed sqlite": unknown,
        "sealed redis": unknown,
    }


def records(cases: dict[str, Case], user: str) -> dict[str, list[tuple[bytes, Record]]]:
    """What the stores keep of the stored sessions of a user."""
    found = {}
    for name, case in cases.items():
        if case.spec.kind == "stored":
            with closing(case.spec.open()) as store:
                found[name] = store.of_user(user)
                assert len(found[name]) == 1
    return found


def test_a_holder_that_was_paused_overwrites_nothing_that_is_newer(
    cases: Cases, forgiving: Cognito
) -> None:
    made = cases(forgiving)
    with forgiving.pool.hold(REFRESH) as gate:
        slow = {name: case.holder.begin(case.cookie) for name, case in made.items()}
        gate.wait_for_arrivals(len(made), timeout=PATIENCE)
        (holder,) = {case.holder.worker for case in made.values()}
        holder.pause()
        begun = {name: case.others[0].begin(case.cookie) for name, case in made.items()}
        gate.wait_for_arrivals(2 * len(made), timeout=PATIENCE)
        gate.release()
    newer = {name: some.answer for name, some in begun.items()}
    user = user_key(forgiving.pool.user_pool_id, forgiving.sub)
    kept = records(made, user)
    holder.go_on()
    late = {name: some.answer for name, some in slow.items()}
    assert {(answer.status, answer.body) for answer in (*late.values(), *newer.values())} == {
        (200, "ada")
    }
    assert {name: a.new_cookie for name, a in late.items()} == {
        name: a.new_cookie for name, a in newer.items()
    }
    assert records(made, user) == kept
