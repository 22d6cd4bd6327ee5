"""The records of the library's log: their extra attributes, for formatters that write JSON."""

import json
import logging
import pickle
from collections.abc import Iterator
from logging.handlers import QueueHandler, SocketHandler
from queue import SimpleQueue
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from amplify_mw import get_current_user
from amplify_mw.engine.lines import write_line
from amplify_mw.events import Notice, Outage, Refused, SignInFailed
from amplify_mw.log import FIELDS, logger
from amplify_mw.testing import LocalUserPool
from tests.shells import ASGIShell, Ask, Shell, WSGIShell

NAMES = ("reason", "kind", "path", "pool", "client")


class JSONLines(logging.Formatter):
    """One that escapes no more than JSON has to."""

    def format(self, record: logging.LogRecord) -> str:
        told = {name: getattr(record, name) for name in NAMES}
        return json.dumps({"message": record.getMessage(), **told}, ensure_ascii=False)


class Kept(logging.Handler):
    """Formats each record in both ways, as two handlers of an app would."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.plain: list[str] = []
        self.json: list[str] = []
        words = " ".join(f"{name}=%({name})s" for name in NAMES)
        self._plain = logging.Formatter(f"%(levelname)s %(message)s {words}")

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.plain.append(self._plain.format(record))
        self.json.append(JSONLines().format(record))


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, ours = Kept(), logging.getLogger("amplify_mw")
    level = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    yield handler
    ours.removeHandler(handler)
    ours.setLevel(level)


@pytest.fixture
def factory() -> Iterator[Any]:
    """Sets the app's factory of records, for one test."""
    before = logging.getLogRecordFactory()
    yield logging.setLogRecordFactory
    logging.setLogRecordFactory(before)


def told(record: logging.LogRecord) -> dict[str, object]:
    return {name: record.__dict__[name] for name in NAMES}


def test_the_names_are_those_of_the_docs_and_none_of_loggings_own() -> None:
    assert tuple(FIELDS) == NAMES
    record = logging.makeLogRecord({})
    assert FIELDS.keys().isdisjoint({*vars(record), "message", "asctime", "taskName"})


def test_a_queue_or_a_socket_takes_the_attributes_along(kept: Kept) -> None:
    fault = ValueError("why")
    write_line(Refused("bad_signature", 401, "cookie", session="token", path="/a"), error=fault)
    queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
    QueueHandler(queue).emit(kept.records[0])
    sent = pickle.loads(pickle.dumps(queue.get()))
    assert told(sent) == told(kept.records[0])
    handler = SocketHandler("127.0.0.1", None)
    packed = pickle.loads(handler.makePickle(kept.records[0])[4:])
    assert {name: packed[name] for name in NAMES} == told(kept.records[0])


def test_a_refusal_says_why_where_and_whose(shell: Shell, pool: LocalUserPool, kept: Kept) -> None:
    app = shell.middleware(shell.app(lambda: "home"), pool.config(protect=["/*"]))
    shell.send(app, Ask("/a\nb", cookie="junk", query="code=secret"))
    expected = {
        "reason": "malformed_token",
        "kind": "token",
        "path": r"/a\nb",
        "pool": pool.user_pool_id,
        "client": pool.client_id,
    }
    assert [told(record) for record in kept.records] == [expected, expected]


def test_a_warning_of_a_mistake_says_which_refusals_it_is_about(
    shell: Shell, pool: LocalUserPool, kept: Kept
) -> None:
    app = shell.middleware(shell.app(lambda: "home"), pool.config(client_id="another"))
    shell.send(app, Ask(cookie=pool.mint("ada")))
    loud = [record for record in kept.records if record.levelname == "WARNING"]
    assert [record.__dict__["reason"] for record in loud] == ["wrong_client"]


def test_a_fault_keeps_its_traceback_beside_the_attributes(kept: Kept) -> None:
    try:
        raise ValueError("why")
    except ValueError as error:
        write_line(Refused("cognito_error", 500, "answer", path="/a", method="GET"), error=error)
    [record] = kept.records
    assert record.__dict__["reason"] == "cognito_error"
    assert "ValueError: why" in kept.plain[0]
    assert record.exc_text is not None


def test_a_failed_sign_in_is_told_likewise(kept: Kept) -> None:
    for mend in ("", "write it"):
        write_line(
            SignInFailed("token_refused", "routes", 502, None, "", mend, "stored", path="/auth")
        )
    for record in kept.records:
        assert told(record) == {
            "reason": "token_refused", "kind": "stored", "path": "/auth",
            "pool": None, "client": None,
        }  # fmt: skip


