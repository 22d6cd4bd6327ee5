"""Where this library's answer is meant to differ from Amplify's, why, and in which cases.

Rules:
- Each is safer than Amplify's answer, or right where that is wrong; its reason says how.
- Every difference has at least one case, and in every case that is named here the answers differ,
  ours being exactly what is written here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Difference:
    """`cases`: our answers by the cases' ids, as `asking.in_words` has them."""

    reason: str
    cases: Mapping[str, str]


DIFFERENCES: Final = {
    "every_writer": Difference(
        "Amplify's server reads names and values as its own newest writer spells them. "
        "Cookies of browsers (parentheses), of older adapters and of raw `Set-Cookie` "
        "lines are read here, too: who is signed in in the browser is signed in on the "
        "server.",
        {
            "parentheses-browser": "ada(uk) with signInDetails, kept",
            "parentheses-expired": "ada(uk) with signInDetails, rewritten",
            "parentheses-refused": "UserUnAuthenticatedException, cleared",
            "quotes-lines": '"ada" with signInDetails, kept',
            "quotes-lines-expired": '"ada", rewritten',
            "e-mail-before-1-7": "ada@example.com with signInDetails, kept",
            "plus-before-1-7": "ada+news@example.com with signInDetails, kept",
            "comma-before-1-7": "lovelace,ada with signInDetails, kept",
            "slash-before-1-7": "corp/ada with signInDetails, kept",
            "accent-before-1-7": "José with signInDetails, kept",
            "more-space-between": "ada with signInDetails, kept",
        },
    ),
    "left_raw": Difference(
        "What the adapter has written unencoded it writes encoded where Next's own cookies are at "
        "hand, and its sign-out, which decodes nothing, then finds no user. Here such a "
        "`LastAuthUser` stays as it is.",
        {"comma-lines-expired": "lovelace,ada, rewritten (accessToken, idToken, refreshToken)"},
    ),
    "written_raw": Difference(
        "In a `Response` and in the pages router the adapter writes values unencoded. For a name "
        "beyond Latin-1 that fails when LastAuthUser has been deleted, and before the refreshed "
        "tokens are set: the user is signed out. Here every value is encoded.",
        {
            "Response-chinese-expired": "李雷 with signInDetails, rewritten",
            "pages-chinese-expired": "李雷 with signInDetails, rewritten",
        },
    ),
    "suffix_in_name": Difference(
        "The adapter takes every cookie for a token whose name has `.idToken` or "
        "`.accessToken` anywhere in it, so that such a user's other cookies are lost. "
        "Here the last part of a name counts.",
        {
            "a-key-s-name-browser": "ada.idToken with signInDetails, kept",
            "a-key-s-name-next-store": "ada.idToken with signInDetails, kept",
            "a-key-s-name-expired": "ada.idToken with signInDetails, rewritten",
        },
    ),
    "clock_drift": Difference(
        "`clockDrift` is a cookie that any script can write. In Amplify it switches "
        "expiry off (`-3600000000`, or what is no number) or asks for refreshes without "
        "end. It is not read here.",
        {
            "clock-drift-back-both-expired-no-refresh-token": "TokenRefreshException, kept",
            "clock-drift-back-both-expired": "ada with signInDetails, rewritten",
            "clock-drift-back-id-token-expired": "ada with signInDetails, rewritten",
            "clock-drift-back-both-expired-of-another-client": "UserUnAuthenticatedException, kept",
            "clock-drift-letters-both-expired": "ada with signInDetails, rewritten",
            "clock-drift-empty-both-expired": "ada with signInDetails, rewritten",
            "clock-drift-ahead-fresh": "ada with signInDetails, kept",
            "clock-drift-ahead-fresh-no-refresh-token": "ada with signInDetails, kept",
            "server-mode-clock-drift": "ada, rewritten",
        },
    ),
    "clock_drift_left": Difference(
        "`clockDrift` is the browser's measure of its own clock, which a server cannot "
        "take: Amplify's server writes its own instead. Here it is left as it is.",
        {
            "clock-drift-written-both-expired": (
                "ada with signInDetails, rewritten "
                "(LastAuthUser, accessToken, idToken, refreshToken, signInDetails)"
            ),
        },
    ),
    "expired_and_wrong": Difference(
        "Amplify's server checks an expired token for its signature and issuer alone: one "
        "of another client, or of the other kind, leads to a refresh. Here it is checked "
        "as strictly as one that is good.",
        {
            "both-expired-of-another-client": "UserUnAuthenticatedException, kept",
            "expired-access-token-in-the-id-slot": "ada with signInDetails, kept",
            "expired-id-token-in-the-access-slot": "UserUnAuthenticatedException, kept",
            "expired-access-token-of-another-client": "UserUnAuthenticatedException, kept",
            "expired-id-token-of-another-client": "ada with signInDetails, kept",
        },
    ),
    "one_user": Difference(
        "Amplify believes an ID token and an access token of different users, and answers "
        "with the one's name and the other's rights. Here both have to name one `sub`.",
        {
            "another-user-s-id-token": "UserUnAuthenticatedException, kept",
            "another-user-s-access-token": "UserUnAuthenticatedException, kept",
            "another-user-s-expired-id-token": "UserUnAuthenticatedException, kept",
            "another-user-s-expired-access-token": "UserUnAuthenticatedException, kept",
            "session-another-user-s-id-token": "no tokens, kept",
            "attributes-another-user-s-id-token": "UserUnAuthenticatedException, kept",
            "both-expired-another-user-s-refresh-token": "UserUnAuthenticatedException, kept",
        },
    ),
    "a_name": Difference(
        "Without a good ID token Amplify answers a user whose username is undefined. Here "
        "the access token names the user; a token that names nobody does not count.",
        {
            "no-id-token": "ada with signInDetails, kept",
            "expired-id-token-tampered-with": "ada with signInDetails, kept",
            "server-mode-no-id-token": "ada, kept",
            "access-token-in-the-id-slot": "ada with signInDetails, kept",
            "id-token-of-another-client": "ada with signInDetails, kept",
            "id-token-of-another-issuer": "ada with signInDetails, kept",
            "id-token-signed-by-nobody-known": "ada with signInDetails, kept",
            "id-token-tampered-with": "ada with signInDetails, kept",
            "id-token-with-alg-none": "ada with signInDetails, kept",
            "id-token-with-alg-hs256": "ada with signInDetails, kept",
            "id-token-without-kid": "ada with signInDetails, kept",
            "id-token-not-valid-before-next-hour": "ada with signInDetails, kept",
            "id-token-is-garbage": "ada with signInDetails, kept",
            "id-token-without-cognito-username": "ada with signInDetails, kept",
            "id-token-twice-garbage-last": "ada with signInDetails, kept",
            "id-token-empty": "ada with signInDetails, kept",
            "access-token-without-username": "UserUnAuthenticatedException, kept",
        },
    ),
    "keys_unavailable": Difference(
        "Where the pool's keys cannot be had, or a key may be newer than those at hand, "
        "nobody can tell who is signed in. Amplify says that nobody is; the answer here "
        "is 503, and the next request may be luckier.",
        {
            "keys-down": "NetworkError, kept",
            "keys-503": "NetworkError, kept",
            "keys-garbage": "NetworkError, kept",
            "keys-down-expired": "NetworkError, kept",
            "keys-down-session": "NetworkError, kept",
            "signed-by-nobody-known-just-now": "NetworkError, kept",
        },
    ),
    "clock_behind": Difference(
        "A token of the future means that this server's clock is behind. Amplify does not "
        "look at `iat`, and takes `nbf` for a sign-out; the answer here is 503.",
        {
            "access-token-not-valid-before-next-hour": "NetworkError, kept",
            "access-token-of-next-hour": "NetworkError, kept",
        },
    ),
    "last_seconds": Difference(
        "Without a refresh token Amplify ends a session five seconds early. Here a token "
        "is good until it expires.",
        {
            "3-seconds-left-no-refresh-token": "ada with signInDetails, kept",
        },
    ),
    "good_meanwhile": Difference(
        "A refresh is due five seconds before the end. If Cognito cannot be asked just "
        "then, or the refresh token was used up, Amplify fails although the tokens are "
        "good. Here they serve to their end.",
        {
            "early-refresh-throttling": "ada with signInDetails, kept",
            "early-refresh-503": "ada with signInDetails, kept",
            "early-refresh-down": "ada with signInDetails, kept",
            "early-refresh-anerroroftomorrowexception": "ada with signInDetails, kept",
            "early-refresh-refreshtokenreuseexception": "ada with signInDetails, kept",
            "rotation-used-up-early": "ada with signInDetails, kept",
        },
    ),
    "reuse_kept": Difference(
        "A refresh token that was used up means most often that another request has just "
        "been given a newer one. Amplify clears the cookies, and with them perhaps the "
        "newer ones. Here they are kept: the newer ones may be on their way.",
        {
            "rotation-used-up": "RefreshTokenReuseException, kept",
            "refresh-refreshtokenreuseexception": "RefreshTokenReuseException, kept",
        },
    ),
    "outages": Difference(
        "Cognito is throttling, down, or does not answer as Cognito does. Amplify throws "
        "whatever came of it, a SyntaxError for instance. Here an outage has one name and "
        "one status, NetworkError (503).",
        {
            "refresh-503": "NetworkError, kept",
            "refresh-internalerrorexception": "NetworkError, kept",
            "refresh-throttling": "NetworkError, kept",
            "refresh-garbage": "NetworkError, kept",
            "refresh-empty": "NetworkError, kept",
            "session-refresh-throttling": "NetworkError, kept",
            "attributes-internalerrorexception": "NetworkError, kept",
            "attributes-throttling": "NetworkError, kept",
            "attributes-garbage": "NetworkError, kept",
        },
    ),
    "session_values": Difference(
        "`fetch_auth_session()` answers without tokens whenever nobody is signed in, and "
        "raises where that cannot be told; `get_current_user()` has the reason. Amplify's "
        "throws for some of the reasons.",
        {
            "session-refresh-usernotfoundexception": "no tokens, cleared",
            "session-both-expired-no-refresh-token": "no tokens, kept",
        },
    ),
    "ended_at_get_user": Difference(
        "Cognito's own word that the user is signed out or gone ends the session here, "
        "whichever call brought it. Amplify looks at it in a refresh alone, and shows the "
        "user as signed in until then.",
        {
            "attributes-notauthorizedexception": "NotAuthorizedException, cleared",
            "disabled-attributes": "NotAuthorizedException, cleared",
            "deleted-attributes": "UserNotFoundException, cleared",
            "signed-out-everywhere-attributes": "NotAuthorizedException, cleared",
            "attributes-usernotfoundexception": "UserNotFoundException, cleared",
        },
    ),
    "one_refresh": Difference(
        "Amplify's server refreshes again for every call of one request, since it goes on "
        "reading the request's cookies. With rotation the second uses up a used refresh "
        "token and signs the user out. Here a request refreshes once.",
        {
            "twice-rotation": "ada with signInDetails, rewritten",
        },
    ),
    "component": Difference(
        "A server component of Next cannot set cookies: refreshed tokens are lost, and "
        "cleared cookies stay. A middleware always can.",
        {
            "component-expired": "ada@example.com with signInDetails, rewritten",
            "component-refused": "UserUnAuthenticatedException, cleared",
        },
    ),
    "deletions": Difference(
        "Amplify's deletions have no Domain, and in some contexts no Path: a browser "
        "keeps the cookies. Here a deletion repeats the Path and Domain that the cookie "
        "was set with.",
        {
            "domain-both-expired-refused": "UserUnAuthenticatedException, cleared",
            "below-a-path-both-expired-refused": "UserUnAuthenticatedException, cleared",
        },
    ),
    "two_users": Difference(
        "Two sets of good tokens of different users under one name: one was planted or "
        "left behind, and nobody can tell which. Amplify takes the last. Here nobody is "
        "signed in until one set is gone.",
        {
            "two-users-after": "UserUnAuthenticatedException, kept",
            "two-users-before": "UserUnAuthenticatedException, kept",
            "two-users-of-one-name-after": "UserUnAuthenticatedException, kept",
            "two-users-of-one-name-before": "UserUnAuthenticatedException, kept",
            "two-users-both-expired": "UserUnAuthenticatedException, kept",
        },
    ),
    "multiplied": Difference(
        "Of cookies sent more than once Next reads the last, js-cookie the first. Here "
        "both views are looked at, and of one user's the fresher tokens count: a stale "
        "set of another path signs nobody out and is not refreshed.",
        {
            "older-set-after": "ada with signInDetails, kept",
            "two-users-one-garbage": "ada with signInDetails, kept",
            "access-token-twice-garbage-last": "ada with signInDetails, kept",
            "last-user-twice-last": "ada with signInDetails, kept",
        },
    ),
    "trigger": Difference(
        "A Lambda trigger that refuses a user's new tokens has the last word in Cognito, as for a "
        "user who is disabled. Amplify keeps the cookies and asks again with each request; here "
        "the session ends, so that a page goes to sign-in.",
        {
            "refresh-userlambdavalidationexception": "UserLambdaValidationException, cleared",
        },
    ),
    "details": Difference(
        "`signInDetails` are passed on here as two texts, or not at all; Amplify passes "
        "on any JSON. Where they do not decode, Amplify's answer depends on Next's "
        "context; here they are malformed.",
        {
            "sign-in-details-number": "ada, kept",
            "sign-in-details-no-utf-8": "UserUnAuthenticatedException, kept",
            "sign-in-details-number-inside": "ada with signInDetails {}, kept",
            "sign-in-details-more-inside": 'ada with signInDetails {"loginId": "ada"}, kept',
        },
    ),
}

OF_CASE: Final = {case: key for key, found in DIFFERENCES.items() for case in found.cases}
