"""Which paths need whom, under every spelling; and the answers the library gives itself."""

import json
from typing import Any, get_args
from urllib.parse import parse_qs, quote, unquote, urljoin, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amplify_mw import AmplifyConfig
from amplify_mw.errors import (
    AuthError,
    ForbiddenException,
    NetworkError,
    NotAuthorizedException,
    Reason,
    TokenExpiredException,
    UserNotConfirmedException,
)
from amplify_mw.shell.shell import access_rules
from amplify_mw.web import paths as access
from amplify_mw.web.answers import Answer, Asked, Refusals, local_target, problem
from amplify_mw.web.paths import Access, AccessRules

OPEN, PROTECTED, IGNORED = Access.OPEN, Access.PROTECTED, Access.IGNORED
SITE = "https://app.example.com"


def rules(*protect: str, public: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> AccessRules:
    return AccessRules(protect, public, ignore)


def configured(**options: Any) -> AccessRules | None:
    config = AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web", **options)
    return access_rules(config)


class TestPatterns:
    @pytest.mark.parametrize("path", ["/api", "/api/", "/api/a", "/api/a/b/", "/api/é", "/api/*"])
    def test_a_star_covers_the_path_and_all_below_it(self, path: str) -> None:
        assert rules("/api/*").of(path) is PROTECTED

    @pytest.mark.parametrize(
        "path", ["/", "/apis", "/api-2/a", "/ap", "/v1/api", "/API/a", "/api;a"]
    )
    def test_a_star_covers_no_neighbours(self, path: str) -> None:
        assert rules("/api/*").of(path) is OPEN

    @pytest.mark.parametrize("pattern", ["/account", "/account/"])
    @pytest.mark.parametrize("path", ["/account", "/account/", "/account//", "/account///"])
    def test_slashes_at_the_end_make_no_difference(self, pattern: str, path: str) -> None:
        assert rules(pattern).of(path) is PROTECTED

    def test_a_path_covers_nothing_below_it(self) -> None:
        assert rules("/account").of("/account/help") is OPEN

    @pytest.mark.parametrize("path", ["/", "/a", "/a/b", "//", "/..", "/%2e", "a", "", "*"])
    def test_slash_star_covers_the_whole_site(self, path: str) -> None:
        assert rules("/*").of(path) is PROTECTED

    def test_a_slash_is_the_front_page_alone(self) -> None:
        assert rules("/").of("/") is PROTECTED
        assert rules("/").of("/a") is OPEN

    def test_a_mount_is_not_the_rules_business(self) -> None:
        # The shells take the mount off; a path that still has one is another path.
        assert rules("/account").of("/mount/account") is OPEN

    def test_no_patterns_make_no_rules(self) -> None:
        assert configured() is None
        assert configured(login_url="/login") is None


class TestPrecedence:
    def test_public_wins_over_protect(self) -> None:
        some = rules("/api/*", public=("/api/health", "/api/docs/*"))
        assert [some.of(path) for path in ("/api/health", "/api/docs", "/api/docs/a")] == [OPEN] * 3
        assert some.of("/api/healthy") is PROTECTED

    def test_ignore_wins_over_both(self) -> None:
        some = rules("/*", public=("/static/a",), ignore=("/static/*",))
        assert some.of("/static/a") is some.of("/static/b") is IGNORED

    def test_rules_without_protect_never_protect(self) -> None:
        some = rules(ignore=("/static/*",))
        assert some.of("/" + "%25" * 500 + "41") is OPEN


SPELLINGS_OF_ACCOUNT_A = [
    "/account/a",
    "account/a",
    "//account/a",
    "/account//a",
    "////account////a",
    "/./account/a",
    "/account/./a",
    "/account/a/.",
    "/x/../account/a",
    "/x/y/../../account/a",
    "/../../account/a",
    "/account/b/../a",
    "/account/a/b/..",
    "/static/../account/a",
    "/static/..//account/a",
    "/static/a/..//../account/a",
    "/%61ccount/a",
    "/%2561ccount/a",
    "/%252561ccount/a",
    "/account%2Fa",
    "/account%252fa",
    "%2faccount/a",
    "/%2faccount%2f%2fa",
    "/static%2f..%2faccount/a",
    "/static/%2e%2e/account/a",
    "/static/%252E%252e/account/a",
    "/static/.%2e/account/a",
    "/static/%2e./account/a",
    "/account\\a",
    "\\account\\a",
    "\\\\account\\a",
    "/static\\..\\account/a",
    "/static%5c..%5Caccount/a",
    "/static/..%255caccount/a",
    "/q%2fz/../%61ccount/a",  # the dots go first, the code second
    "/q\\z%2f../..%5caccount\\%61",
    "/account/a\n",
    "/account/a%0a",
    "/account/a%250A",
    "http://site.example/account/a",  # Quart reads a URL's path
    "http:/account/a",
    "x:account/a",
    "http://site.example/%61ccount/a?b",
    "http://site.example/account/a;b",
    "http://site.example/static/../account/a#b",
]


class TestSpellings:
    @pytest.mark.parametrize("root", ["", "/shop", "/shop/"])
    def test_a_whole_url_is_its_path_below_a_servers_mount_too(self, root: str) -> None:
        some = rules("/account", ignore=("/static/*",))
        path = root.rstrip("/")
        assert some.under(root, f"http://site.example{path}/account") is PROTECTED
        assert some.under(root, f"http://site.example{path}/open") is OPEN

    @pytest.mark.parametrize("path", ["//[", "a://[", "a://\u2100/account", "a:", "?", "#"])
    def test_what_is_no_url_is_read_all_the_same(self, path: str) -> None:
        assert rules("/account").of(path) is OPEN
        assert rules("/*").of(path) is PROTECTED

    @pytest.mark.parametrize("path", SPELLINGS_OF_ACCOUNT_A)
    @pytest.mark.parametrize("pattern", ["/account/*", "/account/a"])
    def test_a_protected_path_is_protected_under_every_spelling(
        self, pattern: str, path: str
    ) -> None:
        assert rules(pattern, ignore=("/static/*",)).of(path) is PROTECTED

    @pytest.mark.parametrize(
        "path",
        [
            "/public/../account",
            "/public/%2e%2e/account",
            "/public/..%2faccount",
            "/public\\..\\account",
            "/public/x/..//../account",
            "/public/%252e%252e%252faccount",
            "public/../account",
        ],
    )
    def test_public_and_ignored_prefixes_hide_nothing(self, path: str) -> None:
        assert rules("/account", public=("/public/*",)).of(path) is PROTECTED
        assert rules("/account", ignore=("/public/*",)).of(path) is PROTECTED
        assert rules("/*", public=("/public/*",), ignore=("/public/*",)).of(path) is PROTECTED

    @pytest.mark.parametrize("path", ["/public/a", "/public/./a", "/public/a%20b", "/public/.b"])
    def test_a_path_is_public_if_all_its_spellings_are(self, path: str) -> None:
        assert rules("/*", public=("/public/*",)).of(path) is OPEN
        assert rules("/*", ignore=("/public/*",)).of(path) is IGNORED

    @pytest.mark.parametrize("path", ["/", "/b%2fc", "/b/../c", "//b", "/acc%6funts", "/b\\c", "b"])
    def test_an_odd_spelling_of_an_open_path_stays_open(self, path: str) -> None:
        assert rules("/account/*").of(path) is OPEN

    @pytest.mark.parametrize("path", ["/a%zz", "/%", "/%2", "/100%", "/%e9", "/%ff%fe", "/%00"])
    def test_codes_that_mean_nothing_do_no_harm(self, path: str) -> None:
        assert rules("/account/*").of(path) is OPEN

    @pytest.mark.parametrize("times", [40, 400, 20_000])
    def test_an_endless_encoding_is_protected(self, times: int) -> None:
        assert rules("/account").of("/%" + "25" * times + "61ccount") is PROTECTED

    @pytest.mark.parametrize(
        "path",
        [
            "/" * 1_000_000,
            "/.." * 300_000,
            "\\" * 1_000_000,
            "/%2e" * 250_000,
            "%25" * 300_000,
            "/a/../\\%2f" * 100_000,
        ],
        ids=lambda path: path[:8],
    )
    def test_a_megabyte_of_tricks_is_answered(self, path: str) -> None:
        assert rules("/account").of(path) is PROTECTED

    @settings(max_examples=150, deadline=None)
    @given(st.text(st.sampled_from("/.\\%25fFcCeEa\n\ud800\x00é"), max_size=24))
    def test_any_path_gets_an_answer(self, path: str) -> None:
        some = rules("/a/*", public=("/a/a",), ignore=("/f/*",))
        assert some.of(path) in Access


def disguises(path: str) -> st.SearchStrategy[str]:
    """Spellings of a path, one trick on top of another."""

    @st.composite
    def disguised(draw: st.DrawFn) -> str:
        text = path
        for _ in range(draw(st.integers(0, 6))):
            text = draw(st.sampled_from(TRICKS))(draw, text)
        return text

    return disguised()


def _insert(draw: st.DrawFn, text: str) -> str:
    """Something that normalising takes out again, at a segment's border."""
    borders = [at for at, character in enumerate(text) if character == "/"]
    extra = draw(st.sampled_from(["/", "/.", "/b/..", "/./b/.././", "/public/.."]))
    at = draw(st.sampled_from(borders)) if borders else len(text)
    return text[:at] + extra + text[at:] if borders else text


def _encode(draw: st.DrawFn, text: str) -> str:
    at = draw(st.integers(0, len(text) - 1))
    return text[:at] + f"%{ord(text[at]):02x}" + text[at + 1 :]


def _encode_all(_: st.DrawFn, text: str) -> str:
    return "/" + quote(text[1:], safe="")


def _turn(draw: st.DrawFn, text: str) -> str:
    slashes = [at for at, character in enumerate(text) if character == "/"]
    at = draw(st.sampled_from(slashes)) if slashes else 0
    return text[:at] + "\\" + text[at + 1 :] if slashes else text


def _climb(draw: st.DrawFn, text: str) -> str:
    return draw(st.sampled_from(["/..", "/public/..", "/public%2fa/../..", "/."])) + text


def _end(draw: st.DrawFn, text: str) -> str:
    return text + draw(st.sampled_from(["/", "/.", "\n", "%0a", "/b/.."]))


TRICKS = [_insert, _encode, _encode_all, _turn, _climb, _end]


def reference_reads(path: str, target: str, depth: int = 9) -> bool:
    """Whether a reader that normalises in some order of its own ends at `target`."""
    seen, front = {path}, {path}
    for _ in range(depth):
        front = {
            other
            for text in front
            for other in (
                unquote(text),
                text.replace("\\", "/"),
                text.replace("//", "/"),
                urlsplit(urljoin("http://h", "/" + text.lstrip("/"))).path
                if _plain(text)
                else text,
                text.rstrip("\n"),
                "/" + text.lstrip("/"),
            )
        } - seen
        seen |= front
    return any(text.rstrip("/") == target for text in seen)


def _plain(text: str) -> bool:
    return not any(character in text for character in "?#\n\\[]")


class TestEscapes:
    @settings(max_examples=200, deadline=None)
    @given(disguises("/account/a"))
    @example("/q%2fz/../%61ccount/a")
    def test_no_spelling_of_a_protected_path_escapes(self, path: str) -> None:
        some = rules("/account/*", public=("/public/*",), ignore=("/public/*", "/b/*"))
        if reference_reads(path, "/account/a"):
            assert some.of(path) is PROTECTED

    @settings(deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                [
                    "/",
                    "//",
                    "a",
                    "b",
                    "..",
                    ".",
                    "%2f",
                    "%2e",
                    "\\",
                    "%5c",
                    "%61",
                    "%2561",
                    "%25",
                    "\n",
                ]
            ),
            max_size=7,
        ).map("".join)
    )
    def test_whatever_reads_as_a_protected_path_is_protected(self, path: str) -> None:
        if reference_reads(path, "/a", depth=6):
            assert rules("/a", public=("/b/*",), ignore=("/b",)).of(path) is PROTECTED


