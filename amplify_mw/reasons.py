"""All reasons, each explained once: for the documentation, the log's reader and the tools.

Rules:
- Every reason of `errors.Reason`, every code of a failed sign-in, and `foreign_origin` has one
  entry here. The tables of the documentation are made from it.
- A meaning is what happened, a cause is the usual cause, a mend is what to write or do: plain
  sentences in Markdown. They name options as they are written in code. The first sentence of a
  meaning and of a mend stands alone in the overview.
- A test brings about each status of each reason by a request, and compares it and the cookie.
"""

from typing import Final, Literal, NamedTuple, TypeAlias

Cookie: TypeAlias = Literal["kept", "cleared", "none"]
Group: TypeAlias = Literal[
    "signed_out", "step_up", "header", "forbidden", "unavailable", "cognito", "sign_in"
]


class Answer(NamedTuple):
    """An answer for a reason."""

    status: int
    """The HTTP status."""

    cookie: Cookie
    """What becomes of the session's cookie; `none`: no cookie is concerned."""


class Explanation(NamedTuple):
    """A reason, explained."""

    code: str
    """Such as `wrong_client`."""

    group: Group
    """Its section in the documentation."""

    answers: tuple[Answer, ...]
    """How a request is answered, the usual answer first."""

    meaning: str
    cause: str
    """Empty if the meaning says it all."""

    mend: str
    see: str = ""
    """The page of the documentation for more, such as `cookie.md#two-cookies-of-one-name`."""

    @property
    def statuses(self) -> tuple[int, ...]:
        """The HTTP statuses it is answered with, the usual one first."""
        return tuple(answer.status for answer in self.answers)

    @property
    def cookie(self) -> Cookie:
        """What becomes of the session's cookie with the usual answer."""
        return self.answers[0].cookie

    @property
    def short_meaning(self) -> str:
        """The first sentence of the meaning."""
        return _first_sentence(self.meaning)

    @property
    def short_mend(self) -> str:
        """The first sentence of the mend."""
        return _first_sentence(self.mend)


def _first_sentence(text: str) -> str:
    """A text up to its first full stop before a space."""
    sentence, stop, _ = text.partition(". ")
    return sentence + stop.strip()


_NO_COOKIE: Final = (Answer(401, "none"),)
_KEPT: Final = (Answer(401, "kept"),)
_CLEARED: Final = (Answer(401, "cleared"),)
_LATER: Final = (Answer(503, "kept"),)
_CLEARED_OR_LATER: Final = (*_CLEARED, *_LATER)
_FORBIDDEN: Final = (Answer(403, "kept"),)
_BROKEN: Final = (Answer(502, "kept"),)

