"""`RedisStore` where the server refuses: an ACL, TLS, a wrong url, a server of another kind."""

import logging
import re
import socket
import ssl
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw import SealedSession, StoredSession
from amplify_mw.errors import ConfigurationError
from amplify_mw.sessions.record import Record
from amplify_mw.stores.base import StoreUnavailable
from amplify_mw.stores.redis.errors import told
from amplify_mw.stores.redis.server import WrongServer, evicting, judge
from amplify_mw.stores.redis.store import RedisStore
from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.store_contract import KEY, LONG, OTHER
from tests.docs.pages import PAGES
from tests.patience import until
from tests.shells import Shell
from tests.sites import KEYS, Browser, Site
from tests.stores.redis_tools import Relay, Way, certificate, in_the_end
from tests.stores.test_redis import RedisContract
from tests.valkey import Valkey, free_port, program


def documented(beginning: str) -> list[str]:
    """The words of the line that the documentation has for an ACL."""
    (line,) = [line for line in PAGES["many-machines"].splitlines() if line.startswith(beginning)]
    return line.split()


LEAST = documented("ACL SETUSER web on ")
FOR_LOCAL_CACHE = documented("ACL SETUSER web +publish")
FOR_A_CLUSTER = documented("ACL SETUSER web +cluster")
COMMANDS = [word[1:] for word in LEAST if word.startswith("+")]


def allow(server: Valkey, *lines: list[str]) -> str:
    """Give a server a user by those lines; the url for it."""
    with server.client() as client:
        for line in lines:
            client.execute_command(*line)
    return server.url.replace("//", "//web:a-secret@")