def asked(path: str = "/account", **facts: Any) -> Asked:
    return Asked(**{"method": "GET", "path": path, "query": "", "accept": "*/*", **facts})


def page(path: str = "/account", query: str = "", **facts: Any) -> Asked:
    return asked(path, query=query, accept="text/html,application/xhtml+xml", **facts)


def header(answer: Answer, name: str) -> str | None:
    found = [value for key, value in answer.headers if key == name]
    assert len(found) <= 1
    return found[0] if found else None


UNAUTHENTICATED = NotAuthorizedException(reason="no_session")


@pytest.fixture
def refusals() -> Refusals:
    return Refusals(cookie_name="amplify-session", login_url="/login")


class TestRefusals:
    @pytest.mark.parametrize(
        ("error", "line"),
        [
            (UNAUTHENTICATED, "401 Unauthorized"),
            (TokenExpiredException(reason="token_expired"), "401 Unauthorized"),
            (ForbiddenException(reason="missing_group"), "403 Forbidden"),
            (UserNotConfirmedException(reason="user_not_confirmed"), "403 Forbidden"),
            (NetworkError(reason="keys_unavailable"), "503 Service Unavailable"),
            (AuthError(reason="cognito_error"), "500 Internal Server Error"),
            (AuthError(reason="cognito_error", status_code=799), "500 Internal Server Error"),
        ],
    )
    def test_an_error_becomes_its_status(
        self, refusals: Refusals, error: AuthError, line: str
    ) -> None:
        answer = refusals.answer_for(asked(), error)
        assert answer.status_line == line
        document = json.loads(answer.body)
        assert document.keys() == {"type", "title", "status", "detail"}
        assert f"{document['status']} {document['title']}" == line

    @pytest.mark.parametrize("status", [401, 403, 503, 500])
    def test_an_answer_is_a_problem_that_no_cache_keeps(self, status: int) -> None:
        answer = problem(status)
        assert header(answer, "Content-Type") == "application/problem+json"
        assert header(answer, "Content-Length") == str(len(answer.body))
        assert header(answer, "Cache-Control") == "no-store"
        assert header(answer, "Vary") == "Cookie, Accept, Sec-Fetch-Mode, Sec-Purpose"

    def test_only_a_401_challenges(self, refusals: Refusals) -> None:
        challenge = header(refusals.answer_for(asked(), UNAUTHENTICATED), "WWW-Authenticate")
        assert challenge == 'Cookie realm="sign-in", cookie-name="amplify-session"'
        for error in (ForbiddenException(reason="missing_group"), NetworkError(reason="throttled")):
            assert header(refusals.answer_for(asked(), error), "WWW-Authenticate") is None

    @pytest.mark.parametrize(
        ("retry_after", "seconds"), [(None, "2"), (0.1, "1"), (1.0, "1"), (7.6, "8"), (30.0, "30")]
    )
    def test_a_503_says_when_to_try_again(
        self, refusals: Refusals, retry_after: float | None, seconds: str
    ) -> None:
        error = NetworkError(reason="throttled", retry_after=retry_after)
        assert header(refusals.answer_for(page(), error), "Retry-After") == seconds

    def test_only_a_503_says_so(self, refusals: Refusals) -> None:
        assert header(refusals.answer_for(asked(), UNAUTHENTICATED), "Retry-After") is None

    @pytest.mark.parametrize("kind", [NotAuthorizedException, TokenExpiredException])
    def test_all_refused_cookies_look_the_same(
        self, refusals: Refusals, kind: type[AuthError]
    ) -> None:
        for of in (asked, page):
            answers = {
                refusals.answer_for(of(), kind(reason=reason)) for reason in get_args(Reason)
            }
            assert answers == {refusals.answer_for(of(), UNAUTHENTICATED)}

    def test_nothing_of_the_error_is_in_the_answer(self, refusals: Refusals) -> None:
        error = AuthError(
            "the-message", reason="cognito_error", name="TheName", recovery_suggestion="the-mend"
        )
        said = repr(refusals.answer_for(asked(), error))
        assert not any(
            word in said for word in ("the-message", "cognito_error", "TheName", "the-mend")
        )


