"""The app's logging handlers: whatever they do, requests go on."""

import io
import logging
from collections.abc import Iterator

import pytest

from amplify_mw import get_current_user
from amplify_mw.log import logger
from amplify_mw.testing import LocalUserPool
from tests.shells import Ask, Shell


class Broken(logging.Handler):
    """One whose log server is down, and which says so in the worst way."""

    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("the log server is down")


class Unformatted(logging.Handler):
    """One that does as `logging` tells, and fails all the same."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            raise RuntimeError("the log server is down")
        except RuntimeError:
            self.handleError(record)


class Refusing(logging.Handler):
    """One whose filter fails."""

    def filter(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("the log server is down")


@pytest.fixture(params=[Broken, Unformatted, Refusing], autouse=True)
def handler(request: pytest.FixtureRequest) -> Iterator[logging.Handler]:
    handler, ours = request.param(), logging.getLogger("amplify_mw")
    level = ours.level
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG)
    yield handler
    ours.removeHandler(handler)
    ours.setLevel(level)


def home() -> str:
    return "home"


def test_a_refused_cookie_is_answered(shell: Shell, pool: LocalUserPool) -> None:
    app = shell.middleware(shell.app(home), pool.config())
    assert shell.send(app, Ask(cookie="junk")).status == 200


def test_an_outage_is_answered(shell: Shell) -> None:
    with LocalUserPool() as pool:
        pool.add_user("ada")
        app = shell.middleware(shell.app(home), pool.config(http_timeout=1.0))
        token = pool.mint("ada")
    assert shell.send(app, Ask(cookie=token)).status == 200


def test_the_guards_answers_are_sent(shell: Shell, pool: LocalUserPool) -> None:
    app = shell.middleware(shell.app(lambda: get_current_user().username), pool.config())
    assert shell.send(app, Ask()).status == 401


def test_what_a_handler_raised_is_printed_as_logging_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger.warning("something")
    assert "the log server is down" in capsys.readouterr().err
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger.warning("something")
    assert capsys.readouterr().err == ""


def test_a_standard_error_that_is_closed_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed)
    logger.error("something", exc_info=ValueError("why"))
    monkeypatch.setattr("sys.stderr", None)
    logger.error("something", exc_info=ValueError("why"))


def test_a_record_names_the_module_that_told(
    caplog: pytest.LogCaptureFixture, handler: logging.Handler
) -> None:
    logging.getLogger("amplify_mw").removeHandler(handler)
    logger.warning("%s does not answer", "it")
    assert [(r.filename, r.getMessage()) for r in caplog.records] == [
        ("test_log.py", "it does not answer")
    ]
