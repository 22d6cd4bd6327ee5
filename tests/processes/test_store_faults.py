"""Stores that fail, as a site's visitors see it: never an error of the site's, nothing lost.

A store has a minute for its answer, for a busy machine is no fault; only one that is silent until
the test wakes it is given up sooner. Once it is awake, its site may say 503 for a while yet.
"""

import os
import resource
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import end_session, get_current_user, start_session
from amplify_mw.engine.engine import Engine
from amplify_mw.models.session import TokenSet
from amplify_mw.testing.store_contract import in_a_child
from tests.patience import until
from tests.processes.cluster import Cluster
from tests.processes.conftest import DUE, HOUR, Cognito, Places, enter
from tests.processes.sites import Spec
from tests.shells import AppAnswer, Ask, Got, Shell, WSGIShell
from tests.valkey import Valkey

Outcome = tuple[int, str | None]
signed_in: Outcome = (200, None)
not_now: Outcome = (503, None)  # and the cookie is kept
over: Outcome = (401, "cleared")
kinds = pytest.mark.parametrize("kind", ["stored", "sealed"])
forking = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


class Visitor:
    """Somebody at a site of this process."""

    def __init__(self, shell: Shell, spec: Spec) -> None:
        self._shell = shell
        self.spec = spec
        self.store = spec.open()
        self.engine = Engine.of(spec.config(self.store))

    def close(self) -> None:
        self.engine.close()
        if self.store is not None:
            self.store.close()

    def _ask(self, handler: Callable[[], Any], cookie: str | None) -> Got:
        app = self._shell.middleware(self._shell.app(handler), self.engine)
        return self._shell.send(app, Ask(cookie=cookie))

    def sees(self, cookie: str) -> Outcome:
        """What a request of the site comes to."""
        return outcome(self._ask(lambda: get_current_user().username, cookie))

    def signs_in(self, tokens: TokenSet) -> Outcome:
        return outcome(self._ask(lambda: start_session(tokens).username, None))

    def signs_out(self, cookie: str) -> Outcome:
        def leave() -> AppAnswer:
            end_session()
            return AppAnswer("bye")

        return outcome(self._ask(leave, cookie))


def outcome(got: Got) -> Outcome:
    """A status; whether the cookie was `set` or `cleared`. A 503 says when to come again."""
    assert got.status != 503 or int(got.one("retry-after") or 0) > 0
    if got.clears_cookie:
        return got.status, "cleared"
    return got.status, "set" if got.all("set-cookie") else None


@dataclass
class Visits:
    """Makes visitors, whose sites are closed in the end."""

    shell: Shell
    made: list[Visitor]

    def to(self, spec: Spec) -> Visitor:
        self.made.append(Visitor(self.shell, spec))
        return self.made[-1]


@pytest.fixture
def visits(shell: Shell) -> Iterator[Visits]:
    visits = Visits(shell, [])
    yield visits
    for visitor in visits.made:
        visitor.close()


@dataclass
class Cookies:
    """Sessions of all ages."""

    fresh: str
    leaving: str
    due: str
    expired: str

    @classmethod
    def of(cls, spec: Spec, cognito: Cognito) -> "Cookies":
        return cls(
            fresh=enter(spec, cognito.tokens()),
            leaving=enter(spec, cognito.tokens()),
            due=enter(spec, cognito.tokens(age=DUE)),
            expired=enter(spec, cognito.tokens(age=HOUR + 200), HOUR + 200),
        )


def redis_site(places: Places, cognito: Cognito, kind: str, server: Valkey) -> Spec:
    return replace(places.site(cognito, kind, "none"), store="redis", where=server.url)


def impatient(spec: Spec) -> Spec:
    """For a store that answers nothing until the test wakes it."""
    return replace(spec, timeout=0.2)


def in_the_end(act: Callable[[], Outcome]) -> Outcome:
    """What comes of it for a visitor who comes again, as each 503 says."""
    return until(lambda: (came := act())[0] != 503 and came)


# Writing is refused


