"""How the cookie is set, what is refused about it, and how it is cleared."""

from dataclasses import FrozenInstanceError, dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amplify_mw import ConfigurationError, CookiePolicy
from amplify_mw.web.cookie_policy import MAX_AGE_LIMIT

TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~" + "09azAZ"  # RFC 9110 5.6.2, digits and letters by their ends
PATH_CHARACTERS = "-._~!$%&'()*+,:=@/" + "09azAZ"


@dataclass
class SetCookie:
    """A `Set-Cookie` line as a browser reads it (RFC 6265bis 5.6)."""

    name: str
    value: str
    attributes: list[tuple[str, str]]

    @classmethod
    def read(cls, line: str) -> "SetCookie":
        assert not any(ord(character) < 0x20 or ord(character) > 0x7E for character in line)
        pair, *rest = line.split(";")
        name, equals, value = pair.partition("=")
        assert equals, "a browser would take this for a nameless cookie"
        split = [attribute.partition("=") for attribute in rest]
        attributes = [(key.strip(" \t").lower(), value.strip(" \t")) for key, _, value in split]
        assert all(len(value) <= 1024 for _, value in attributes), "browsers ignore these"
        return cls(name.strip(" \t"), value.strip(" \t"), attributes)

    def get(self, attribute: str) -> str | None:
        """The last one counts (5.7)."""
        values = [value for key, value in self.attributes if key == attribute]
        return values[-1] if values else None


def cleared(policy: CookiePolicy) -> SetCookie:
    return SetCookie.read(policy.clearing)


def test_the_defaults() -> None:
    policy = CookiePolicy()
    assert (policy.name, policy.max_age, policy.path) == ("amplify-session", 86_400, "/")
    assert policy.domain is None
    assert (policy.secure, policy.http_only, policy.same_site) == (True, True, "Strict")
    assert policy.partitioned is False
    assert policy.priority is None


def test_a_policy_is_a_value() -> None:
    policy = CookiePolicy(name="sid")
    assert policy == CookiePolicy(name="sid") != CookiePolicy()
    assert policy.clearing == CookiePolicy(name="sid").clearing  # what is kept changes nothing
    assert hash(policy) == hash(CookiePolicy(name="sid"))
    with pytest.raises(FrozenInstanceError):
        policy.name = "other"  # type: ignore[misc]


REFUSED: list[tuple[str, dict[str, Any]]] = [
    *(
        ("name", {"name": name})
        for name in [
            *("", "a b", "a=b", "a;b", "a,b", "a\n", "\x00", "naïve", '"a"', "a/b", "a[0]"),
            *("(a)", "a:b", "a@b", "a\x7f", "a\t", " a", None, b"amplify-session", 5),
        ]
    ),
    *(
        ("max_age", {"max_age": age})
        for age in [
            *(0, -1, MAX_AGE_LIMIT + 1, 10**30, 1.5, 60.0, True, False, "60", None),
            *(float("inf"), float("nan")),
        ]
    ),
    *(
        ("path", {"path": path})
        for path in [
            *("", "account", "/a;b", "/a b", "/a\n", "/\x00", "/é", "/a\x7f", None, b"/", 5),
            *("/a; Domain=evil.example", '/a"b', "/a|b", "/a<b", "/a[b", "/a?b", "/a#b", "/a\\b"),
            *("/" + "a" * 1024,),
        ]
    ),
    *(
        ("domain", {"domain": domain})
        for domain in [
            *("", ".example.com", "example.com.", "localhost", "com", "a b.example"),
            *(
                "example.com;",
                "example.com\n",
                "example.com:80",
                "https://example.com",
                "-a.example",
            ),
            *(
                "a-.example",
                "a..example",
                "exämple.com",
                "192.168.0.1",
                "*.example.com",
                "a_b.example",
            ),
            *("example.com/", "[::1]", "a" * 64 + ".example", "a." * 127 + "aa", b"example.com", 5),
        ]
    ),
    *(
        ("same_site", {"same_site": value})
        for value in ["strict", "LAX", "", None, True, "None; Secure", ["Strict"]]
    ),
    ("same_site", {"same_site": "None", "secure": False}),
    ("partitioned", {"partitioned": True, "secure": False}),
    *(
        ("priority", {"priority": priority})
        for priority in [
            "high",
            "HIGH",
            "Highest",
            "",
            "High; Domain=evil.example",
            True,
            1,
            b"High",
        ]
    ),
    *(
        (field, {field: value})
        for field in ("secure", "http_only", "partitioned")
        for value in (None, 1, 0, "true", "")
    ),
    *(
        ("name", {"name": name, **broken})
        for name in ("__Host-a", "__host-a", "__HOST-a", "__hOsT-a")
        for broken in ({"secure": False}, {"domain": "example.com"}, {"path": "/app"})
    ),
    *(("name", {"name": name, "secure": False}) for name in ("__Secure-a", "__SECURE-a")),
]