_SIGNED_OUT: Final = (
    Explanation(
        "no_session",
        "signed_out",
        _NO_COOKIE,
        "No session's cookie was sent.",
        "Nobody has signed in yet. Or the browser has dropped the cookie: a `Secure` one over "
        "plain http. Or it has another name, or the client sent an `Authorization` header.",
        "Sign in. If you expected a cookie: use https, let the front end and "
        "`CookiePolicy(name=...)` agree, and write `bearer=True` for tokens in a header.",
    ),
    Explanation(
        "duplicate_cookie",
        "signed_out",
        (*_KEPT, Answer(409, "kept")),
        "The cookie was sent twice, with different values, and either may be another site's.",
        "A sibling subdomain, or an earlier configuration, has set a cookie of this name for "
        "another domain or path. With `AmplifyCookies()`: cookies of two users.",
        "Sign in again, which deletes the other cookie. As a 409 at the sign-in routes it could "
        "not be deleted: delete both in the browser, and give `CookiePolicy` a new `name`. "
        "`CookiePolicy.host_prefixed()` prevents it.",
        "cookie.md#two-cookies-of-one-name",
    ),
    Explanation(
        "different_users",
        "signed_out",
        _KEPT,
        "Cookies of two kinds of session name different users.",
        "With `session=[...]`, somebody has signed in by one kind and not out by the other.",
        "Sign in again or sign out: both cookies are replaced, or cleared.",
        "sessions.md#several-kinds-at-once",
    ),
    Explanation(
        "malformed_token",
        "signed_out",
        _CLEARED_OR_LATER,
        "The value is no JWT in the one strict spelling accepted. As a 503: Cognito's new tokens "
        "cannot be read.",
        "Another program's cookie has the same name; or the kind of session was changed, and "
        "`TokenSession` reads an older cookie. As a 503: an emulator or a proxy answers.",
        "Give your cookie a name of its own, `CookiePolicy(name=...)`. As a 503: see what answers "
        "at `endpoint_url`.",
    ),
    Explanation(
        "unsupported_algorithm",
        "signed_out",
        _CLEARED,
        "The token is not signed with RS256, as Cognito's are.",
        "It was made by another service, or by an attacker.",
        "Send a token of the user pool.",
    ),
    Explanation(
        "wrong_issuer",
        "signed_out",
        _CLEARED_OR_LATER,
        "The token is from a user pool that is not configured. As a 503: the pool's new tokens "
        "name an issuer of it that does not count here.",
        "`user_pool_id` or the Region is another environment's. Or another site of this host name "
        "has set the cookie. As a 503: the pool's issuer was switched.",
        "Compare `user_pool_id` with the issuers in the log's WARNING, and correct it. If another "
        "site sets the cookie, give yours a name of its own. For an emulator, set `issuer`. As a "
        "503, correct `issuers=` or `regions=`.",
        "issuers.md#before-you-switch-a-pool",
    ),
    Explanation(
        "unknown_key",
        "signed_out",
        _CLEARED,
        "The token is signed with a key that the pool does not have.",
        "The token is forged, or of another pool with the same issuer: a local pool that was "
        "started anew. Or the key was withdrawn. A key set from a file (`keys=...`) is too old.",
        "Sign in again. If the keys are from a file, fetch it anew after each rotation.",
    ),
    Explanation(
        "bad_signature",
        "signed_out",
        _CLEARED,
        "The signature does not hold: the token was changed or forged.",
        "Somebody tried; or a proxy or a program has cut the cookie.",
        "Sign in again. If it is frequent, see what handles cookies on the way.",
    ),
    Explanation(
        "wrong_token_use",
        "signed_out",
        _CLEARED,
        "The token is neither an ID token nor an access token; or it is an ID token in an "
        "`Authorization` header.",
        "A program sends its ID token as a Bearer token.",
        "Send the access token in an `Authorization` header, an ID or access token in a cookie.",
    ),
    Explanation(
        "wrong_client",
        "signed_out",
        _CLEARED,
        "The token is for another app client of the pool.",
        "`client_id` is another environment's, or the front end uses an app client of its own.",
        "Compare `client_id` with the id in the log's WARNING, and name all that count: "
        "`client_id=['...', '...']`. If another site sets the cookie, give yours its own name.",
    ),
    Explanation(
        "wrong_audience",
        "signed_out",
        _CLEARED,
        "The access token is for another API: its `aud` is none of `audience=[...]`.",
        "The program, or `AuthRoutes(resource=...)`, has asked for a token for another API.",
        "Ask for a token with `resource=` one of `audience=[...]`.",
        "bearer.md#bound-to-this-api",
    ),
    Explanation(
        "token_expired",
        "signed_out",
        _CLEARED_OR_LATER,
        "The token has run out. As a 503: new tokens, too, have run out by this machine's clock.",
        "A `TokenSession` ends with its token, an hour by default. As a 503: this machine's clock "
        "is ahead by more than a token's lifetime. In a WebSocket, where nothing can be "
        "refreshed, it is a 401, and the cookie is kept.",
        "Sign in again, or choose a session that lasts: `StoredSession` or `SealedSession`. As a "
        "503, set the clock (NTP). For a WebSocket, reload the page.",
        "deployment.md#clocks",
    ),
    Explanation(
        "missing_claim",
        "signed_out",
        _CLEARED,
        "The token has no `sub`, or no username.",
        "It is a machine's token (client credentials) in a cookie, or no token of Cognito's.",
        "Send a user's token in the cookie. Machines send theirs in a header, with `bearer=True`.",
        "bearer.md#machines",
    ),
    Explanation(
        "session_revoked",
        "signed_out",
        _CLEARED,
        "The session was ended: from another device, or by Cognito.",
        "Signed out everywhere; signed out by handle or by an administrator; or Cognito no longer "
        "refreshes it: the refresh token has run out or was revoked, the user is disabled, or the "
        "pool's limit of sessions has evicted it, as the log then says. A sealed session that was "
        "signed out is this, too.",
        "Sign in again. If it comes too early, lengthen the app client's refresh token, or raise "
        "the pool's limit of sessions.",
        "devices.md#what-ends-when-for-whom",
    ),
    Explanation(
        "invalid_session",
        "signed_out",
        _CLEARED,
        "The sealed session, or the session's id, means nothing here.",
        "A stored session was signed out in this browser, or has run out, and its record is gone. "
        "For everybody at once: the store was emptied, is another one, or the kind of session was "
        "changed.",
        "Sign in again. For everybody at once: compare the store's address, its eviction policy "
        "and `session=...` with those of before.",
        "many-machines.md#eviction",
    ),
    Explanation(
        "unknown_session_key",
        "signed_out",
        _KEPT,
        "The session is sealed with a key that is not here; another process may have it.",
        "`keys`, the cookie's name or the `client_id` was changed, or processes have different "
        "`keys`.",
        "Give all processes the same `keys=[...]`, the earlier key among them.",
        "sessions.md#change-the-keys",
    ),
    Explanation(
        "session_expired",
        "signed_out",
        _CLEARED,
        "The session was not used for longer than `idle`, or began longer ago than `absolute`.",
        "",
        "Sign in again, or set `idle` and `absolute` of the session kind higher.",
        "sessions.md",
    ),
    Explanation(
        "invalid_handover",
        "signed_out",
        _NO_COOKIE,
        "A job's text of `hand_over_user` does not open here.",
        "It was changed, or is of another user pool or key. For all jobs at once: the web app and "
        "the workers have different `handover_keys`.",
        "Give the workers the `handover_keys` and the user pool of the web app.",
        "jobs.md",
    ),
    Explanation(
        "handover_expired",
        "signed_out",
        _NO_COOKIE,
        "A job began, or went on, after the time of its hand-over.",
        "The queue is slow, or the job long.",
        "Hand over for longer: `hand_over_user(expires_in=...)`.",
        "jobs.md#what-the-job-has-and-what-it-has-not",
    ),
    Explanation(
        "token_mismatch",
        "signed_out",
        _CLEARED,
        "The tokens of one session name different users, pools or app clients.",
        "Tokens of two sign-ins were put together: given to `start_session`, or in Amplify's "
        "cookies.",
        "Give `start_session` the tokens of one answer of Cognito's.",
    ),
    Explanation(
        "missing_token",
        "signed_out",
        _KEPT,
        "A token is missing: `start_session` needs an ID and an access token; or "
        "`fetch_auth_session(required=True)` asks for one that the session does not have.",
        "The sign-in asked for no `openid` scope; or a `TokenSession` holds one token only.",
        "Ask for the scope `openid` at sign-in, and give `start_session` both tokens.",
    ),
    Explanation(
        "refresh_token_reused",
        "signed_out",
        _KEPT,
        "Rotation has replaced the refresh token; a newer cookie may be on its way. Tokens that "
        "are still good serve on; after that it is this error. A stored session is ended, and "
        "its cookie cleared.",
        "Two processes, or Amplify JS in the browser, have refreshed at once, and the pool's grace "
        "period is too short.",
        "Set the app client's grace period for rotation to 60 seconds. Several processes: "
        "`SealedSession(coordinator=...)` or `StoredSession`.",
        "amplify-js.md#three-things-to-get-right",
    ),
    Explanation(
        "user_not_found",
        "signed_out",
        _CLEARED,
        "The user was deleted.",
        "",
        "Sign in as another user.",
    ),
    Explanation(
        "user_not_confirmed",
        "signed_out",
        (*_CLEARED, *_FORBIDDEN),
        "The account has not been confirmed. As a 403: a function such as "
        "`fetch_user_attributes()` was told so.",
        "",
        "Confirm the account with the code that was sent, then sign in again.",
    ),
    Explanation(
        "password_reset_required",
        "signed_out",
        (*_CLEARED, *_FORBIDDEN),
        "The user has to set a new password first. As a 403: a function such as "
        "`fetch_user_attributes()` was told so.",
        "An administrator has reset the password.",
        "Set a new password, then sign in again.",
    ),
    Explanation(
        "not_refreshable",
        "signed_out",
        _KEPT,
        "`force_refresh=True` was asked of a session without a refresh token.",
        "It is a `TokenSession`, or `start_session` was given no refresh token.",
        "Leave `force_refresh=True` out, or choose `StoredSession` or `SealedSession`.",
        "sessions.md",
    ),
    Explanation(
        "client_not_found",
        "signed_out",
        _CLEARED,
        "The app client of the session was deleted.",
        "",
        "Leave the deleted app client out of `client_id`, and sign in again.",
    ),
    Explanation(
        "trigger_refused",
        "signed_out",
        _CLEARED,
        "A Lambda trigger of the pool refuses this user, at a refresh.",
        "The trigger's own rule; or it fails, which Cognito reports in the same way.",
        "See the trigger's log in CloudWatch.",
    ),
)

