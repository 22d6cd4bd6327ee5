"""The judgement of a request with this credential, in the library's own word.

    signed_in  the middleware lets the user in
    refused    it refuses, for `reason`
    unknown    it cannot be told: something is not reachable from here, or would have to be changed

Rules:
- The word is the middleware's (`looking`). The checks explain it, and decide nothing.
- Without a configuration there is no middleware; see `alone`.
"""

from typing import Any, Final

from ...cognito.invalid import InvalidToken
from ...cognito.keys import KeysUnavailable
from ...effects import Flow
from ...errors import ConfigurationError, NetworkError
from ...sessions.stored import StoredSession
from ...sessions.token import TokenSession, keys_unavailable, refused
from ...sessions.verdicts import KnownMachine, SignedIn, Verdict
from .alone import nothing_said
from .judgement import As, Fate, Judgement
from .looking import Looking, Outcome, environ_of
from .recognition import Recognised
from .requests import environ_in
from .sessions import kinds_of

_OK, _UNAVAILABLE = 200, 503
_NO_ANSWER: Final = "a system that a request needs does not answer from here"
_HOP: Final = (
    "the middleware answers with a page that loads this address again, since browsers leave "
    "SameSite=Strict cookies out when another site's link opens a page: paste that second request"
)
_WITHHELD: Final = {
    "keys": "the pool's key set was not fetched (--offline)",
    "store": "a request would write to the session store",
    "network": "a request would ask another server",
    "sessions": "its tokens are due: a request would get new ones from Cognito",
    "ahead": "its tokens are due: a request would get new ones from Cognito",
    "calls": "a request would ask Cognito",
    "codes": "the callback would exchange the code for tokens, which works once",
    "ends": "a request would end the session",
    "revocations": "a request would have tokens revoked",
}
_LEFT_OUT: Final = "a request would ask another server"
_NOT_YET: Final = "by this machine's clock the token is of a time to come"


def read_as(found: Recognised, looking: Looking) -> As:
    """The part of a request that brings the credential."""
    if found.kind == "request":
        return "request"
    if found.kind == "authorization":
        return "header"
    if found.kind == "token":
        if looking.config.bearer:
            return "header"
        is_cookie = any(isinstance(kind, TokenSession) for kind in kinds_of(looking.config))
        return "cookie" if is_cookie else "token"
    return "cookie" if found.kind in ("cookies", "cookie_value") else "nothing"


def environ_with(found: Recognised, looking: Looking) -> dict[str, Any]:
    """A request with the credential, as a WSGI environ."""
    config, way = looking.config, read_as(found, looking)
    if way == "request":
        return environ_in(found, config)
    value = found.value.decode("latin-1")
    if way == "header":
        header = f"Bearer {value}" if found.kind == "token" else value
        return environ_of(config, "GET", "/", "", [("authorization", header)])
    if found.kind != "cookies":
        value = f"{config.cookie.name}={value}"
    return environ_of(config, "GET", "/", "", [("cookie", value)])


def judge(found: Recognised, looking: Looking, *, elsewhere: bool) -> Judgement:
    """The judgement of a request. `elsewhere`: this is not the app's own process."""
    way = read_as(found, looking)
    if way == "nothing":
        return Judgement("unknown", why=nothing_said(found) or "there is no credential in it")
    if way == "token":
        return _of_token(found.value, looking)
    is_request = way == "request"
    try:
        outcome = looking.ask(environ_with(found, looking), with_rules=is_request)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001  # of the app's own: a `check`, a page, a store
        why = f"the app's own code has raised {type(error).__name__}"
        return Judgement("unknown", why=why, read_as=way)
    judgement = _of_outcome(outcome, is_request=is_request)
    if elsewhere and judgement.reason == "invalid_session" and _is_in_memory(looking):
        return judgement._replace(
            word="unknown", read_as=way,
            why="the sessions of a MemoryStore are in the app's own process: call "
            "amplify_mw.diagnostics.inspect_credential there",
        )  # fmt: skip
    return judgement._replace(read_as=way)


def _is_in_memory(looking: Looking) -> bool:
    stored = [kind for kind in kinds_of(looking.config) if isinstance(kind, StoredSession)]
    return any(type(kind.store).__name__ == "MemoryStore" for kind in stored)


def _of_token(token: bytes, looking: Looking) -> Judgement:
    """A token's, in a configuration without token cookies and Bearer headers."""
    verifier = looking.engine.authenticator.verifier

    def verified() -> Flow[Verdict | None]:
        try:
            yield from verifier.verify(token, looking.clock(), machines=True)
        except KeysUnavailable as error:
            return keys_unavailable(error)
        except InvalidToken as error:
            return refused(error)
        return None

    verdict = looking.run(verified())
    if verdict is None:
        why = "a good token, and no request brings one here: session= and bearer= read others"
        return Judgement("unknown", why=why, read_as="token")
    judgement = _of_verdict(verdict, tuple(looking.driver.withheld))
    return judgement._replace(read_as="token", cookie="none")


def _of_outcome(outcome: Outcome, *, is_request: bool) -> Judgement:
    """The middleware's outcome in one word."""
    visit, status = outcome.visit, outcome.status
    if visit is None:
        why = "the path is ignored: the middleware reads no credential there"
        return Judgement("unknown", why=why if status is None else "", status=status)
    cookie: Fate = "cleared" if visit.clears else "kept"
    if not visit.cookies or visit.home.cookie.read(visit.cookies) is None:
        cookie = "none"
    judgement = _of_verdict(visit.verdict, outcome.withheld)
    if is_request:
        judgement = _answered(judgement, outcome)
    notices = outcome.notices
    if not is_request:  # it was made up
        notices = tuple(notice.replace(" (GET '/')", "") for notice in notices)
    return judgement._replace(cookie=cookie, verdict=visit.verdict, notices=notices)


def _of_verdict(verdict: Verdict, withheld: tuple[str, ...]) -> Judgement:
    if isinstance(verdict, SignedIn):
        return Judgement("signed_in")
    if isinstance(verdict, KnownMachine):
        return Judgement("refused", verdict.reason, 403)
    status = verdict.error.status_code
    if not issubclass(verdict.error, NetworkError):
        return Judgement("refused", verdict.reason, status)
    if withheld:  # the outage is of our own making
        return Judgement("unknown", why=_why(withheld))
    said = _NOT_YET if verdict.reason == "token_not_yet_valid" else "it does not answer from here"
    return Judgement("unknown", verdict.reason, status, why=said)


def _why(withheld: tuple[str, ...]) -> str:
    """Why it cannot be told: steps left out."""
    return "; ".join(dict.fromkeys(_WITHHELD.get(step, _LEFT_OUT) for step in withheld))


def _answered(judgement: Judgement, outcome: Outcome) -> Judgement:
    """The same, if the library answers in the app's place."""
    status = outcome.status
    if status is None:
        is_machine = judgement.reason == "not_a_person"
        return Judgement("signed_in") if is_machine else judgement
    answers = [each for each in outcome.refusals if getattr(each, "at", "answer") == "answer"]
    if outcome.withheld and (judgement.word != "refused" or status == _UNAVAILABLE):
        return Judgement("unknown", why=_why(outcome.withheld))
    if judgement.word == "unknown":
        return judgement._replace(status=status)
    if answers:
        return Judgement("refused", answers[-1].reason, status)
    if judgement.word == "refused" and status == _OK:
        return Judgement("unknown", status=status, why=_HOP)
    return judgement._replace(status=status)