def test_every_record_has_all_of_them(kept: Kept) -> None:
    logger.debug("a")
    logger.info("b")
    logger.warning("c %s", "d")
    logger.error("e", exc_info=ValueError("f"))
    write_line(Outage("the key set", "a time-out"))
    write_line(Notice("something"))
    assert len(kept.records) == 6
    for record in kept.records:
        assert told(record) == dict.fromkeys(NAMES)


def test_the_attributes_of_the_apps_own_factory_stay(
    shell: Shell, pool: LocalUserPool, kept: Kept, factory: Any
) -> None:
    def made(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = logging.LogRecord(*args, **kwargs)
        record.client, record.path, record.reason = "192.0.2.7", "", None
        return record

    factory(made)
    app = shell.middleware(shell.app(lambda: "home"), pool.config())
    shell.send(app, Ask("/a", cookie="junk"))
    [record] = kept.records
    assert record.getMessage() == "cookie refused: malformed_token (GET '/a')"
    assert told(record) == {
        "reason": "malformed_token",  # None is no value
        "kind": "token",
        "path": "",
        "pool": pool.user_pool_id,
        "client": "192.0.2.7",
    }


def test_a_record_class_that_takes_no_attribute_is_written_all_the_same(
    kept: Kept, factory: Any
) -> None:
    class Own(logging.LogRecord):
        path = property(lambda self: None)

    factory(Own)
    write_line(Notice("something", "wrong_client"))
    [record] = kept.records
    assert (record.getMessage(), record.__dict__["reason"]) == ("something", "wrong_client")


def test_a_filter_of_the_app_has_the_last_word(kept: Kept) -> None:
    def filtered(record: logging.LogRecord) -> bool:
        record.path = "hidden" if record.__dict__["path"] == "/secret" else None
        return True

    ours = logging.getLogger("amplify_mw")
    ours.addFilter(filtered)
    try:
        write_line(Refused("bad_signature", 401, "cookie", path="/secret", method="GET"))
    finally:
        ours.removeFilter(filtered)
    [record] = kept.records
    assert (record.__dict__["path"], record.__dict__["reason"]) == ("hidden", "bad_signature")


def test_a_logger_class_of_the_apps_own_makes_the_record(kept: Kept) -> None:
    """As tracers do: they wrap `makeRecord` to add ids."""
    ours = logging.getLogger("amplify_mw")
    before = ours.makeRecord

    def traced(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.trace_id = "abc"
        return record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours, "makeRecord", traced)
        logger.warning("something")
    assert kept.records[0].__dict__["trace_id"] == "abc"


def test_a_record_names_the_line_that_told(kept: Kept) -> None:
    def tell() -> None:
        logger.warning("something", about=Notice("something", "wrong_client"))

    tell()
    [record] = kept.records
    line = tell.__code__.co_firstlineno + 1
    assert (record.filename, record.funcName, record.lineno) == (
        "test_log_records.py",
        "tell",
        line,
    )


def test_nothing_is_read_for_a_line_that_is_not_written() -> None:
    class Unread:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(name)

    logging.getLogger("amplify_mw").setLevel(logging.WARNING)
    try:
        logger.debug("something", about=Unread())
    finally:
        logging.getLogger("amplify_mw").setLevel(logging.NOTSET)


ODD = "\r\n\x00\x1b[31m\x7f\x85\u2028\u202e\ud800\U0010ffff{\"'}%s"


@pytest.mark.parametrize("kind", [WSGIShell, ASGIShell])
@given(
    path=st.text(alphabet=st.sampled_from(ODD) | st.characters(), max_size=200),
    method=st.text(alphabet=st.sampled_from(ODD) | st.characters(), max_size=30),
    cookie=st.text(alphabet=st.characters(max_codepoint=255), max_size=60),
    header=st.text(alphabet=st.characters(max_codepoint=255), max_size=60),
)
@example(
    path="/" + ODD * 20, method="GET" + ODD, cookie="a.b.c\r\nERROR", header="Bearer \r\nERROR"
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_client_forges_a_line(
    pool: LocalUserPool, kind: type[Any], path: str, method: str, cookie: str, header: str
) -> None:
    kept, ours = Kept(), logging.getLogger("amplify_mw")
    ours.addHandler(kept)
    ours.setLevel(logging.DEBUG)
    try:
        shell = kind()
        app = shell.middleware(
            shell.app(lambda: get_current_user().username), pool.config(protect=["/*"])
        )
        headers = {"Authorization": header, "Origin": header, "Referer": header, "Host": header}
        ask = Ask("/" + path, cookie=cookie, method=method, headers=headers, query=header)
        assert shell.send(app, ask).status in (401, 403)
    finally:
        ours.removeHandler(kept)
        ours.setLevel(logging.NOTSET)
    assert kept.records
    for line in (*kept.plain, *kept.json):
        assert line.isascii()
        assert line.isprintable()
    for line in kept.json:
        assert json.loads(line).keys() == {"message", *NAMES}