_STEP_UP: Final = (
    Explanation(
        "not_fresh",
        "step_up",
        _KEPT,
        "A guard's `fresh=...` asks for a more recent sign-in.",
        "The sign-in was longer ago. Or the token's `auth_time` is missing or absurd.",
        "Sign in again; the middleware sends browsers to the sign-in routes with `max_age`.",
        "step-up.md#what-counts",
    ),
    Explanation(
        "acr_too_low",
        "step_up",
        _KEPT,
        "A guard's `acr=...` asks for another kind of sign-in than the token's `acr` names.",
        "The user signed in without a second factor, or the provider names no `acr`.",
        "Sign in again by the kind that is asked for; the provider has to put `acr` into tokens.",
        "step-up.md#what-counts",
    ),
)

_HEADER: Final = (
    Explanation(
        "malformed_header",
        "header",
        (Answer(400, "none"),),
        "The `Authorization` header says `Bearer`, and is not one token.",
        "It is empty, longer than 8,192 bytes, has a space or a comma in it, or was sent twice.",
        "Send `Authorization: Bearer`, one space, and one access token.",
        "bearer.md#what-counts-as-a-bearer-token",
    ),
    Explanation(
        "different_credentials",
        "header",
        (Answer(400, "kept"),),
        "The request brought a Bearer token, and the cookie of somebody else's session.",
        "A script in a browser adds a header, and the browser adds its cookie.",
        "Send only one of them: in `fetch`, `credentials: 'omit'`.",
        "bearer.md#a-token-and-a-cookie-in-one-request",
    ),
    Explanation(
        "bearer_request",
        "header",
        (Answer(400, "none"),),
        "A request with a Bearer token asked for a session to be started or ended: by "
        "`start_session`, a function that ends sessions, or a sign-in route.",
        "A client sends the header with every request.",
        "Leave the `Authorization` header out of this request.",
        "bearer.md#rules-for-cookies-do-not-hold-for-headers",
    ),
)