# The least that an ACL has to allow


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server with a user who has the least ACL."""
    server = Valkey(tmp_path_factory.mktemp("guarded"))
    allow(server, LEAST)
    yield server
    server.stop()


class TestRedisStoreWithTheLeastACL(RedisContract):
    @pytest.fixture
    def store(self, guarded: Valkey) -> Iterator[RedisStore]:
        with guarded.client() as client:
            client.flushall()
        store = RedisStore(allow(guarded))
        yield store
        store.close()


@pytest.mark.usefixtures("attentive")
def test_the_least_acl_for_a_local_cache_keeps_one(
    own_valkey: Valkey, record: Record, ask: Way, caplog: pytest.LogCaptureFixture
) -> None:
    url = allow(own_valkey, LEAST, FOR_LOCAL_CACHE)
    writer, near = RedisStore(url), RedisStore(url, local_cache=3600)
    assert ask(writer, "create", KEY, record)
    until(lambda: is_near(near))

    assert ask(writer, "delete", KEY)

    until(lambda: near.load(KEY) is None)
    with own_valkey.client() as client:  # the listener's sign of life is allowed, too
        until(lambda: client.info("commandstats").get("cmdstat_ping"))
    assert not caplog.records
    near.close()


def is_near(store: RedisStore) -> bool:
    """Whether the record is served from memory."""
    store.load(KEY)
    assert store._listener is not None
    return store._listener.cache.find(KEY) is not None


@pytest.mark.parametrize("allowed", [[], ["ACL", "SETUSER", "web", "+subscribe", "&*"]])
def test_a_local_cache_that_may_not_publish_or_hear_serves_nothing_and_says_so_once(
    own_valkey: Valkey, record: Record, caplog: pytest.LogCaptureFixture, allowed: list[str]
) -> None:
    url = allow(own_valkey, LEAST, *([allowed] if allowed else []))
    store = RedisStore(url, local_cache=3600)

    with caplog.at_level(logging.WARNING, "amplify_mw"):
        assert store.create(KEY, record)
        assert not is_near(store)
        with own_valkey.client() as client:  # it has tried a second time
            until(lambda: client.info("commandstats")["cmdstat_publish"]["rejected_calls"] > 2)
    assert not is_near(store)

    (warning,) = [found.getMessage() for found in caplog.records]
    assert "local_cache is off" in warning
    assert "allow +publish +subscribe +ping &PREFIXchanged" in warning
    store.close()


@pytest.fixture
def limited(own_valkey: Valkey, record: Record) -> Iterator[RedisStore]:
    """A store whose user has the least ACL, with a session, and a lease on it."""
    store = RedisStore(allow(own_valkey, LEAST))
    assert store.create(KEY, record)
    yield store
    store.close()


def contents(server: Valkey) -> dict[bytes, Any]:
    """All that a server holds."""
    with server.client() as client:
        return {name: client.dump(name) for name in client.scan_iter()}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "method",
    [
        "create",
        "replace",
        "delete",
        "acquire",
        "acquire_and_load",
        "replace_and_release",
        "end",
        "end_of_user",
    ],
)
def test_a_write_that_an_acl_refuses_half_way_leaves_nothing_behind(
    own_valkey: Valkey, limited: RedisStore, record: Record, ask: Way, method: str, command: str
) -> None:
    arguments: dict[str, tuple[Any, ...]] = {
        "create": (OTHER, record),
        "replace": (KEY, replace(record, version=9)),
        "delete": (KEY,),
        "acquire": (KEY, LONG),
        "acquire_and_load": (KEY, LONG),
        "replace_and_release": (KEY, replace(record, version=9), 1),
        "end": (KEY, True),
        "end_of_user": ("ada",),
    }
    before = contents(own_valkey)
    with own_valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "web", f"-{command}")

    refused = ""
    try:
        ask(limited, method, *arguments[method])
    except StoreUnavailable as error:
        refused = str(error)

    assert (contents(own_valkey) == before) == bool(refused)
    assert not refused or f"NOPERM: its ACL refuses '{command}'" in refused


@pytest.mark.parametrize("command", ["getrange", "get", "zrange"])
def test_a_read_that_an_acl_refuses_is_no_missing_session(
    own_valkey: Valkey, limited: RedisStore, record: Record, ask: Way, command: str
) -> None:
    asked = {
        "getrange": [
            ("replace", KEY, record),
            ("acquire", KEY, LONG),
            ("create", KEY, record),
            ("renew", KEY, 1, LONG),
            ("release", KEY, 1),
            ("reload", KEY, replace(record, stamp=b"stamps")),
        ],
        "get": [
            ("load", KEY),
            ("of_user", "ada"),
            ("acquire_and_load", KEY, LONG),
            ("delete", KEY),
            ("end", KEY),
            ("end", KEY, True),
            ("end_of_user", "ada"),
        ],
        "zrange": [("of_user", "ada"), ("end_of_user", "ada")],
    }
    before = contents(own_valkey)
    with own_valkey.client() as client:
        client.execute_command("ACL", "SETUSER", "web", f"-{command}")

    for question in asked[command]:
        with pytest.raises(StoreUnavailable, match=f"NOPERM: its ACL refuses '{command}'"):
            ask(limited, *question)
    assert contents(own_valkey) == before


def test_keys_that_an_acl_refuses_are_said_without_their_names(
    own_valkey: Valkey, record: Record, ask: Way
) -> None:
    store = RedisStore(allow(own_valkey, LEAST), prefix="a-secret-prefix:")

    for method, *arguments in (("load", KEY), ("create", KEY, record)):
        with pytest.raises(StoreUnavailable, match=r"^Redis: NOPERM: ") as refused:
            ask(store, method, *arguments)
        assert "a-secret" not in str(refused.value)


# Errors that name their cause


def tls_context(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


Make = Callable[[Valkey, Path, list[Relay]], str]


def tls(query: str, host: str = "127.0.0.1", scheme: str = "rediss", **dates: float) -> Make:
    """The url of a server that speaks TLS."""

    def make(server: Valkey, folder: Path, relays: list[Relay]) -> str:
        file = certificate(folder, **dates)
        relays.append(Relay(server.port, tls_context(file)))
        return f"{scheme}://{host}:{relays[-1].port}/0{query.replace('FILE', str(file))}"

    return make


def url(template: str, *orders: str) -> Make:
    """A url, once the server was given those orders."""

    def make(server: Valkey, folder: Path, relays: list[Relay]) -> str:
        with server.client() as client:
            for order in orders:
                client.execute_command(*order.split())
        return template.replace("PORT", str(server.port)).replace("FOLDER", str(folder))

    return make


CAUSES: dict[str, tuple[Make, str]] = {
    "an unknown CA": (tls(""), "unknown CA: name that, ?ssl_ca_certs="),
    "another host name": (tls("?ssl_ca_certs=FILE", "localhost"), "for another host name"),
    "an expired certificate": (
        tls("?ssl_ca_certs=FILE", begins=-2, ends=-1),
        "certificate has expired",
    ),
    "a certificate of tomorrow": (
        tls("?ssl_ca_certs=FILE", begins=1, ends=2),
        "is not valid yet: is this machine's clock right?",
    ),
    "no file of the CA": (tls("?ssl_ca_certs=FILE.missing"), "ssl_ca_certs, ssl_certfile) cannot"),
    "no TLS towards a port with TLS": (tls("", scheme="redis"), "one with TLS (then write rediss"),
    "TLS towards a port without": (url("rediss://127.0.0.1:PORT/0"), "one without TLS (then"),
    "a wrong password": (
        url("redis://:a-secret@127.0.0.1:PORT/0", "CONFIG SET requirepass right"),
        "wrong user name or password",
    ),
    "a user that there is not": (
        url("redis://nobody:a-secret@127.0.0.1:PORT/0"),
        "wrong user name or password",
    ),
    "no password": (
        url("redis://127.0.0.1:PORT/0", "CONFIG SET requirepass right"),
        "it wants a password",
    ),
    "a password that is not wanted": (
        url("redis://:a-secret@127.0.0.1:PORT/0"),
        "it has no password",
    ),
    "a wrong port": (url("redis://127.0.0.1:1/0"), "is the port right?"),
    "an unknown host": (url("redis://no-such-host.invalid/0"), "host name is not known"),
    "an unknown database": (url("redis://127.0.0.1:PORT/99"), "no such database"),
    "no socket": (url("unix://FOLDER/no.sock"), "no socket at that path"),
}


@pytest.mark.parametrize(("make", "said"), CAUSES.values(), ids=CAUSES)
def test_a_failure_names_its_cause_and_no_secret(
    request: pytest.FixtureRequest,
    own_valkey: Valkey,
    tmp_path: Path,
    ask: Way,
    make: Make,
    said: str,
) -> None:
    relays: list[Relay] = []
    silence = {"timeout": 1} if "TLS towards a port without" in request.node.name else {}
    store = RedisStore(make(own_valkey, tmp_path, relays), **silence)

    with pytest.raises(StoreUnavailable) as failed:
        ask(store, "load", KEY)

    for relay in relays:
        relay.close()
    assert re.match(r"Redis: \w+: ", str(failed.value))
    assert said in str(failed.value)
    assert "a-secret" not in "".join(traceback.format_exception(failed.value))


def test_a_failure_of_a_server_that_has_answered_before_guesses_at_no_url(
    impatient: RedisStore, own_valkey: Valkey, ask: Way
) -> None:
    in_the_end(lambda: ask(impatient, "load", KEY))
    own_valkey.pause()

    with pytest.raises(StoreUnavailable, match=r"^Redis: TimeoutError$"):
        ask(impatient, "load", KEY)


# A server of another kind


def in_a_cluster(folder: Path, *options: str) -> Valkey:
    """A node of a Redis Cluster, which has no slots yet."""
    enabled = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    return Valkey(folder, *enabled, *options)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Valkey]:
    """A Redis Cluster of one node, which has all slots."""
    server = in_a_cluster(tmp_path)
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        until(lambda: "ok" in str(client.execute_command("CLUSTER INFO")))
    yield server
    server.stop()


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[str]:
    """The url of a Sentinel."""
    port = free_port()
    file = tmp_path / "sentinel.conf"
    file.write_text(f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n")
    process = subprocess.Popen(
        [program(), str(file), "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: listens(port))
    yield f"redis://127.0.0.1:{port}"
    process.kill()
    process.wait()


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [found.getMessage() for found in caplog.records if found.levelno >= logging.ERROR]


@pytest.mark.parametrize("database", ["", "/0", "/1"])
def test_a_cluster_is_refused_at_the_first_use_and_logged_once(
    cluster: Valkey, ask: Way, caplog: pytest.LogCaptureFixture, database: str
) -> None:
    store = RedisStore(f"redis://127.0.0.1:{cluster.port}{database}")

    for _ in range(3):
        with pytest.raises(
            StoreUnavailable, match=r"Redis Cluster: write RedisStore\(url, cluster=True\)"
        ):
            ask(store, "load", KEY)

    (error,) = errors(caplog)
    assert "this is a node of a Redis Cluster" in error


def test_a_cluster_that_does_not_know_hello_is_recognised_by_its_answers(
    tmp_path: Path, record: Record, ask: Way, caplog: pytest.LogCaptureFixture
) -> None:
    server = in_a_cluster(tmp_path, "--rename-command", "HELLO", "")
    store = RedisStore(server.url)

    with pytest.raises(StoreUnavailable, match="CLUSTERDOWN: this is a node of a Redis Cluster"):
        ask(store, "load", KEY)

    assert len(errors(caplog)) == 1
    server.stop()


@pytest.mark.parametrize("database", ["", "/1"])
def test_a_sentinel_is_refused_at_the_first_use(
    sentinel: str, ask: Way, caplog: pytest.LogCaptureFixture, database: str
) -> None:
    store = RedisStore(sentinel + database)

    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="this is the port of a Sentinel"):
            ask(store, "load", KEY)

    (error,) = errors(caplog)
    assert "this is the port of a Sentinel" in error


def test_a_server_that_does_not_know_hello_is_taken_as_it_is(
    tmp_path: Path, record: Record, ask: Way
) -> None:
    server = Valkey(tmp_path, "--rename-command", "HELLO", "", "--rename-command", "INFO", "")
    store = RedisStore(server.url)

    assert ask(store, "create", KEY, record)
    assert ask(store, "load", KEY) == record
    server.stop()


@pytest.fixture(params=["stored", "sealed"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def site_on(url: str, kind: str, shell: Shell, pool: LocalUserPool) -> Site:
    store = RedisStore(url)
    sealed = SealedSession(keys=KEYS[:1], coordinator=store, staleness=0)
    return Site(shell, pool, time.time, sealed if kind == "sealed" else StoredSession(store))


def test_a_visitor_of_a_site_on_a_cluster_keeps_the_cookie_and_is_asked_to_come_again(
    own_valkey: Valkey,
    cluster: Valkey,
    shell: Shell,
    pool: LocalUserPool,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before, after = (site_on(server.url, kind, shell, pool) for server in (own_valkey, cluster))
    visitor = Browser(after, before.sign_in("ada").jar)

    for _ in range(2):
        got = visitor.ask(lambda: after.who())  # an AuthError that nobody catches
        assert got.status == 503
        assert not got.all("set-cookie")

    (error,) = errors(caplog)
    assert "this is a node of a Redis Cluster" in error
    before.close()
    after.close()


# The log of a server that takes no writes


def test_a_read_only_server_is_told_of_once_however_often_it_is_read_and_written(
    own_valkey: Valkey,
    shell: Shell,
    pool: LocalUserPool,
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = site_on(own_valkey.url, kind, shell, pool)
    ada = site.sign_in("ada")
    with own_valkey.client() as client, caplog.at_level(logging.WARNING, "amplify_mw"):
        client.replicaof("127.0.0.1", "1")
        for _ in range(5):
            assert ada.does(site.who).body == "ada"
            assert ada.does(site.refresh).body == "NetworkError store_unavailable"
        client.replicaof("NO", "ONE")
        assert ada.does(site.who).body == "ada"
        assert len(ada.does(site.refresh).body) > 500

    told = [found.getMessage() for found in caplog.records]
    assert len(told) == 2
    assert told[0].startswith(
        "the session store does not answer (Redis: READONLY: a replica takes no writes"
    )
    assert told[1] == "the session store answers again"
    site.close()


# The url


@pytest.fixture(params=["valkey", "valkeys"])
def valkeys_own_url(
    request: pytest.FixtureRequest, own_valkey: Valkey, tmp_path: Path
) -> Iterator[str]:
    if request.param == "valkey":
        yield f"valkey://127.0.0.1:{own_valkey.port}/3"
        return
    file = certificate(tmp_path)
    relay = Relay(own_valkey.port, tls_context(file))
    yield f"valkeys://127.0.0.1:{relay.port}/3?ssl_ca_certs={file}"
    relay.close()


def test_a_url_may_name_valkey(
    own_valkey: Valkey, valkeys_own_url: str, record: Record, ask: Way
) -> None:
    store = RedisStore(valkeys_own_url)

    assert ask(store, "create", KEY, record)

    with redis.Redis(port=own_valkey.port, db=3) as client:
        assert client.exists(b"amplify_mw:s:" + KEY)
    store.close()


@pytest.mark.parametrize("scheme", ["redis", "rediss", "valkey", "valkeys"])
@pytest.mark.parametrize("path", ["/a-secret", "/0/1", "/-1", "/1a-secret", "/%31", "/²"])
def test_a_database_that_is_no_number_is_refused(scheme: str, path: str) -> None:
    with pytest.raises(ConfigurationError, match="the number of a database; write") as refused:
        RedisStore(f"{scheme}://127.0.0.1:6379{path}")

    assert "a-secret" not in "".join(traceback.format_exception(refused.value, limit=0))


@pytest.mark.parametrize("path", ["", "/", "/0", "/15", "/3/"])
def test_a_database_that_is_a_number_or_left_out_is_taken(path: str) -> None:
    RedisStore(f"redis://127.0.0.1:6379{path}")


# Whatever a server says

ERRORS = [
    *(redis.ResponseError, redis.ConnectionError, redis.AuthenticationError, redis.TimeoutError),
    *(
        redis.ReadOnlyError,
        redis.exceptions.NoPermissionError,
        redis.InvalidResponse,
        OSError,
        ValueError,
    ),
]


@given(st.sampled_from(ERRORS), st.text(), st.booleans(), st.booleans())
def test_no_words_of_a_server_reach_the_log(
    error: type[Exception], text: str, is_tls: bool, was_reached: bool
) -> None:
    before, after = (
        told(error(words), is_tls=is_tls, was_reached=was_reached)
        for words in (f"ERR {text}", f"ERR {text} a-secret")
    )

    assert "a-secret" not in after
    assert before == after


values = st.recursive(
    st.none() | st.integers() | st.binary(max_size=20) | st.just(b"mode"),
    lambda inner: st.lists(inner, max_size=6),
)


@given(
    values,
    values | st.binary().map(lambda rest: b"maxmemory:5\r\nmaxmemory_policy:" + rest),
    st.booleans(),
)
def test_whatever_a_server_says_of_itself_it_is_taken_or_refused(
    hello: Any, memory: Any, in_cluster: bool
) -> None:
    with suppress(WrongServer):
        judge(hello, in_cluster=in_cluster)
    assert evicting(memory) is None or "-" in str(evicting(memory))