@pytest.mark.parametrize(("field", "options"), REFUSED, ids=repr)
def test_a_refusal_names_its_field(field: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        CookiePolicy(**options)
    assert str(caught.value).startswith(f"CookiePolicy.{field}: ")


@pytest.mark.parametrize(
    "options",
    [
        {"name": TOKEN_CHARACTERS},
        {"name": "__Host-a"},
        {"name": "__host-a"},
        {"name": "__Secure-a", "domain": "example.com", "path": "/app"},
        {"name": "__HostX", "secure": False},  # the dash belongs to the prefix
        {"max_age": 1},
        {"max_age": MAX_AGE_LIMIT},
        {"path": "/app/é".replace("é", "%C3%A9")},
        {"path": "/" + "a" * 1023},
        {"domain": "example.com"},
        {"domain": "EXAMPLE.co.uk"},
        {"domain": "xn--exmple-cua.com"},
        {"same_site": "None"},
        {"same_site": "Lax", "secure": False},
        {"partitioned": True, "same_site": "None"},
        *({"priority": priority} for priority in ("Low", "Medium", "High")),
        {"http_only": False},
    ],
    ids=repr,
)
def test_what_browsers_keep_is_accepted(options: dict[str, Any]) -> None:
    policy = CookiePolicy(**options)
    assert {field: getattr(policy, field) for field in options} == options


def test_replace_changes_one_field_and_checks_again() -> None:
    policy = CookiePolicy(domain="example.com")
    assert replace(policy, path="/app") == CookiePolicy(domain="example.com", path="/app")
    with pytest.raises(ConfigurationError, match=r"CookiePolicy\.name"):
        replace(policy, name="__Host-a")


@pytest.mark.parametrize(
    ("origin", "secure"),
    [
        ("http://localhost:3000", False),
        ("http://localhost", False),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000", False),
        ("http://app.localhost:3000", False),
        ("https://localhost:3000", True),
        ("https://app.example.com", True),
        ("https://192.0.2.1:8443", True),
    ],
)
def test_only_http_on_this_machine_goes_without_secure(origin: str, secure: bool) -> None:
    assert CookiePolicy.for_origin(origin) == CookiePolicy(secure=secure)


@pytest.mark.parametrize(
    "origin",
    [
        "http://app.example.com",
        "http://localhost.evil.example",
        "http://notlocalhost",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
        "https://user:secret@app.example.com",
        "http://localhost/",
        "http://localhost:3000/app",
        "http://localhost?a",
        "http://localhost#a",
        "http://localhost\n",
        "http://local\thost",
        "http://local host",
        "http://localhost:port",
        "http://localhost:99999",
        "http://",
        "http://[::1",
        "localhost:3000",
        "//localhost",
        "ftp://localhost",
        "null",
        "*",
        "",
        None,
        b"http://localhost",
        5,
    ],
)
def test_what_is_no_origin_of_a_site_is_refused(origin: Any) -> None:
    with pytest.raises(ConfigurationError, match="origin"):
        CookiePolicy.for_origin(origin)


def test_the_production_policy_is_bound_to_one_https_host() -> None:
    policy = CookiePolicy.host_prefixed()
    assert policy == CookiePolicy(name="__Host-amplify-session")
    assert (policy.secure, policy.domain, policy.path) == (True, None, "/")


def test_the_default_clearing_line() -> None:
    line = cleared(CookiePolicy())
    assert (line.name, line.value) == ("amplify-session", "")
    assert sorted(key for key, _ in line.attributes) == sorted(
        ["expires", "max-age", "secure", "httponly", "path", "samesite"]
    )


def test_clearing_ends_the_cookie_in_browsers_that_know_either_attribute() -> None:
    line = cleared(CookiePolicy())
    assert line.get("max-age") == "0"
    assert parsedate_to_datetime(str(line.get("expires"))) == datetime(1970, 1, 1, tzinfo=UTC)


def test_the_domain_is_left_out_where_the_cookie_had_none() -> None:
    assert cleared(CookiePolicy.host_prefixed()).get("domain") is None


@st.composite
def policies(draw: st.DrawFn) -> CookiePolicy:
    secure = draw(st.booleans())
    prefix = draw(st.sampled_from(["", "", "__Secure-", "__Host-", "__host-"] if secure else [""]))
    is_bound = prefix.lower() == "__host-"
    path = "/" + draw(st.text(PATH_CHARACTERS, max_size=12))
    domain = draw(st.sampled_from([None, "example.com", "a.b-c.example", "Example.COM"]))
    return CookiePolicy(
        name=prefix + draw(st.text(TOKEN_CHARACTERS, min_size=1, max_size=12)),
        path="/" if is_bound else path,
        domain=None if is_bound else domain,
        secure=secure,
        http_only=draw(st.booleans()),
        same_site=draw(st.sampled_from(["Strict", "Lax", "None"] if secure else ["Strict", "Lax"])),
        partitioned=secure and draw(st.booleans()),
        priority=draw(st.sampled_from([None, "Low", "Medium", "High"])),
    )


@settings(max_examples=150, deadline=None)
@given(policies())
def test_clearing_repeats_every_attribute(policy: CookiePolicy) -> None:
    line = cleared(policy)
    assert (line.name, line.value) == (policy.name, "")
    assert (line.get("path"), line.get("domain")) == (policy.path, policy.domain)
    assert (line.get("secure") is not None) == policy.secure
    assert (line.get("httponly") is not None) == policy.http_only
    assert line.get("samesite") == policy.same_site
    assert (line.get("partitioned") is not None) == policy.partitioned
    assert line.get("priority") == policy.priority
    assert line.get("max-age") == "0"


def test_clearing_a_cookie_with_a_very_long_name_warns_nobody() -> None:
    assert cleared(CookiePolicy(name="a" * 5000)).name == "a" * 5000


OCTETS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '",;\\')