class TestLoginRedirect:
    @pytest.mark.parametrize("facts", [{}, {"method": "HEAD"}, {"sec_fetch_mode": "navigate"}])
    def test_a_page_is_sent_to_the_login_page(self, refusals: Refusals, facts: Any) -> None:
        answer = refusals.answer_for(page("/account", "tab=1", **facts), UNAUTHENTICATED)
        assert (answer.status_line, answer.body) == ("302 Found", b"")
        assert header(answer, "Location") == "/login?next=%2Faccount%3Ftab%3D1"
        assert header(answer, "Cache-Control") == "no-store"
        assert header(answer, "Vary") == "Cookie, Accept, Sec-Fetch-Mode, Sec-Purpose"

    @pytest.mark.parametrize(
        "request_",
        [
            asked(),
            asked(accept=""),
            asked(accept="application/json"),
            page(method="POST"),
            page(method="OPTIONS"),
            page(sec_fetch_mode="cors"),
            page(sec_fetch_mode="no-cors"),
            page(sec_fetch_mode="websocket"),
        ],
        ids=repr,
    )
    def test_what_is_no_navigation_is_answered(self, refusals: Refusals, request_: Asked) -> None:
        assert refusals.answer_for(request_, UNAUTHENTICATED).status == 401

    @pytest.mark.parametrize(
        ("login_url", "path"),
        [
            ("/sign%20in?from=app", "/sign in"),
            ("/shop/login", "/shop/login"),  # the whole path, whatever the mount
            (f"{SITE}/login", "/login"),
        ],
    )
    def test_the_login_page_of_this_site_is_known(self, login_url: str, path: str) -> None:
        refusals = Refusals(cookie_name="a", login_url=login_url, origins=[SITE])
        assert refusals.is_login_page(Asked("GET", path, ""))
        assert not refusals.is_login_page(Asked("GET", path + "/x", ""))

    @pytest.mark.parametrize("login_url", [None, "https://auth.example.com/account"])
    def test_another_sites_login_page_is_none_of_ours(self, login_url: str | None) -> None:
        refusals = Refusals(cookie_name="a", login_url=login_url, origins=[SITE])
        assert not refusals.is_login_page(Asked("GET", "/account", ""))

    def test_without_a_login_page_a_navigation_is_answered(self) -> None:
        refusals = Refusals(cookie_name="amplify-session", login_url=None)
        assert refusals.answer_for(page(), UNAUTHENTICATED).status == 401

    @pytest.mark.parametrize(
        "error", [NetworkError(reason="throttled"), ForbiddenException(reason="missing_group")]
    )
    def test_signing_in_would_not_help_against_403_and_503(
        self, refusals: Refusals, error: AuthError
    ) -> None:
        assert refusals.answer_for(page(), error).status == error.status_code

    @pytest.mark.parametrize(
        ("login_url", "start"),
        [
            ("/login", "/login?next="),
            ("/login?from=app", "/login?from=app&next="),
            ("https://auth.example.com/in", "https://auth.example.com/in?next="),
        ],
    )
    def test_next_joins_the_login_url(self, login_url: str, start: str) -> None:
        refusals = Refusals(cookie_name="a", login_url=login_url)
        location = header(refusals.answer_for(page(), UNAUTHENTICATED), "Location")
        assert location == start + "%2Faccount"

    def test_a_query_of_the_asked_page_adds_no_parameter_to_the_login_page(
        self, refusals: Refusals
    ) -> None:
        location = header(
            refusals.answer_for(page("/a&b=c#d", "x=1&next=//evil"), UNAUTHENTICATED), "Location"
        )
        assert parse_qs(urlsplit(str(location)).query) == {"next": ["/a&b=c%23d?x=1&next=//evil"]}