def what_is_done(visitor: Visitor, cookies: Cookies, cognito: Cognito) -> dict[str, Outcome]:
    return {
        "fresh": visitor.sees(cookies.fresh),
        "due": visitor.sees(cookies.due),
        "expired": visitor.sees(cookies.expired),
        "sign-in": visitor.signs_in(cognito.tokens()),
        "sign-out": visitor.signs_out(cookies.leaving),
    }


UNWRITABLE = {
    "stored": {
        "fresh": signed_in,
        "due": signed_in,
        "expired": not_now,
        "sign-in": not_now,
        "sign-out": (503, "cleared"),
    },
    "sealed": {  # whose beginning needs no store
        "fresh": signed_in,
        "due": signed_in,
        "expired": not_now,
        "sign-in": (200, "set"),
        "sign-out": (503, "cleared"),
    },
}
RECOVERED = {
    "fresh": signed_in,
    "expired": (200, "set"),
    "sign-in": (200, "set"),
    "sign-out": (200, "cleared"),
}


def what_is_done_later(visitor: Visitor, cookies: Cookies, cognito: Cognito) -> dict[str, Outcome]:
    """All but a refresh of tokens that are good still, which may have been put off for a while."""
    done = what_is_done(visitor, cookies, cognito)
    assert done.pop("due")[0] == 200
    return done


def assert_is_back(visitor: Visitor, cookies: Cookies, cognito: Cognito) -> None:
    """The impatient site does all of it in the end, however late its store's answers are."""
    assert in_the_end(lambda: visitor.sees(cookies.fresh)) == signed_in
    assert in_the_end(lambda: visitor.sees(cookies.due))[0] == 200
    assert in_the_end(lambda: visitor.sees(cookies.expired))[0] == 200
    assert in_the_end(lambda: visitor.signs_in(cognito.tokens())) == (200, "set")
    assert in_the_end(lambda: visitor.signs_out(cookies.leaving)) == (200, "cleared")


@contextmanager
def read_only(server: Valkey) -> Iterator[None]:
    """As a primary becomes at a failover."""
    with closing(server.client()) as client:
        client.replicaof("127.0.0.1", "1")
        yield
        client.replicaof("NO", "ONE")


@contextmanager
def out_of_memory(server: Valkey) -> Iterator[None]:
    with closing(server.client()) as client:
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)


@kinds
@pytest.mark.parametrize("fault", [read_only, out_of_memory])
def test_a_redis_that_takes_no_writes_serves_who_is_signed_in(
    visits: Visits,
    places: Places,
    cognito: Cognito,
    own_valkey: Valkey,
    kind: str,
    fault: Callable[[Valkey], Any],
) -> None:
    spec = redis_site(places, cognito, kind, own_valkey)
    visitor, cookies = visits.to(spec), Cookies.of(spec, cognito)
    expected = dict(UNWRITABLE[kind])
    if fault is out_of_memory and kind == "stored":
        expected["sign-out"] = (200, "cleared")  # what makes room is allowed
    with fault(own_valkey):
        assert what_is_done(visitor, cookies, cognito) == expected
    assert cognito.grants == 0
    assert what_is_done_later(visitor, cookies, cognito) == RECOVERED


@contextmanager
def locked(path: str) -> Iterator[None]:
    """By a write that does not end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full_disk(path: str) -> Iterator[None]:
    """No file of this process may become any larger than the database's log is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(path + "-wal").stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@kinds
@pytest.mark.parametrize("fault", [locked, full_disk])
def test_a_sqlite_that_takes_no_writes_serves_who_is_signed_in(
    visits: Visits,
    places: Places,
    cognito: Cognito,
    kind: str,
    fault: Callable[[str], Any],
) -> None:
    spec = places.site(cognito, kind, "sqlite")
    cookies = Cookies.of(spec, cognito)
    visitor = visits.to(impatient(spec) if fault is locked else spec)
    assert visitor.sees(cookies.fresh) == signed_in
    visitor.store.release(b"k" * 32, 1)  # its log is there
    with fault(spec.where):
        assert what_is_done(visitor, cookies, cognito) == UNWRITABLE[kind]
    assert cognito.grants == 0
    if fault is locked:
        assert_is_back(visitor, cookies, cognito)
    else:
        assert what_is_done_later(visitor, cookies, cognito) == RECOVERED