_FORBIDDEN_TO_USERS: Final = (
    Explanation(
        "not_a_person",
        "forbidden",
        (Answer(403, "none"),),
        "A machine's token was sent, and a user was asked for. The error is a "
        "`NotAuthorizedException`.",
        "A program signs in with client credentials.",
        "Let machines in with `require_auth(machines=True)`, and ask with "
        "`get_current_principal()`.",
        "bearer.md#machines",
    ),
    Explanation(
        "missing_group",
        "forbidden",
        _FORBIDDEN,
        "The user is in none of the groups that a guard asks for.",
        "Groups are in tokens: a user who was added meanwhile has them after a refresh.",
        "Add the user to a group of `require_auth(groups=[...])`, then sign in again.",
        "guards.md#let-only-a-group-in",
    ),
    Explanation(
        "missing_scope",
        "forbidden",
        (*_FORBIDDEN, *_KEPT),
        "The access token lacks a scope that a guard asks for. As a 401: a function such as "
        "`fetch_user_attributes()` or `list_sessions(source='cognito')` needs one.",
        "The sign-in did not ask for the scope, or the app client does not allow it. As a 401: "
        "`aws.cognito.signin.user.admin` is missing, or there is no access token.",
        "Ask for the scope at sign-in, and allow it in the app client. For the functions, that is "
        "`aws.cognito.signin.user.admin`; for attributes, the ID token in the cookie will do.",
    ),
    Explanation(
        "unmet_claim",
        "forbidden",
        _FORBIDDEN,
        "A claim of the token has another value or type than a guard asks for, or is missing.",
        "A Bearer token is an access token, and has no attributes.",
        "Compare `require_auth(claims={...})` with the token. A pre token generation trigger can "
        "add attributes to access tokens.",
        "guards.md#let-only-a-tenant-in-or-ask-a-function",
    ),
    Explanation(
        "not_permitted",
        "forbidden",
        _FORBIDDEN,
        "A guard's `check` function said no; or, in Pyramid and BlackSheep, the framework's own "
        "permission did.",
        "",
        "Look into the function given as `require_auth(check=...)`.",
        "guards.md#let-only-a-tenant-in-or-ask-a-function",
    ),
    Explanation(
        "cross_site",
        "forbidden",
        _FORBIDDEN,
        "Another site's page asked for a session to be started or ended.",
        "The page is one of yours on another origin; or the browser sends no `Sec-Fetch-Site`; or "
        "somebody tries.",
        "Name the page's origin in `origins=[...]`, your own too. If any site may ask, write "
        "`allow_cross_site=True`.",
        "other-sites.md",
    ),
    Explanation(
        "foreign_origin",
        "forbidden",
        _FORBIDDEN,
        "`csrf`: a form or a script on another origin has sent a request that changes something.",
        "The origin is a subdomain or an app of yours; or somebody tries. The log names it, the "
        "first time at WARNING.",
        "Write the origin into `origins=[...]`. If any site may post there, `csrf_exempt=[...]`.",
        "other-sites.md#forms-and-scripts-csrf",
    ),
    Explanation(
        "speculative_request",
        "forbidden",
        _FORBIDDEN,
        "A browser has loaded a page ahead of a click, and the page starts or ends a session.",
        "A link to sign in or out is prefetched. Nobody sees this answer: the browser asks again "
        "at the click.",
        "Nothing: it costs nobody anything. To avoid it, make signing out a form (POST).",
        "other-sites.md#pages-loaded-ahead-of-a-click",
    ),
)

