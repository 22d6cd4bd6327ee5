"""What was pasted is seen from its content; for any bytes there is an answer."""

import base64
import json
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amplify_mw import AmplifyConfig, AmplifyCookies, SealedSession
from amplify_mw.diagnostics import inspect_credential
from amplify_mw.diagnostics.inspection.recognition import MAX_READ, recognise
from tests.sites import KEYS

TOKEN = b"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzIn0.AAAA"
CONFIG = AmplifyConfig(
    user_pool_id="eu-west-1_Ab12Cd34E",
    client_id="web",
    session=[SealedSession(keys=KEYS[:1]), AmplifyCookies()],
    bearer=True,
    protect=["/account/*"],
)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (b"", "nothing", b""),
        (b" \r\n\xef\xbb\xbf", "cookie_value", b"\xef\xbb\xbf"),
        (TOKEN, "token", TOKEN),
        (b"\xef\xbb\xbf" + TOKEN + b"\r\n", "token", TOKEN),
        (b"Bearer " + TOKEN, "authorization", b"Bearer " + TOKEN),
        (b"authorization: Bearer x", "authorization", b"Bearer x"),
        (b"amplify-session=abc", "cookies", b"amplify-session=abc"),
        (b"a=b; amplify-session=abc;", "cookies", b"a=b; amplify-session=abc"),
        (b"Cookie: a=b\r\nCookie: c=d", "cookies", b"a=b; c=d"),
        (b"Cookie: a=b;\r\n c=d", "cookies", b"a=b; c=d"),
        (b"cookie\na=b; c=d", "cookies", b"a=b; c=d"),
        (b"Cookie:\r\na=b", "cookies", b"a=b"),
        ("Cookie: a=b\r\n".encode("utf-16"), "cookies", b"a=b"),
        (b"\xfe\xff" + "Cookie: a=b".encode("utf-16-be"), "cookies", b"a=b"),
        (b"Set-Cookie: a=b; Path=/; HttpOnly", "cookies", b"a=b"),
        (
            b"Set-Cookie: a=; Max-Age=0\nSet-Cookie: a=b\nSet-Cookie: c=; max-age=0; Path=/",
            "cookies",
            b"a=b",
        ),
        (TOKEN[:9] + b"\r\n" + TOKEN[9:20] + b"\n  " + TOKEN[20:], "token", TOKEN),
        (TOKEN + b"\n" + TOKEN, "cookie_value", TOKEN + b"\n" + TOKEN),
        (b"c.l.u.e", "cookie_value", b"c.l.u.e"),
        (b"wrong_client", "reason", b"wrong_client"),
        (b"foreign_origin", "reason", b"foreign_origin"),
        (b"no_such_reason", "cookie_value", b"no_such_reason"),
        (b"cookie refused: wrong_client, claims 'a' (GET '/x')", "reason", b"wrong_client"),
        (
            b"2026-01-01 DEBUG amplify_mw answered 401: no_session (GET '/')",
            "reason",
            b"no_session",
        ),
        (b"sign-in failed: bad_signature (GET '/')", "reason", b"bad_signature"),
        (b'{"status": 401, "reason": "token_expired"}', "reason", b"token_expired"),
        (b'{"type": "about:blank", "status": 401}', "answer", b""),
        (b"a token was refused (wrong_client): it claims to be of", "reason", b"wrong_client"),
        (b"DEBUG amplify_mw attributes: missing_scope", "reason", b"missing_scope"),
        (b"sign-in answers again", "text", b"sign-in answers again"),
        (b'{"message": "\\ud800 refused: x", "reason": "\\ud800"}', "answer", b""),
        (b"{" * 100_000, "cookie_value", b"{" * 100_000),
    ],
)
def test_what_was_pasted_is_seen_from_its_content(text: bytes, kind: str, value: bytes) -> None:
    found = recognise(text)
    assert (found.kind, found.value) == (kind, value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"answered 503: malformed_token (GET '/')", "(503, the cookie is kept)"),
        (b"answered 401: malformed_token (GET '/')", "(401, the cookie is cleared)"),
        (
            b"cookie refused: malformed_token (GET '/')",
            "(401, the cookie is cleared; or 503, the cookie is kept)",
        ),
        (b"sign-in failed: duplicate_cookie (GET '/')", "(409, the cookie is kept)"),
        (b"cookie refused: invalid_session (GET '/')", "(401, the cookie is cleared)"),
        (b"invalid_handover", "(401)"),
        (b"answered 418: wrong_client (GET '/')", "(418)"),
        (b'{"status": 503, "reason": "malformed_token"}', "(503, the cookie is kept)"),
        (
            b'{"message": "answered 503: malformed_token", "reason": "malformed_token"}',
            "(503, the cookie is kept)",
        ),
        (
            b'{"event": {"reason": "malformed_token"}, "http": {"response": {"status_code": 503}}}',
            "(503, the cookie is kept)",
        ),
        (b'{"event": ["reason"], "reason": "malformed_token", "status": true}', "; or 503"),
    ],
)
def test_the_answer_is_that_of_the_line(line: bytes, said: str) -> None:
    assert said in str(inspect_credential(line)).splitlines()[2]


