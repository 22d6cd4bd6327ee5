"""Whatever a client sends, the file has one JSON object a line, and no secret in it."""

import io
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from amplify_mw import TokenSession
from amplify_mw.audit import AuditLog
from amplify_mw.events import Refused, Revoked, SignedIn, SignedOut, SignInFailed
from amplify_mw.testing import LocalUserPool
from tests.shells import ASGIShell, Ask, Shell, WSGIShell
from tests.sites import NAME, Clock, Site

EVIL = '\n\r\t\x00\x1b]0;owned\x07\x7f\x85\x9b2J\u2028\u2029\u202e\u2066\ud800\U0001f600"\\}{'
SECRET = "s3cret-" + "x" * 40
TEXTS = st.text(max_size=30) | st.sampled_from([EVIL, "", '"}\n{"event":'])
LATIN = st.text(alphabet=st.characters(max_codepoint=255), max_size=40)


def lines_of(written: bytes) -> list[dict[str, Any]]:
    """The objects in what was written, after a look at every byte."""
    assert written == b"" or written.endswith(b"\n")
    assert all(byte == 0x0A or 0x20 <= byte < 0x7F for byte in written)
    lines = written.splitlines()
    assert written.count(b"\n") == len(lines)
    found = [json.loads(line) for line in lines]
    json.dumps(found, ensure_ascii=False).encode("utf-8")  # there is no half of a pair
    assert all(isinstance(line, dict) for line in found)
    return found


FACTS = st.none() | TEXTS
EVENTS = (
    st.builds(SignedIn, TEXTS, FACTS, FACTS, FACTS, FACTS, FACTS, FACTS, FACTS, FACTS)
    | st.builds(SignedOut, TEXTS, FACTS, FACTS, FACTS, FACTS, FACTS, FACTS, FACTS, FACTS)
    | st.builds(SignInFailed, TEXTS, TEXTS, st.integers(0, 999), FACTS, TEXTS, TEXTS, path=FACTS)
    | st.builds(Refused, TEXTS, st.integers(0, 999), TEXTS, TEXTS, FACTS, path=FACTS)
    | st.builds(Revoked, st.booleans(), TEXTS, st.booleans(), FACTS)
)


@given(st.lists(EVENTS, max_size=8))
@example([SignedIn("app", EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL)])
@example([Refused(EVIL, 401, EVIL, EVIL, user_id=EVIL)] * 3)
def test_any_event_is_one_line_of_printable_text(events: list[Any]) -> None:
    stream = io.BytesIO()
    log = AuditLog(stream)
    for event in events:
        log(event)
    log.flush()
    found = lines_of(stream.getvalue())
    assert log.lost == 0
    assert sum(line["amplify_mw"].get("count", 1) for line in found) == len(events)


class Watched:
    """A site whose audit is kept in memory, for requests of any kind."""

    def __init__(self, shell: Shell, pool: LocalUserPool, clock: Clock) -> None:
        self.stream = io.BytesIO()
        self.log = AuditLog(self.stream, clock=clock)
        options: dict[str, Any] = {"protect": ["/*"], "client_address": "X-Forwarded-For"}
        options |= {"on_event": self.log, "bearer": True}
        self.site = Site(shell, pool, clock, TokenSession(), **options)


@pytest.fixture(scope="module", params=[WSGIShell, ASGIShell], ids=["wsgi", "asgi"])
def watched(request: pytest.FixtureRequest, pool: LocalUserPool, clock: Clock) -> Any:
    made = Watched(request.param(), pool, clock)
    yield made
    made.site.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(path=TEXTS, method=LATIN, address=LATIN, cookie=LATIN, origin=LATIN)
@example(path=EVIL, method="GET\r\n", address="::1%\x1b[2J", cookie="\n", origin="\x9b")
def test_any_request_is_one_line_without_its_secrets(
    watched: Watched, path: str, method: str, address: str, cookie: str, origin: str
) -> None:
    path = "/" + path.encode("utf-8", "replace").decode()
    headers = {"X-Forwarded-For": address, "Origin": origin, "X-Api-Key": SECRET}
    headers |= {"Authorization": f"Bearer {SECRET}"} if len(cookie) % 2 else {}
    cookies = f"{NAME}={SECRET}; other={cookie}"
    ask = Ask(path, None, cookies, method or "GET", headers, query=quote(SECRET))
    watched.site.send(lambda: "page", ask)
    watched.log.flush()
    written = watched.stream.getvalue()
    watched.stream.seek(0)
    watched.stream.truncate()
    assert lines_of(written)
    assert SECRET.encode() not in written