_UNAVAILABLE: Final = (
    Explanation(
        "token_not_yet_valid",
        "unavailable",
        _LATER,
        "The token is from the future: its `iat` or `nbf` is ahead of this machine's clock.",
        "This machine's clock is behind.",
        "Set the clock (NTP).",
        "deployment.md#clocks",
    ),
    Explanation(
        "keys_unavailable",
        "unavailable",
        _LATER,
        "The pool's key set cannot be fetched from here.",
        "A firewall, a proxy, TLS or DNS. The log says why, once. It is said of a token with an "
        "unknown key, too, until the key set can be fetched anew.",
        "Let this server reach the pool. `HTTPS_PROXY is set but not used`: write "
        '`proxy="environment"`. `TLS with ... failed`: the line says what to mend. '
        '`keys="jwks.json"` needs no network.',
        "configuration.md#reach-cognito-through-a-proxy",
    ),
    Explanation(
        "store_unavailable",
        "unavailable",
        _LATER,
        "The session store cannot be reached, or takes no writes.",
        "The store is down, full, read-only, or refuses the password. The log says why and what "
        "to do, once a minute at most.",
        "Mend the store as the log's line says; sessions go on afterwards.",
        "many-machines.md",
    ),
    Explanation(
        "token_too_large",
        "unavailable",
        _LATER,
        "Cognito's new tokens of this user do not fit the session.",
        "The user was put into many groups.",
        "Leave groups out of the tokens, or raise `StoredSession(max_token_bytes=...)`.",
        "sessions.md#users-in-many-groups",
    ),
    Explanation(
        "throttled",
        "unavailable",
        _LATER,
        "Cognito asked to be asked less often.",
        "The account's quota of requests is used up, by this app or another one.",
        "Wait as `Retry-After` says, or have the quota raised.",
    ),
    Explanation(
        "cognito_unavailable",
        "unavailable",
        _LATER,
        "Cognito gave no answer, a 5xx, or one that is not Cognito's.",
        "An outage, a firewall, a proxy, or a captive portal. An emulator may lack "
        "`GetTokensFromRefreshToken`.",
        "Wait, or let this server reach Cognito. With an emulator, write "
        '`refresh_api="InitiateAuth"`.',
        "sessions.md#when-cognito-or-the-store-is-down",
    ),
    Explanation(
        "cognito_misconfigured",
        "unavailable",
        (*_LATER, Answer(500, "kept")),
        "Cognito refuses the app client or the set-up. As a 500: a function such as "
        "`fetch_user_attributes()` or `list_sessions(source='cognito')` was refused.",
        "The client secret, the Region or `refresh_api` is wrong; from `list_sessions`: the pool "
        "does not track sessions.",
        "Do what the log says, once: it names Cognito's code and the mend.",
    ),
    Explanation(
        "firewall_blocked",
        "unavailable",
        _LATER,
        "The web ACL (WAF) in front of the pool blocks this server's requests.",
        "",
        "Let this server's addresses pass the web ACL.",
    ),
    Explanation(
        "trigger_failed",
        "unavailable",
        _LATER,
        "A Lambda trigger of the pool failed for this user, at a refresh.",
        "",
        "See the trigger's log in CloudWatch.",
    ),
)