HEADS = [
    b"GET /a?b=c HTTP/1.1\r\nHost: x.example\r\nCookie: a=b\r\nOrigin: https://x.example\r\n\r\nbody=1",
    b"* Connected\n> GET /a?b=c HTTP/2\n> Host: x.example\n> cookie: a=b\n> origin: https://x.example\n"
    b"< HTTP/2 401\n< set-cookie: z=y",
    b"curl 'https://x.example/a?b=c' \\\n  -H 'Host: x.example' "
    b"-H 'origin: https://x.example' \\\n  -b 'a=b' --compressed",
    b":authority: x.example\n:method: GET\n:path: /a?b=c\ncookie: a=b\norigin: https://x.example",
    b":authority\nx.example\n:method\nGET\n:path\n/a?b=c\ncookie\na=b\norigin\nhttps://x.example",
    b'curl ^"https://x.example/a?b=c^" ^\r\n  -H ^"host: x.example^" ^\r\n  -b ^"a=b^" ^\r\n'
    b'  -H ^"origin: https://x.example^"',
    b"curl 'https://x.example/a?b=c' -H 'host: x.example' -H $'cookie: \\u0061=b' "
    b"-H 'origin: https://x.example'",
]


@pytest.mark.parametrize(
    "head",
    HEADS,
    ids=["devtools", "curl", "as cURL", "http2", "table", "as cURL (cmd)", "as cURL, $"],
)
def test_a_requests_head_is_taken_apart(head: bytes) -> None:
    found = recognise(head)
    target = found.target.removeprefix("https://x.example")
    assert (found.kind, found.method, target) == ("request", "GET", "/a?b=c")
    names = ("host", "cookie", "origin", "set-cookie")
    assert [found.field(name) for name in names] == [
        *(b"x.example", b"a=b", b"https://x.example"),
        None,
    ]


PIECES = st.sampled_from(
    [
        *(TOKEN, b"eyJ", b".", b"..", b"; ", b"=", b"amplify-session=", b"amplify-session.0="),
        *(b"Cookie: ", b"\r\n", b"GET /account/a HTTP/1.1\r\n", b"POST // HTTP/1.1\n", b"> "),
        *(b"Bearer ", b"Authorization: ", b"Origin: null\n", b"Sec-Purpose: prefetch\n", b"\x00"),
        *(b"\x1b[2J", b"{", b'{"reason": "', b"CognitoIdentityServiceProvider.web.", b"%ff", b","),
        *(b"curl ", b"curl -H 'Cookie: a", b"'", b"-b a=b", b'curl ^"', b" $'\\u9999\\ud800'"),
        *(b"cookie\n", b"\n ", b"\xff\xfe", b":path\n/\n"),
        *(b"answered 503: malformed_token", b'{"message": "', b'{"event": {"reason": "', b"{} "),
        *(b"LastAuthUser=a", b"a.accessToken=", b"refused: ", b":path: /\n", b"Host: a\n"),
    ]
)
ANY = st.lists(PIECES | st.binary(max_size=6), max_size=8).map(b"".join) | st.binary(max_size=300)


@settings(max_examples=80)
@given(ANY)
@example(b"GET /%ff%00 HTTP/1.1\nCookie: \xff")
@example(b"OPTIONS * HTTP/1.1\nOrigin: a\nCookie: amplify-session=x")
def test_for_any_bytes_there_is_an_answer(data: bytes) -> None:
    for config in (None, CONFIG):
        found = inspect_credential(data, config, offline=True, show_claims=True)
        assert found.exit_status in (0, 1, 3)
        printed = str(found).replace("\n", "")
        assert printed.isprintable()
        json.dumps(found.to_dict())


def bomb(kind: str) -> bytes:
    noise = random.Random(1).randbytes(2 * MAX_READ)
    parts: dict[str, bytes] = {
        "binary": noise,
        "nested": b"eyJ" + base64.urlsafe_b64encode(b'"a":' * 50_000) + b".e30.AA",
        "cookies": b"Cookie: " + b"amplify-session=a; " * 100_000,
        "names": b"Cookie: " + b"".join(b"amplify-sessio%d=a; " % n for n in range(60_000)),
        "fields": b"GET / HTTP/1.1\n" + b"Cookie: a=b\n" * 100_000,
        "dots": b"." * 2 * MAX_READ,
        "path": b"GET " + b"/%2e" * 15_000 + b" HTTP/1.1\nHost: a",
        "json": b'{"a":' * 200_000,
        "number": b'{"reason": ' + b"9" * MAX_READ + b"}",
        "amplify": b"CognitoIdentityServiceProvider.web.a.accessToken=a; " * 40_000,
        "chunks": b"; ".join(
            b"amplify-session.%d=%s" % (n % 10, b"9abc" * 900) for n in range(400)
        ),
    }
    return parts[kind]


@pytest.mark.parametrize(
    "kind",
    [
        *("binary", "nested", "cookies", "names", "fields", "dots", "path", "json", "number"),
        *("amplify", "chunks"),
    ],
)
def test_too_much_is_cut_and_said_to_be(kind: str) -> None:
    data = bomb(kind)
    found = inspect_credential(data, CONFIG, offline=True)
    is_cut = any(check.name == "input" for check in found.checks)
    assert is_cut == (len(data) > MAX_READ)
    assert len(str(found)) < 100_000