@settings(deadline=None)
@given(policies(), st.text(OCTETS, max_size=50))
def test_setting_has_the_attributes_by_which_the_cookie_is_cleared(
    policy: CookiePolicy, value: str
) -> None:
    line, clearing = SetCookie.read(policy.setting(value)), cleared(policy)
    assert (line.name, line.value) == (policy.name, value)
    assert line.get("max-age") == str(policy.max_age)
    timing = ("max-age", "expires")
    assert [pair for pair in line.attributes if pair[0] != "max-age"] == [
        pair for pair in clearing.attributes if pair[0] not in timing
    ]


@pytest.mark.parametrize(
    "value", ["s3 cret", 's3"cret', "s3,cret", "s3;cret", "s3\\cret", "s3\ncret"]
)
def test_what_is_no_value_of_a_cookie_is_refused_without_quoting_it(value: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as refused:
        CookiePolicy().setting(value)
    assert "s3" not in str(refused.value)


@pytest.mark.parametrize("value", ["é", "a\x7f", "a\t", None, b"abc", 5])
def test_what_is_no_ascii_text_is_no_value(value: Any) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        CookiePolicy().setting(value)


def test_a_name_and_value_that_browsers_would_drop_are_refused_with_their_sizes() -> None:
    policy = CookiePolicy(name="sid")
    assert SetCookie.read(policy.setting("a" * 4093)).value == "a" * 4093
    with pytest.raises(ValueError, match=r"4096 bytes; this name has 3, this value 4094$"):
        policy.setting("a" * 4094)


@pytest.mark.parametrize(("max_age", "said"), [(None, "60"), (5, "5"), (61, "61"), (0, "0")])
def test_a_value_may_have_another_age_than_the_policys(max_age: int | None, said: str) -> None:
    line = SetCookie.read(CookiePolicy(max_age=60).setting("abc", max_age))
    assert line.get("max-age") == said


@settings(deadline=None)
@given(policies(), st.sets(st.sampled_from(["example.com", "a.b-c.example", "b-c.example"])))
def test_what_clears_cookies_elsewhere_never_clears_its_own(
    policy: CookiePolicy, domains: set[str]
) -> None:
    lines = [
        SetCookie.read(line) for line in policy.clearing_elsewhere([*domains], ["/", "/login"])
    ]
    places = [
        (line.get("path"), line.get("domain"), line.get("partitioned") is not None)
        for line in lines
    ]
    assert len(set(places)) == len(places)
    domain = policy.domain and policy.domain.lower()
    assert (policy.path, domain, policy.partitioned) not in places
    for line in lines:
        assert (line.name, line.value, line.get("max-age")) == (policy.name, "", "0")
        secure = line.get("secure") is not None
        assert secure == (policy.secure or line.get("partitioned") is not None)
        # A browser keeps a line of this name, or it would delete nothing.
        CookiePolicy(
            name=line.name,
            path=str(line.get("path")),
            domain=line.get("domain"),
            secure=secure,
            http_only=line.get("httponly") is not None,
        )
