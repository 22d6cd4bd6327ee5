"""The cases in which this library and Amplify's server functions are asked the same.

Rules:
- A case is data: who wrote the cookies, with which tokens, what else is in the header, what has
  become of the user and of Cognito, and what is asked.
- What is not said of a case is ordinary: `ada`, signed in just now, whose browser's Amplify JS
  wrote the cookies.
- Where our answer is meant to differ it is written down with the reason (`differences.py`).
- A token is told by how it is made (`Recipe`): what is not said of it is as it should be.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote

Writer = Literal["browser", "Next's cookie store", "the adapter's lines", "adapter before 1.7"]
Operation = Literal[
    "getCurrentUser", "getCurrentUser twice", "fetchUserAttributes", "fetchAuthSession"
]
Context = Literal["NextResponse", "Response", "pages", "action", "component"]
Pairs = list[tuple[str, str]]  # the names and values of a Cookie header, in order

# `use`, and then: `of` ("other": another user's), `left` (seconds), `client`, `issuer`, `key`,
# `algorithm`, `nbf` and `iat` (seconds from now), `claims`, `header`, `tampered`; or `text` alone.
Recipe = Mapping[str, Any]

PREFIX: Final = "CognitoIdentityServiceProvider"
CLIENT: Final = "local-client"
OTHER_CLIENT: Final = "another-client"
OTHER_ISSUER: Final = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Another01"
MINUTE: Final = 60  # seconds
HOUR: Final = 60 * MINUTE
USUAL: Final = 3000  # seconds that are left of tokens which were issued ten minutes ago
DAY: Final = 24 * HOUR

# Cognito takes letters, marks, numbers, symbols and punctuation of any script for a username.
USERS: Final = {
    "plain": "ada",
    "e-mail": "ada@example.com",
    "plus": "ada+news@example.com",
    "parentheses": "ada(uk)",
    "percent": "100%ada",
    "percent code": "ada%40home",
    "semicolon": "ada;lovelace",
    "comma": "lovelace,ada",
    "quotes": '"ada"',
    "apostrophe": "o'ada",
    "equals": "ada=lovelace",
    "slash": "corp/ada",
    "backslash": "corp\\ada",
    "pipe": "oidc|ada",
    "colon": "urn:ada",
    "dots": "ada.b.lovelace",
    "accent": "José",
    "Chinese": "李雷",
    "Arabic": "ليلى",
    "emoji": "ada🚀",
    "default name": "username",
    "a key's name": "ada.idToken",
    "LastAuthUser": "LastAuthUser",
}
OTHER: Final = "grace"
SUBS: Final = {
    "me": "00000000-0000-4000-8000-00000000ada0",
    "other": "00000000-0000-4000-8000-00000097ace0",
}


class State(NamedTuple):
    """The tokens in a set of cookies; None: there is no such cookie.

    `refresh`: "good", "unknown", "used up" (by rotation), "other" (another user's).
    """

    access: Recipe | None
    id: Recipe | None
    refresh: str | None = "good"


def access(**told: Any) -> Recipe:
    return {"use": "access", **told}


def identity(**told: Any) -> Recipe:
    return {"use": "id", **told}


def both(refresh: str | None = "good", **told: Any) -> State:
    return State(access(**told), identity(**told), refresh)


OVER: Final[dict[str, Any]] = {"left": -HOUR}
GARBAGE: Final[Recipe] = {"text": "garbage"}
FORGED: Final[dict[str, Any]] = {"key": "unknown"}

STATES: Final[dict[str, State]] = {
    "fresh": both(),
    "ID token expired": State(access(), identity(**OVER)),
    "access token expired": State(access(**OVER), identity()),
    "both expired": both(**OVER),
    "both expired a month ago": both(left=-30 * DAY),
    "7 seconds left": both(left=7),
    "3 seconds left": both(left=3),
    "ID token: 3 seconds left": State(access(), identity(left=3)),
    "access token: 3 seconds left": State(access(left=3), identity()),
    "fresh, no refresh token": both(None),
    "3 seconds left, no refresh token": both(None, left=3),
    "both expired, no refresh token": both(None, **OVER),
    "ID token expired, no refresh token": State(access(), identity(**OVER), None),
    "access token expired, no refresh token": State(access(**OVER), identity(), None),
    "no ID token": State(access(), None),
    "no ID token, access token expired": State(access(**OVER), None),
    "no ID token, 3 seconds left": State(access(left=3), None),
    "no ID token, expired, no refresh token": State(access(**OVER), None, None),
    "no access token": State(None, identity()),
    "no access token, ID token expired": State(None, identity(**OVER)),
    "refresh token alone": State(None, None),
    "access token in the ID slot": State(access(), access()),
    "ID token in the access slot": State(identity(), identity()),
    "both swapped": State(identity(), access()),
    "expired access token in the ID slot": State(access(), access(**OVER)),
    "expired ID token in the access slot": State(identity(**OVER), identity()),
    "access token of another client": State(access(client=OTHER_CLIENT), identity()),
    "ID token of another client": State(access(), identity(client=OTHER_CLIENT)),
    "both of another client": both(client=OTHER_CLIENT),
    "expired access token of another client": State(
        access(client=OTHER_CLIENT, **OVER), identity()
    ),
    "expired ID token of another client": State(access(), identity(client=OTHER_CLIENT, **OVER)),
    "both expired, of another client": both(client=OTHER_CLIENT, **OVER),
    "access token of another issuer": State(access(issuer=OTHER_ISSUER), identity()),
    "ID token of another issuer": State(access(), identity(issuer=OTHER_ISSUER)),
    "both expired, of another issuer": both(issuer=OTHER_ISSUER, **OVER),
    "access token signed by nobody known": State(access(**FORGED), identity()),
    "ID token signed by nobody known": State(access(), identity(**FORGED)),
    "both expired, signed by nobody known": both(**FORGED, **OVER),
    "signed by nobody known just now": both(**FORGED, left=HOUR),
    "access token tampered with": State(access(tampered=True), identity()),
    "ID token tampered with": State(access(), identity(tampered=True)),
    "expired ID token tampered with": State(access(), identity(tampered=True, **OVER)),
    "both expired and tampered with": both(tampered=True, **OVER),
    "access token with alg none": State(access(algorithm="none"), identity()),
    "ID token with alg none": State(access(), identity(algorithm="none")),
    "access token with alg HS256": State(access(algorithm="HS256"), identity()),
    "ID token with alg HS256": State(access(), identity(algorithm="HS256")),
    "access token without kid": State(access(header={"kid": None}), identity()),
    "ID token without kid": State(access(), identity(header={"kid": None})),
    "access token not valid before next hour": State(access(nbf=HOUR), identity()),
    "ID token not valid before next hour": State(access(), identity(nbf=HOUR)),
    "access token of next hour": State(access(iat=HOUR), identity()),
    "access token is garbage": State(GARBAGE, identity()),
    "ID token is garbage": State(access(), GARBAGE),
    "another user's ID token": State(access(), identity(of="other")),
    "another user's access token": State(access(of="other"), identity()),
    "another user's expired ID token": State(access(), identity(of="other", **OVER)),
    "another user's expired access token": State(access(of="other", **OVER), identity()),
    "both tokens another user's": both(of="other"),
    "both expired, another user's refresh token": both("other", **OVER),
    "both expired, unknown refresh token": both("unknown", **OVER),
    "both expired, refresh token used up": both("used up", **OVER),
    "3 seconds left, refresh token used up": both("used up", left=3),
    "fresh, refresh token unknown": both("unknown"),
    "ID token without cognito:username": State(
        access(), identity(claims={"cognito:username": None})
    ),
    "access token without username": State(access(claims={"username": None}), identity()),
}


@dataclass(frozen=True)
class Also:
    """Another set of cookies in the same header. `is_last`: its LastAuthUser is there, too."""

    tokens: str = "both expired a month ago"
    name: str = "stale"  # of the user, in the cookies' names; "": the same as in the case's own
    of: Literal["me", "other"] = "other"
    client: str = CLIENT
    count: int = 1
    is_last: bool = False


@dataclass(frozen=True)
class Edit:
    """A change to a header's cookies, and its words."""

    words: str
    act: Callable[[Pairs], Pairs]


def is_of(name: str, suffix: str) -> bool:
    return name.startswith(f"{PREFIX}.") and name.endswith(f".{suffix}")


def without(*suffixes: str) -> Edit:
    def act(pairs: Pairs) -> Pairs:
        return [p for p in pairs if not any(is_of(p[0], suffix) for suffix in suffixes)]

    return Edit(f"without {', '.join(suffixes)}", act)


def with_value(suffix: str, value: str) -> Edit:
    def act(pairs: Pairs) -> Pairs:
        return [(name, value if is_of(name, suffix) else old) for name, old in pairs]

    return Edit(f"{suffix} is `{value}`", act)


def with_own(suffix: str, value: str) -> Edit:
    """The user's cookie of this suffix is set, even if Amplify did not write it."""

    def act(pairs: Pairs) -> Pairs:
        (user,) = {name.rpartition(".")[0] for name, _ in pairs if is_of(name, "accessToken")}
        return [*(p for p in pairs if not is_of(p[0], suffix)), (f"{user}.{suffix}", value)]

    return Edit(f"{suffix} is `{value}`", act)


def first(*cookies: tuple[str, str]) -> Edit:
    return Edit(f"{_told(cookies)} in front", lambda pairs: [*cookies, *pairs])


def last(*cookies: tuple[str, str]) -> Edit:
    return Edit(f"{_told(cookies)} at the end", lambda pairs: [*pairs, *cookies])


def _told(cookies: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"`{name}={value[:24]}{'…' * (len(value) > 24)}`" for name, value in cookies)


def again(suffix: str, value: str, *, where: Literal["first", "last"]) -> Edit:
    def act(pairs: Pairs) -> Pairs:
        more = [(name, value) for name, _ in pairs if is_of(name, suffix)]
        return more + pairs if where == "first" else pairs + more

    return Edit(f"{suffix} twice, {where} as `{value}`", act)


TWICE: Final = Edit("every cookie twice", lambda pairs: pairs + pairs)
BACKWARDS: Final = Edit("in reverse order", lambda pairs: pairs[::-1])
NOTHING: Final = Edit("none of them sent", lambda pairs: [])
LOWER: Final = Edit(
    "names in lower case", lambda pairs: [(name.lower(), value) for name, value in pairs]
)
ENCODED_TWICE: Final = Edit(
    "names encoded twice", lambda pairs: [(name.replace("%", "%25"), v) for name, v in pairs]
)
RAW_DETAILS: Final = Edit(
    "signInDetails not encoded",
    lambda pairs: [(n, unquote(v) if is_of(n, "signInDetails") else v) for n, v in pairs],
)
QUOTED: Final = Edit(
    "tokens in quotes",
    lambda pairs: [(n, f'"{v}"' if n.endswith("Token") else v) for n, v in pairs],
)


_WRITERS: Final[Mapping[Writer, str]] = {
    "browser": "the browser",
    "Next's cookie store": "Next's cookie store",
    "the adapter's lines": "the adapter's own `Set-Cookie` lines",
    "adapter before 1.7": "an adapter before 1.7, names not encoded",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case. `id`: its name. `alias`: the user in the cookies' names, where that is another.

    `http_only`: of the adapter's server mode. `domain`: that the cookies are set for; `path`: of
    the request. `drift`: what becomes of `clockDrift` counts, too. `world`: what has happened since
    the cookies were written (`world.events`).
    """

    id: str
    user: str = "plain"
    alias: str | None = None
    writer: Writer = "browser"
    http_only: bool = False
    tokens: str = "fresh"
    details: bool = True  # whether there are signInDetails
    before: tuple[Also, ...] = ()
    after: tuple[Also, ...] = ()
    edits: tuple[Edit, ...] = ()
    between: str = "; "
    world: tuple[str, ...] = ()
    operation: Operation = "getCurrentUser"
    context: Context = "NextResponse"
    domain: str | None = None
    path: str = "/page"
    drift: bool = False

    @property
    def name(self) -> str:
        """Of the user, in the cookies' names."""
        return self.alias or USERS[self.user]

    @property
    def cookies(self) -> str:
        """What is in the header, in words."""
        parts = [f"{USERS[self.user]}: {self.tokens}", f"written by {_WRITERS[self.writer]}"]
        if self.alias:
            parts.insert(1, f"called {self.alias} in the names")
        if self.http_only:
            parts.append("HttpOnly")
        if self.domain:
            parts.append(f"for the domain {self.domain}")
        for order, others in (("before", self.before), ("after", self.after)):
            parts += [f"{order} them {_other(each)}" for each in others]
        return "; ".join([*parts, *(edit.words for edit in self.edits)])

    @property
    def question(self) -> str:
        """What is asked, and what has happened since the cookies were written, in words."""
        words: list[str] = [self.operation]
        if self.context != "NextResponse":
            words.append(f"in Next's {self.context}")
        if self.path != "/page":
            words.append(f"at {self.path}")
        return ", ".join([*words, *self.world])


def _other(also: Also) -> str:
    whose = "a set of the same user" if also.of == "me" else "a set of another user"
    if also.count > 1:
        whose = f"{also.count} sets of other users"
    name = f", called {also.name}" if also.name else ""
    client = " and of another client" if also.client != CLIENT else ""
    last_user = ", with its LastAuthUser" if also.is_last else ""
    return f"{whose}{name}{client} ({also.tokens}{last_user})"


def _slug(text: str) -> str:
    kept = "".join(c if c.isalnum() and c.isascii() else "-" for c in text.lower())
    return "-".join(filter(None, kept.split("-")))


# --- the table

REFRESH: Final = "GetTokensFromRefreshToken"
EXPIRED: Final = "both expired"


def _by_user() -> list[Case]:
    """Every kind of username, from every writer."""
    made: list[Case] = []
    store: dict[str, Any] = {"writer": "Next's cookie store"}
    for user in USERS:
        slug = _slug(user)
        made += [
            Case(id=f"{slug}-browser", user=user),
            Case(id=f"{slug}-next-store", user=user, **store),
        ]
    for user in (
        *("plain", "e-mail", "plus", "parentheses", "percent", "percent code", "semicolon"),
        *("comma", "quotes", "equals", "accent", "Chinese", "Arabic", "emoji", "a key's name"),
    ):
        slug = _slug(user)
        made.append(Case(id=f"{slug}-expired", user=user, tokens=EXPIRED))
    for user in ("plain", "e-mail", "parentheses", "percent", "equals", "Chinese", "emoji"):
        slug = _slug(user)
        made += [
            Case(id=f"{slug}-server-mode", user=user, http_only=True, **store),
            Case(
                id=f"{slug}-server-mode-expired",
                user=user,
                http_only=True,
                tokens=EXPIRED,
                **store,
            ),
        ]
    for user in ("plain", "e-mail", "plus", "parentheses", "percent", "comma", "equals", "quotes"):
        slug = _slug(user)
        raw: dict[str, Any] = {"writer": "the adapter's lines", "context": "pages"}
        made += [
            Case(id=f"{slug}-lines", user=user, **raw),
            Case(id=f"{slug}-lines-expired", user=user, http_only=True, tokens=EXPIRED, **raw),
        ]
    made += [
        Case(id=f"{_slug(user)}-before-1-7", user=user, writer="adapter before 1.7")
        for user in ("plain", "e-mail", "plus", "parentheses", "comma", "slash", "accent")
    ]
    for user in ("plain", "e-mail", "parentheses", "Chinese"):
        world = (f"{REFRESH} NotAuthorizedException",)
        made.append(Case(id=f"{_slug(user)}-refused", user=user, tokens=EXPIRED, world=world))
    return made


def _by_alias() -> list[Case]:
    made = []
    for kind, alias in (("e-mail", "Ada@Example.com"), ("phone", "+44 20 7946 0000")):
        slug = f"alias-{_slug(kind)}"
        world = (f"{REFRESH} NotAuthorizedException",)
        made += [
            Case(id=slug, alias=alias),
            Case(id=f"{slug}-expired", alias=alias, tokens=EXPIRED),
            Case(id=f"{slug}-refused", alias=alias, tokens=EXPIRED, world=world),
        ]
    return made


def _by_refresh() -> list[Case]:
    """What Cognito may answer to a refresh: after the tokens have expired, and before."""
    late = (
        *("NotAuthorizedException", "TokenRevokedException", "UserNotFoundException"),
        *("PasswordResetRequiredException", "UserNotConfirmedException"),
        *("RefreshTokenReuseException", "ResourceNotFoundException", "InvalidParameterException"),
        *("UnexpectedLambdaException", "UserLambdaValidationException", "ForbiddenException"),
        *("InternalErrorException", "AnErrorOfTomorrowException"),
        *("Throttling", "503", "Down", "garbage", "empty"),
    )
    early = (
        *("NotAuthorizedException", "UserNotFoundException", "RefreshTokenReuseException"),
        *("AnErrorOfTomorrowException", "Throttling", "503", "Down"),
    )
    return [
        Case(id=f"{start}refresh-{_slug(fault)}", tokens=state, world=(f"{REFRESH} {fault}",))
        for start, state, faults in (("", EXPIRED, late), ("early-", "3 seconds left", early))
        for fault in faults
    ]


def _by_fate() -> list[Case]:
    """What has become of the user, the refresh token, or the keys."""
    made = []
    for fate in ("disabled", "deleted", "reset", "signed out everywhere"):
        made += [
            Case(id=f"{_slug(fate)}", world=(fate,)),
            Case(id=f"{_slug(fate)}-expired", tokens=EXPIRED, world=(fate,)),
            Case(id=f"{_slug(fate)}-attributes", world=(fate,), operation="fetchUserAttributes"),
        ]
    rotating = ("rotates",)
    keys = {"keys-down": "jwks Down", "keys-503": "jwks 503", "keys-garbage": "jwks garbage"}
    return [
        *made,
        Case(id="rotation", tokens=EXPIRED, world=rotating),
        Case(id="rotation-used-up", tokens="both expired, refresh token used up", world=rotating),
        Case(
            id="rotation-used-up-early",
            tokens="3 seconds left, refresh token used up",
            world=rotating,
        ),
        Case(id="twice", operation="getCurrentUser twice"),
        Case(id="twice-expired", tokens=EXPIRED, operation="getCurrentUser twice"),
        Case(id="twice-rotation", tokens=EXPIRED, world=rotating, operation="getCurrentUser twice"),
        *(Case(id=name, world=(event,)) for name, event in keys.items()),
        Case(id="keys-down-expired", tokens=EXPIRED, world=("jwks Down",)),
        Case(id="keys-down-session", world=("jwks Down",), operation="fetchAuthSession"),
        Case(id="keys-changed", world=("other keys",)),
        Case(id="keys-changed-expired", tokens=EXPIRED, world=("other keys",)),
    ]


def _by_operation() -> list[Case]:
    session: dict[str, Any] = {"operation": "fetchAuthSession"}
    attributes: dict[str, Any] = {"operation": "fetchUserAttributes"}
    refused = (f"{REFRESH} NotAuthorizedException",)
    session_states = (
        *("fresh", "ID token expired", EXPIRED, "no ID token", "no access token"),
        *("both expired, no refresh token", "3 seconds left", "another user's ID token"),
        *("access token tampered with", "ID token tampered with"),
        *("no ID token, access token expired", "access token in the ID slot"),
    )
    attribute_states = (
        *("fresh", EXPIRED, "no ID token", "no access token", "another user's ID token"),
    )
    refresh_faults = ("NotAuthorizedException", "UserNotFoundException", "Throttling", "Down")
    faults = (
        *("NotAuthorizedException", "UserNotFoundException", "PasswordResetRequiredException"),
        *("UserNotConfirmedException", "ResourceNotFoundException", "InvalidParameterException"),
        *("ForbiddenException", "AnErrorOfTomorrowException", "InternalErrorException"),
        *("Throttling", "Down", "garbage"),
    )
    return [
        Case(id="session-nobody", edits=(NOTHING,), **session),
        *(Case(id=f"session-{_slug(state)}", tokens=state, **session) for state in session_states),
        *(
            Case(
                id=f"session-refresh-{_slug(fault)}",
                tokens=EXPIRED,
                world=(f"{REFRESH} {fault}",),
                **session,
            )
            for fault in refresh_faults
        ),
        Case(id="attributes-nobody", edits=(NOTHING,), **attributes),
        Case(id="attributes-refused", tokens=EXPIRED, world=refused, **attributes),
        *(
            Case(id=f"attributes-{_slug(state)}", tokens=state, **attributes)
            for state in attribute_states
        ),
        *(
            Case(id=f"attributes-{_slug(user)}", user=user, **attributes)
            for user in ("e-mail", "Chinese", "percent")
        ),
        *(
            Case(id=f"attributes-{_slug(fault)}", world=(f"GetUser {fault}",), **attributes)
            for fault in faults
        ),
    ]


def _by_context() -> list[Case]:
    made = []
    refused = (f"{REFRESH} NotAuthorizedException",)
    for context in ("Response", "pages", "action", "component"):
        here: dict[str, Any] = {"context": context, "user": "e-mail"}
        made += [
            Case(id=f"{context}-fresh", **here),
            Case(id=f"{context}-expired", tokens=EXPIRED, **here),
            Case(id=f"{context}-refused", tokens=EXPIRED, world=refused, **here),
        ]
    places: dict[str, dict[str, Any]] = {
        "below-a-path": {"path": "/account/settings", "context": "pages"},
        "domain": {"domain": "example.com"},
        "clock-drift-written": {"drift": True},
    }
    made += [
        Case(id=f"{context}-chinese-expired", context=context, user="Chinese", tokens=EXPIRED)
        for context in ("Response", "pages", "action")
    ]
    server: dict[str, Any] = {"writer": "Next's cookie store", "http_only": True}
    return [
        *made,
        Case(id="server-mode-id-token-expired", tokens="ID token expired", **server),
        Case(id="server-mode-refused", tokens=EXPIRED, world=refused, **server),
        Case(id="server-mode-no-refresh-token", tokens="both expired, no refresh token", **server),
        Case(id="server-mode-no-id-token", tokens="no ID token", **server),
        Case(id="server-mode-tampered", tokens="access token tampered with", **server),
        Case(
            id="server-mode-clock-drift",
            tokens=EXPIRED,
            edits=(with_own("clockDrift", "-3600000000"),),
            **server,
        ),
        Case(
            id="server-mode-sign-in-details",
            edits=(with_own("signInDetails", "{%22loginId%22:%22ada%22}"),),
            **server,
        ),
        *(
            Case(
                id=f"{name}-{_slug(state)}{'-refused' if world else ''}",
                tokens=state,
                world=world,
                **where,
            )
            for name, where in places.items()
            for state, world in (("fresh", ()), (EXPIRED, ()), (EXPIRED, refused))
        ),
        Case(id="server-mode-reads-a-browsers", http_only=True, writer="browser"),
        Case(id="a-browsers-mode-reads-a-servers", writer="Next's cookie store", details=False),
    ]


def _by_neighbours() -> list[Case]:
    """What else is in the header."""
    long = "x" * 4000
    same: dict[str, Any] = {"name": "", "of": "me", "is_last": True}
    return [
        Case(id="nobody", edits=(NOTHING,)),
        Case(id="nobody-but-foreign", edits=(NOTHING, first(("theme", "dark")))),
        Case(id="stale-user-before", before=(Also(),)),
        Case(id="stale-user-after", after=(Also(),)),
        Case(id="stale-users-20", before=(Also(count=20),)),
        Case(id="stale-user-expired", tokens=EXPIRED, before=(Also(),)),
        Case(id="stale-user-fresh", after=(Also("fresh"),)),
        Case(id="other-client-before", before=(Also("fresh", client=OTHER_CLIENT, is_last=True),)),
        Case(id="other-client-after", after=(Also("fresh", client=OTHER_CLIENT, is_last=True),)),
        Case(
            id="other-client-alone",
            edits=(NOTHING,),
            after=(Also("fresh", client=OTHER_CLIENT, is_last=True),),
        ),
        Case(
            id="other-client-same-user",
            after=(Also("fresh", client=OTHER_CLIENT, **same),),
            tokens=EXPIRED,
        ),
        Case(id="twice-each", edits=(TWICE,)),
        Case(id="twice-each-expired", tokens=EXPIRED, edits=(TWICE,)),
        Case(id="older-set-before", before=(Also(**same),)),
        Case(id="older-set-after", after=(Also(**same),)),
        Case(id="older-set-before-expired", tokens=EXPIRED, before=(Also(**same),)),
        Case(
            id="older-set-without-refresh-after", after=(Also("fresh, no refresh token", **same),)
        ),
        Case(id="two-users-after", after=(Also("fresh", is_last=True),)),
        Case(id="two-users-before", before=(Also("fresh", is_last=True),)),
        Case(id="two-users-of-one-name-after", after=(Also("fresh", name="", is_last=True),)),
        Case(id="two-users-of-one-name-before", before=(Also("fresh", name="", is_last=True),)),
        Case(id="two-users-both-expired", tokens=EXPIRED, after=(Also(EXPIRED, is_last=True),)),
        Case(id="two-users-one-garbage", after=(Also("access token is garbage", is_last=True),)),
        Case(
            id="access-token-twice-garbage-first", edits=(again("accessToken", "g", where="first"),)
        ),
        Case(
            id="access-token-twice-garbage-last", edits=(again("accessToken", "g", where="last"),)
        ),
        Case(id="id-token-twice-garbage-last", edits=(again("idToken", "g", where="last"),)),
        Case(id="last-user-twice-first", edits=(again("LastAuthUser", "nobody", where="first"),)),
        Case(id="last-user-twice-last", edits=(again("LastAuthUser", "nobody", where="last"),)),
        Case(id="last-user-missing", edits=(without("LastAuthUser"),)),
        Case(
            id="last-user-missing-default-name",
            user="default name",
            edits=(without("LastAuthUser"),),
        ),
        Case(
            id="last-user-missing-default-name-expired",
            user="default name",
            tokens=EXPIRED,
            edits=(without("LastAuthUser"),),
        ),
        Case(id="last-user-nobody", edits=(with_value("LastAuthUser", "nobody"),)),
        Case(id="last-user-empty", edits=(with_value("LastAuthUser", ""),)),
        Case(id="last-user-broken-code", edits=(with_value("LastAuthUser", "%ZZ"),)),
        Case(id="last-user-no-utf-8", edits=(with_value("LastAuthUser", "%FF"),)),
        Case(id="last-user-fully-encoded", edits=(with_value("LastAuthUser", "%61%64%61"),)),
        Case(id="last-user-other-case", edits=(with_value("LastAuthUser", "Ada"),)),
        Case(
            id="last-user-of-the-stale-one",
            edits=(with_value("LastAuthUser", "grace"),),
            after=(Also("fresh", name="grace"),),
        ),
        Case(
            id="last-user-of-the-stale-one-expired",
            edits=(with_value("LastAuthUser", "grace"),),
            after=(Also(EXPIRED, name="grace"),),
        ),
        *(
            Case(id=f"sign-in-details-{name}", edits=(with_value("signInDetails", value),))
            for name, value in {
                "malformed": "%7Bnot",
                "null": "null",
                "number": "5",
                "false": "false",
                "empty-object": "{}",
                "empty": "",
                "no-utf-8": "%FF",
                "nan": "NaN",
                "number-inside": "{%22loginId%22:5}",
                "login-alone": "{%22loginId%22:%22ada%22}",
                "more-inside": "{%22loginId%22:%22ada%22%2C%22more%22:true}",
            }.items()
        ),
        Case(id="sign-in-details-missing", details=False),
        Case(id="sign-in-details-missing-expired", details=False, tokens=EXPIRED),
        Case(id="sign-in-details-raw", edits=(RAW_DETAILS,)),
        Case(id="sign-in-details-raw-expired", edits=(RAW_DETAILS,), tokens=EXPIRED),
        Case(
            id="sign-in-details-malformed-expired",
            tokens=EXPIRED,
            edits=(with_value("signInDetails", "%7Bnot"),),
        ),
        *(
            Case(
                id=f"clock-drift-{name}-{_slug(state)}",
                tokens=state,
                edits=(with_value("clockDrift", value),),
            )
            for name, value, state in (
                ("back", "-3600000000", EXPIRED),
                ("letters", "abc", EXPIRED),
                ("empty", "", EXPIRED),
                ("back", "-3600000000", "ID token expired"),
                ("back", "-3600000000", "both expired, no refresh token"),
                ("back", "-3600000000", "both expired, of another client"),
                ("back", "-3600000000", "fresh"),
                ("ahead", "3600000000", "fresh"),
                ("ahead", "3600000000", "fresh, no refresh token"),
            )
        ),
        Case(id="clock-drift-missing", edits=(without("clockDrift"),)),
        Case(id="refresh-token-empty", tokens=EXPIRED, edits=(with_value("refreshToken", ""),)),
        Case(id="access-token-empty", edits=(with_value("accessToken", ""),)),
        Case(id="id-token-empty", edits=(with_value("idToken", ""),)),
        Case(id="reverse-order", edits=(BACKWARDS,)),
        Case(id="no-space-between", between=";"),
        Case(id="more-space-between", between=" ;  "),
        Case(id="names-in-lower-case", edits=(LOWER,)),
        Case(id="names-encoded-twice", user="e-mail", edits=(ENCODED_TWICE,)),
        Case(id="tokens-in-quotes", edits=(QUOTED,)),
        Case(
            id="device-keys",
            edits=(
                with_own("deviceKey", "eu-west-1_device"),
                with_own("deviceGroupKey", "-group"),
                with_own("randomPasswordKey", "pw"),
            ),
        ),
        Case(
            id="device-keys-expired",
            tokens=EXPIRED,
            edits=(
                with_own("deviceKey", "eu-west-1_device"),
                with_own("deviceGroupKey", "-group"),
                with_own("randomPasswordKey", "pw"),
            ),
        ),
        Case(id="oauth-metadata", edits=(with_own("oauthMetadata", "{%22oauthSignIn%22:true}"),)),
        Case(
            id="oauth-metadata-refused",
            tokens=EXPIRED,
            edits=(with_own("oauthMetadata", "{%22oauthSignIn%22:true}"),),
            world=(f"{REFRESH} NotAuthorizedException",),
        ),
        Case(id="foreign-theme", edits=(first(("theme", "dark")), last(("lang", "en")))),
        Case(id="foreign-long", edits=(first(("long", long)),)),
        Case(id="foreign-equals", edits=(first(("a", "b=c=d")),)),
        Case(id="foreign-no-utf-8", edits=(first(("a", "%FF")),)),
        Case(id="foreign-raw-bytes", edits=(first(("caf\xe9", "\xff\xfe")),)),
        Case(id="foreign-json", edits=(first(("prefs", '{"a":"b, c"}')),)),
        Case(id="foreign-empty-name", edits=(first(("", "nothing")),)),
        Case(
            id="foreign-identity-id",
            edits=(first(("com.amplify.Cognito.eu-west-1%3A1.identityId", "eu-west-1%3A2")),),
        ),
        Case(id="foreign-prefix-alone", edits=(first((f"{PREFIX}.", "x"), (PREFIX, "y")),)),
        Case(
            id="foreign-name-in-a-value",
            edits=(first(("note", f"{PREFIX}.{CLIENT}.LastAuthUser=grace")),),
        ),
    ]


SECTIONS: Final[dict[str, list[Case]]] = {
    "Usernames and writers": _by_user(),
    "Another name in the cookies than in the tokens": _by_alias(),
    "Tokens": [Case(id=_slug(state), tokens=state) for state in STATES if state != "fresh"],
    "What Cognito answers to a refresh": _by_refresh(),
    "What has become of the user, the refresh token and the keys": _by_fate(),
    "Sessions and attributes": _by_operation(),
    "Next's contexts, the server mode, and where cookies are set": _by_context(),
    "What else is in the header": _by_neighbours(),
}
CASES: Final = [case for cases in SECTIONS.values() for case in cases]