HOSTILE_PATHS = [
    "//evil.example",
    "///evil.example",
    "////evil.example/%2f..",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/\\evil.example",
    "\t//evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\r\n//evil.example",
    "/\r\nSet-Cookie: a=b",
    "/\x00/evil.example",
    "/\x0b//evil.example",
    " //evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "/.//evil.example",
    "/..//evil.example",
    "/\ud800/\udfff",
    "/\u2028//evil.example",
    "//évil.example",
    "/\uff0fevil.example",
    "@evil.example",
    "/@evil.example",
    "?//evil.example",
    "#//evil.example",
    "",
    "*",
]


def assert_is_local(target: str) -> None:
    """Safe for every reader: a browser's URL parser, a header, a cautious login page."""
    assert target.startswith("/")
    assert not target.startswith(("//", "/\\"))
    assert target.isascii()
    assert target.isprintable()
    assert not set(target) & set(' \\"<>#')
    assert urlsplit(urljoin(f"{SITE}/login", target)).netloc == "app.example.com"


class TestNext:
    @pytest.mark.parametrize("path", HOSTILE_PATHS, ids=ascii)
    @pytest.mark.parametrize("query", ["", "a=b", "//evil", "\r\nSet-Cookie: a", "\ud800#\\é "])
    def test_next_stays_on_this_site(self, path: str, query: str) -> None:
        assert_is_local(local_target(path, query))

    @settings(max_examples=150, deadline=None)
    @given(path=st.text(st.characters()), query=st.text(st.characters()))
    def test_next_stays_on_this_site_whatever_was_asked_for(self, path: str, query: str) -> None:
        assert_is_local(local_target(path, query))

    @settings(deadline=None)
    @given(
        st.text(st.sampled_from("/\\.:@?#%25c \t\r\n\x00evil\ud800é")),
        st.text(st.sampled_from("/\\.:@?#%25c \t\r\n\x00evil\ud800é&=")),
    )
    def test_the_redirect_is_a_header_of_ascii_and_leads_to_the_login_page(
        self, path: str, query: str
    ) -> None:
        refusals = Refusals(cookie_name="a", login_url="/login")
        location = str(header(refusals.answer_for(page(path, query), UNAUTHENTICATED), "Location"))
        assert location.isascii()
        assert location.isprintable()
        assert urlsplit(location)._replace(query="").geturl() == "/login"
        [target] = parse_qs(urlsplit(location).query)["next"]
        assert_is_local(target)

    @settings(deadline=None)
    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\")))
    def test_an_ordinary_path_comes_back_as_it_was(self, rest: str) -> None:
        path = "/" + rest.lstrip("/")
        assert unquote(local_target(path, "")) == path

    @pytest.mark.parametrize("path", ["//b/c", "/\\b/c", "\\\\b\\c", "/\\/b/c", "b/c"])
    def test_next_has_one_slash_in_front_and_no_backslash(self, path: str) -> None:
        assert local_target(path, "") == "/b/c"

    def test_a_query_comes_back_as_it_was_sent(self) -> None:
        assert local_target("/a", "q=%C3%A9+b&r=%2F") == "/a?q=%C3%A9+b&r=%2F"