@kinds
@forking
def test_a_sqlite_file_that_is_read_only_refuses_or_serves(cognito: Cognito, kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spec = Spec("site", cognito.fields, kind, where=f"{folder}/sessions")
        cookies = Cookies.of(spec, cognito)
        with closing(spec.open()) as store:
            store.release(b"k" * 32, 1)  # the file is there
        Path(spec.where).chmod(0o444)
        Path(folder).chmod(0o555)

        def is_not_writable() -> bool:
            if os.geteuid() == 0:
                os.setuid(65534)
            got = what_is_done(Visitor(WSGIShell(), spec), cookies, cognito)
            # Without the files beside it, which may not be made, it cannot be read either.
            return all(got[name] in (UNWRITABLE[kind][name], not_now) for name in got)

        assert in_a_child(is_not_writable)
        assert what_is_done_later(Visitor(WSGIShell(), spec), cookies, cognito) == RECOVERED


# Nothing is answered


def test_a_redis_that_is_down_at_the_start_is_used_once_it_is_there(
    visits: Visits, places: Places, cognito: Cognito, own_valkey: Valkey
) -> None:
    spec = redis_site(places, cognito, "stored", own_valkey)
    own_valkey.stop()
    visitor = visits.to(spec)
    assert visitor.signs_in(cognito.tokens()) == not_now
    assert visitor.sees("A" * 43) == not_now
    own_valkey.start()
    assert visitor.signs_in(cognito.tokens()) == (200, "set")
    assert visitor.sees(enter(spec, cognito.tokens())) == signed_in


@kinds
def test_while_a_redis_answers_nothing_cookies_are_kept(
    visits: Visits, places: Places, cognito: Cognito, own_valkey: Valkey, kind: str
) -> None:
    spec = redis_site(places, cognito, kind, own_valkey)
    visitor, cookies = visits.to(impatient(spec)), Cookies.of(spec, cognito)
    own_valkey.pause()
    assert {visitor.sees(cookie) for cookie in (cookies.fresh, cookies.expired)} == {not_now}
    own_valkey.go_on()
    assert_is_back(visitor, cookies, cognito)


@pytest.mark.parametrize("kind", ["stored", "sealed"])
def test_a_redis_that_has_lost_everything_asks_for_a_plain_sign_in(
    visits: Visits, places: Places, cognito: Cognito, own_valkey: Valkey, kind: str
) -> None:
    spec = redis_site(places, cognito, kind, own_valkey)
    visitor, cookies = visits.to(spec), Cookies.of(spec, cognito)
    with closing(own_valkey.client()) as client:
        client.flushall()
    # A sealed session is in its cookie.
    expected = {"stored": over, "sealed": signed_in}[kind]
    assert visitor.sees(cookies.fresh) == expected
    assert visitor.signs_in(cognito.tokens()) == (200, "set")


@kinds
def test_a_redis_that_was_started_anew_serves_at_once(
    visits: Visits, places: Places, cognito: Cognito, own_valkey: Valkey, kind: str
) -> None:
    spec = redis_site(places, cognito, kind, own_valkey)
    visitor, cookies = visits.to(spec), Cookies.of(spec, cognito)
    visitor.sees(cookies.fresh)
    own_valkey.stop()
    assert visitor.sees(cookies.fresh) == not_now
    own_valkey.start()
    assert visitor.sees(cookies.fresh) == {"stored": over, "sealed": signed_in}[kind]
    assert visitor.sees(enter(spec, cognito.tokens())) == signed_in


def test_a_sqlite_whose_folder_is_missing_is_used_once_it_is_there(
    visits: Visits, places: Places, cognito: Cognito, tmp_path: Path
) -> None:
    folder = tmp_path / "later"
    spec = replace(places.site(cognito, "stored", "sqlite"), where=str(folder / "sessions"))
    visitor = visits.to(spec)
    assert visitor.signs_in(cognito.tokens()) == not_now
    assert visitor.sees("A" * 43) == not_now
    folder.mkdir()
    assert visitor.signs_in(cognito.tokens()) == (200, "set")


@kinds
def test_a_sqlite_file_that_is_corrupt_keeps_cookies_until_it_is_mended(
    visits: Visits, places: Places, cognito: Cognito, kind: str
) -> None:
    spec = places.site(cognito, kind, "sqlite")
    cookies, path = Cookies.of(spec, cognito), Path(spec.where)
    visitor = visits.to(spec)
    assert visitor.sees(cookies.fresh) == signed_in
    visitor.store.close()
    good = path.read_bytes()
    path.write_bytes(good[:4096] + b"\xa5" * (len(good) - 4096))
    assert [visitor.sees(cookies.fresh) for _ in range(3)] == [not_now] * 3
    visitor.store.close()
    path.write_bytes(good)
    assert what_is_done_later(visitor, cookies, cognito) == RECOVERED


@kinds
def test_a_sqlite_file_that_was_deleted_asks_for_a_plain_sign_in(
    visits: Visits, places: Places, cognito: Cognito, kind: str
) -> None:
    spec = places.site(cognito, kind, "sqlite")
    cookies, path = Cookies.of(spec, cognito), Path(spec.where)
    visitor = visits.to(spec)
    assert visitor.sees(cookies.fresh) == signed_in
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()
    assert visitor.signs_in(cognito.tokens()) == (200, "set")
    visitor.store.release(b"k" * 32, 1)  # the next write, by which it is noticed
    assert visitor.sees(cookies.fresh) == {"stored": over, "sealed": signed_in}[kind]
    assert visitor.sees(enter(spec, cognito.tokens())) == signed_in


# What is there is none of ours

GARBAGE = [b"", b"amw1", b"garbage" * 1000, b"amw1" + bytes(60), b"amw1" + b"\xff" * 60]


def refreshed(visitor: Visitor, cookie: str) -> str:
    """The cookie after a refresh: a coordinator has a record of the session then."""
    got = visitor._ask(lambda: get_current_user().username, cookie)
    new = got.all("set-cookie")[0].partition(";")[0].partition("=")[2]
    assert visitor.sees(new) == signed_in
    return new


@kinds
@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_in_redis_is_no_session(
    visits: Visits,
    places: Places,
    cognito: Cognito,
    own_valkey: Valkey,
    kind: str,
    garbage: bytes,
) -> None:
    spec = redis_site(places, cognito, kind, own_valkey)
    visitor = visits.to(spec)
    cookie = refreshed(visitor, enter(spec, cognito.tokens(age=DUE)))
    with closing(own_valkey.client()) as client:
        for key in client.keys(f"{spec.name}:*"):
            client.set(key, garbage)
    assert visitor.sees(cookie) == {"stored": over, "sealed": signed_in}[kind]
    assert visitor.signs_in(cognito.tokens()) == (200, "set")


@kinds
def test_what_redis_keeps_in_another_type_is_no_session(
    visits: Visits, places: Places, cognito: Cognito, own_valkey: Valkey, kind: str
) -> None:
    spec = redis_site(places, cognito, kind, own_valkey)
    visitor = visits.to(spec)
    cookie = refreshed(visitor, enter(spec, cognito.tokens(age=DUE)))
    with closing(own_valkey.client()) as client:
        for key in client.keys(f"{spec.name}:*"):
            client.delete(key)
            client.hset(key, "field", "value")
    assert visitor.sees(cookie) == {"stored": over, "sealed": signed_in}[kind]
    assert visitor.signs_in(cognito.tokens()) == (200, "set")


@kinds
@pytest.mark.parametrize("garbage", ["value = x'00ff'", "value = 7", "version = 'x'", "user = 1"])
def test_garbage_in_sqlite_is_no_session(
    visits: Visits, places: Places, cognito: Cognito, kind: str, garbage: str
) -> None:
    spec = places.site(cognito, kind, "sqlite")
    visitor = visits.to(spec)
    cookie = refreshed(visitor, enter(spec, cognito.tokens(age=DUE)))
    with closing(sqlite3.connect(spec.where, isolation_level=None)) as other:
        assert other.execute(f"UPDATE sessions SET {garbage}").rowcount == 1
    visitor = visits.to(spec)  # who has not seen it before
    assert visitor.sees(cookie) == {"stored": over, "sealed": signed_in}[kind]
    assert visitor.signs_in(cognito.tokens()) == (200, "set")


# Under load


def overwrite(file: Path) -> None:
    """In place: who has mapped a file that is cut short under it is ended by the system."""
    with file.open("r+b") as opened:
        opened.write(b"\xa5" * 50_000)


@contextmanager
def load(cluster: Cluster, spec: Spec, cookie: str) -> Iterator[Callable[[], set[int]]]:
    """Requests: some on their way when the fault comes, others about to ask the store.

    What is yielded lets them go on, and gives the statuses of them all.
    """
    members = cluster.members(spec, "wsgi", "asgi")
    assert {in_the_end(lambda of=of: of.ask(cookie).outcome) for of in members} == {signed_in}
    begun = [member.begin(cookie, count=20) for _ in range(3) for member in members]
    for member in members:
        member.do("hold", place="before reload")
    begun += [member.begin(cookie, count=20) for _ in range(3) for member in members]

    def statuses() -> set[int]:
        for member in members:
            member.do("release", place="before reload")
        return {answer.status for some in begun for answer in some.answers}

    yield statuses
    assert {in_the_end(lambda of=of: of.ask(cookie).outcome)[0] for of in members} <= {200, 401}


@kinds
@pytest.mark.parametrize("fault", ["stop", "pause"])
def test_a_redis_that_fails_under_load_makes_no_error_of_the_sites(
    cluster: Cluster,
    places: Places,
    cognito: Cognito,
    own_valkey: Valkey,
    kind: str,
    fault: str,
) -> None:
    spec = redis_site(places, cognito, kind, own_valkey)
    cookie = enter(spec, cognito.tokens())
    # A paused server keeps each request waiting; one that is stopped refuses at once.
    with load(cluster, impatient(spec) if fault == "pause" else spec, cookie) as statuses:
        getattr(own_valkey, fault)()
        assert {503} <= statuses() <= {200, 503}
        getattr(own_valkey, {"stop": "start", "pause": "go_on"}[fault])()


@kinds
@pytest.mark.parametrize("fault", ["deleted", "corrupt", "locked"])
def test_a_sqlite_that_fails_under_load_makes_no_error_of_the_sites(
    cluster: Cluster, places: Places, cognito: Cognito, kind: str, fault: str
) -> None:
    spec = places.site(cognito, kind, "sqlite")
    cookie, path = enter(spec, cognito.tokens()), Path(spec.where)
    files = [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")]
    with load(cluster, spec, cookie) as statuses:
        if fault == "locked":
            with locked(spec.where):
                assert statuses() == {200}
            return
        for file in files:
            overwrite(file) if fault == "corrupt" else file.unlink()
        assert statuses() <= {200, 401, 503}
        for file in files:
            file.unlink(missing_ok=True)


def test_a_site_without_a_store_is_served_while_another_waits_for_its_own(
    cluster: Cluster, places: Places, cognito: Cognito, own_valkey: Valkey
) -> None:
    waiting = redis_site(places, cognito, "stored", own_valkey)
    alone = places.site(cognito, "sealed", "none")
    known = enter(waiting, cognito.tokens())
    cookie = enter(alone, cognito.tokens(age=DUE))
    members = [cluster.members(spec, "wsgi", "asgi") for spec in (waiting, alone)]
    own_valkey.pause()
    begun = [member.begin(known, count=20) for member in members[0]]
    assert {member.ask(cookie).outcome for member in members[1]} == {(200, "set")}
    own_valkey.go_on()
    assert {answer.outcome for some in begun for answer in some.answers} == {signed_in}