_COGNITO: Final = (
    Explanation(
        "cognito_error",
        "cognito",
        (Answer(500, "kept"), *_LATER),
        "Cognito answered with any other error. As a 503: to a refresh.",
        "The error's `name` is Cognito's own.",
        "Look the `name` up in the Amazon Cognito API reference.",
    ),
)

_SIGN_IN: Final = (
    Explanation(
        "access_denied",
        "sign_in",
        _FORBIDDEN,
        "The person or the provider said no.",
        "Somebody cancelled. With `prompt=none`: nobody is signed in there.",
        "Nothing; sign in again.",
    ),
    Explanation(
        "sign_in_too_old",
        "sign_in",
        _FORBIDDEN,
        "`max_age` was asked for, and the sign-in is older.",
        "The provider does not heed `max_age`, or a clock is wrong.",
        "Sign in again with the password; see to the clocks.",
        "step-up.md",
    ),
    Explanation(
        "sign_in_too_weak",
        "sign_in",
        _FORBIDDEN,
        "`acr_values` was asked for, and the new ID token's `acr` is none of them.",
        "The provider puts no `acr` into its tokens, or knows another value.",
        "Compare `acr_values` with those that the provider gives.",
        "step-up.md",
    ),
    Explanation(
        "sign_in_denied",
        "sign_in",
        _FORBIDDEN,
        "`on_sign_in` refused this user: it raised `PermissionError` or an `AuthError`.",
        "",
        "Look into your `on_sign_in` if the user should be admitted.",
        "sign-in.md#admit-or-refuse-a-user",
    ),
    Explanation(
        "sign_in_error",
        "sign_in",
        (Answer(500, "kept"),),
        "`on_sign_in` failed.",
        "Any error but a `PermissionError` or an `AuthError`; also a `NetworkError`.",
        "Mend it by the traceback in the log.",
        "sign-in.md#admit-or-refuse-a-user",
    ),
    Explanation(
        "attempt_expired",
        "sign_in",
        (Answer(400, "none"),),
        "The browser came back without the cookie of its attempt: five times in a row, or with an "
        "error of the pool. A user who is signed in already is sent on instead.",
        "It blocks cookies, or the site was opened under another host name than `origin`, or "
        "processes have different `keys`. The log tells of another host name.",
        "Give all processes the same `AuthRoutes(keys=[...])`, and open the site under `origin`.",
    ),
    Explanation(
        "bad_request",
        "sign_in",
        (Answer(400, "kept"),),
        "No sign-in leads to such an address.",
        "A bookmark, a crawler, or somebody tries.",
        "Nothing.",
    ),
    Explanation(
        "issuer_mismatch",
        "sign_in",
        (Answer(400, "kept"),),
        "The answer says that it is another provider's (RFC 9207).",
        "`domain` and `user_pool_id` are of different pools; or somebody mixes up two providers.",
        "Write the `domain` and the `user_pool_id` of one pool.",
    ),
    Explanation(
        "code_rejected",
        "sign_in",
        (Answer(400, "kept"),),
        "Cognito does not accept the code, or no longer.",
        "The callback was loaded again after its code was used, or the sign-in took too long.",
        "Sign in again.",
    ),
    Explanation(
        "provider_error",
        "sign_in",
        _BROKEN,
        "The pool sent an error back.",
        "A scope or grant that the app client does not allow, a Lambda trigger that refuses "
        "(`invalid_request`), a required attribute. `Already found an entry`, of a user just "
        "linked, is gone at the second try.",
        "Do what the log's line says.",
        "sign-in.md#what-to-allow-in-cognito",
    ),
    Explanation(
        "provider_misconfigured",
        "sign_in",
        _BROKEN,
        "The pool does not accept the app client; the log has the token endpoint's code.",
        "`invalid_client`: the app client has a secret, or another one. `unauthorized_client`: its "
        "callback URL differs, perhaps only by a slash.",
        "Write the app client's secret into `client_secret=...`. For `unauthorized_client`, allow "
        "the callback URL, letter for letter.",
        "sign-in.md#what-to-allow-in-cognito",
    ),
    Explanation(
        "token_refused",
        "sign_in",
        _BROKEN,
        "The pool's tokens do not verify, or answer another request (`nonce`).",
        "The log's line says why: `wrong_client` and `wrong_issuer` as above; `token_expired` and "
        "`token_not_yet_valid` are this machine's clock.",
        "Write the `user_pool_id` and `client_id` of `domain`, and set the clock.",
    ),
    Explanation(
        "provider_unavailable",
        "sign_in",
        _LATER,
        "The pool, its keys or the session store cannot be reached; or the pool sent back "
        "`server_error` or `temporarily_unavailable`.",
        "An outage. If no code was used up, the attempt is kept.",
        "Try again in a moment.",
    ),
    Explanation(
        "session_too_large",
        "sign_in",
        (Answer(500, "kept"),),
        "The tokens do not fit the session's cookies.",
        "Many groups or large attributes in the tokens.",
        "Have fewer claims and groups in the tokens, or keep sessions in a store: `StoredSession`.",
        "sessions.md#users-in-many-groups",
    ),
)

_ALL: Final = (
    *(_SIGNED_OUT, _STEP_UP, _HEADER, _FORBIDDEN_TO_USERS),
    *(_UNAVAILABLE, _COGNITO, _SIGN_IN),
)

EXPLANATIONS: Final[dict[str, Explanation]] = {each.code: each for group in _ALL for each in group}


def explain(code: str) -> Explanation | None:
    """The explanation of a reason; None if there is no such reason."""
    return EXPLANATIONS.get(code)