SECRETS = ("the-code", "the-state", "the-cookie")


@pytest.mark.parametrize(
    "value",
    [
        asked("/auth/sign-in-callback", query="code=the-code&state=the-state"),
        Answer(303, (("Location", "/?state=the-state"), ("Set-Cookie", "a=the-cookie")), b""),
    ],
    ids=["Asked", "Answer"],
)
def test_no_repr_shows_what_a_query_or_a_header_holds(value: object) -> None:
    assert not [secret for secret in SECRETS if secret in repr(value)]


CRAFTED = [
    *("/%25", "/%2561", "/..", "/", "\\", "a\\", "/./a", "/a%25252f", "%25/..\\x\n", "//a", "."),
    *("/prod", "/prod/", "%2fprod", "/prod/..", "/a/../prod", "/prod%25"),
]
LENGTHS = [4, 8, 16, 32, 64, 128, 256, 1024, 4096, 65_536]


class TestWork:
    """The work on a path is bounded, whatever it looks like: counted, and not timed."""

    @staticmethod
    def work_on(path: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
        """In how many ways a path is read, and how many steps that takes."""
        read: list[str] = []
        one_step = access._readings

        def counted(text: str, mounts: Any) -> Any:
            read.append(text)
            return one_step(text, mounts)

        with monkeypatch.context() as patched:
            patched.setattr(access, "_readings", counted)
            rules = AccessRules(["/account"], [], ["/static/*"], ["/prod", "/shop/api"])
            assert rules.of(path) in (PROTECTED, OPEN, IGNORED)
        marks = sum(text.count("%") + text.count("/") for text in read)
        return len(read), marks + sum(map(len, read)) // 32

    @pytest.mark.parametrize("length", LENGTHS)
    @pytest.mark.parametrize("part", CRAFTED, ids=ascii)
    def test_a_crafted_path_is_read_in_a_few_ways(
        self, part: str, length: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = (part * length)[:length]
        for text in (path, f"/{path}", f"{path}\n", f"/a{'a' * length}{part}"):
            readings, steps = self.work_on(text, monkeypatch)
            assert readings <= 20
            assert steps <= 80

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.sampled_from([*CRAFTED, "a" * 50, "é"]), max_size=80).map("".join))
    def test_whatever_it_is_made_of(self, path: str) -> None:
        with pytest.MonkeyPatch.context() as monkeypatch:
            readings, steps = self.work_on(path, monkeypatch)
        assert readings <= 20
        assert steps <= 80

    @pytest.mark.parametrize("length", LENGTHS)
    def test_a_long_plain_path_is_read_once(
        self, length: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for path in ("/" + "a" * length, "/a" * length):
            assert self.work_on(path, monkeypatch) == (0, 0)
            assert rules("/account").of(path) is OPEN
            assert rules("/a/*").of("/a" + path) is PROTECTED

    def test_what_would_be_too_much_work_is_protected(self) -> None:
        for path in ("/%2561" * 700, "/" + "a" * 4000 + "//", "/./b" * 1000):
            assert rules("/account", public=("/b/*", "/a/*")).of(path) is PROTECTED
