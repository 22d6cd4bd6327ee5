"""One case asked of Amplify's own server functions, and of our middleware; the answers alike.

Rules:
- Both are sent the same cookies, with tokens made for that one question.
- An answer is a mapping: one of `user`, `attributes`, `session` and `error`, as Amplify spells
  them, `cookies`: what becomes of the cookies of tokens, and which were `set` and `deleted`.
- Texts and times of tokens differ from one question to the next. Of a token it is told whether it
  is the one that was sent, and what it says of its user.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import amplify_mw
from amplify_mw import AuthError
from tests.amplify_js.cases import HOUR, MINUTE, OTHER, PREFIX, SUBS
from tests.amplify_js.differences import DIFFERENCES, OF_CASE
from tests.amplify_js.node import ORIGIN, AmplifyJS, Outcome
from tests.amplify_js.world import Pools, Setup, events, full, header, minted, needs_own_pool
from tests.shells import Ask, Shell

Answer = Mapping[str, Any]
_CLAIMS: Final = ("sub", "cognito:username", "username", "token_use", "aud", "client_id")
_PROMPT: Final = 1.8  # seconds within which tokens that are about to expire are asked about


def ask_amplify(amplify: AmplifyJS, pools: Pools, setup: Setup) -> Answer:
    """What Amplify answers."""
    setup = full(setup)
    while True:
        with pools.open(setup) as pool:
            tokens = minted(pool, setup)
            start = time.monotonic()
            with events(pool, setup):
                outcome = amplify.ask(
                    pool,
                    header(setup, tokens),
                    setup["operation"],
                    context=setup["context"],
                    origin=ORIGIN if setup["http_only"] else None,
                    cookies={"domain": setup["domain"]} if setup["domain"] else None,
                    fresh=needs_own_pool(setup),
                )
        if _was_prompt(setup, start):
            return _of_amplify(outcome, setup, tokens)


def _of_amplify(outcome: Outcome, setup: Setup, tokens: Mapping[str, str]) -> Answer:
    fate = cookies_after(outcome.set_cookies, setup)
    if outcome.name is not None:
        return {"error": outcome.name, **fate}
    what, said = _WHAT[setup["operation"]], outcome.ok
    if what == "session":
        told = said["tokens"] and {
            "accessToken": _token(said["tokens"]["accessToken"], tokens),
            "idToken": _token(said["tokens"]["idToken"], tokens),
            "signInDetails": said["tokens"].get("signInDetails"),
        }
        said = {"tokens": told, "userSub": said["userSub"]}
    return {what: said, **fate}


_WHAT: Final = {
    "getCurrentUser": "user",
    "getCurrentUser twice": "user",
    "fetchUserAttributes": "attributes",
    "fetchAuthSession": "session",
}


def _token(token: Mapping[str, Any] | None, sent: Mapping[str, str]) -> Any:
    if token is None:
        return None
    is_sent = token["token"] in sent.values()
    claims = {name: token["payload"][name] for name in _CLAIMS if name in token["payload"]}
    return {"is": "as sent" if is_sent else "new", **claims}


def ask_us(shell: Shell, pools: Pools, setup: Setup) -> Answer:
    """What our middleware answers. `status` and `reason` are beside an error's name."""
    setup = full(setup)
    while True:
        with pools.open(setup) as pool, pools.engine(pool, setup) as engine:
            tokens = minted(pool, setup)
            start = time.monotonic()
            app = shell.middleware(shell.app(_App(setup["operation"], tokens)), engine)
            with events(pool, setup):
                ask = Ask(setup["path"], cookies=header(setup, tokens) or None)
                got = shell.send(app, ask)
        if _was_prompt(setup, start):
            return {**json.loads(got.body), **cookies_after(got.all("set-cookie"), setup)}


def _was_prompt(setup: Setup, start: float) -> bool:
    """Whether an answer came before its tokens were too old for the question, busy as we are."""
    is_soon = any(0 < recipe.get("left", HOUR) < MINUTE for recipe in setup["tokens"].values())
    return not is_soon or time.monotonic() < start + _PROMPT


class _App:
    """An app that answers what one of the verbs says, as JSON."""

    def __init__(self, operation: str, sent: Mapping[str, str]) -> None:
        self._operation = operation
        self._sent = sent

    def __call__(self) -> str:
        try:
            said = self._said()
        except AuthError as error:
            said = {"error": error.name, "status": error.status_code, "reason": error.reason}
        return json.dumps(said)

    def _said(self) -> dict[str, Any]:
        if self._operation == "fetchUserAttributes":
            return {"attributes": amplify_mw.fetch_user_attributes()}
        if self._operation == "fetchAuthSession":
            return {"session": self._session()}
        if self._operation == "getCurrentUser twice":
            amplify_mw.get_current_user()
        user = amplify_mw.get_current_user().to_dict()
        del user["groups"]  # Amplify's own value has none
        return {"user": user}

    def _session(self) -> dict[str, Any]:
        session = amplify_mw.fetch_auth_session()
        if session.tokens is None:
            return {"tokens": None, "userSub": session.user_sub}
        details = session.tokens.sign_in_details
        tokens = {
            "accessToken": self._token(session.tokens.access_token),
            "idToken": self._token(session.tokens.id_token),
            "signInDetails": details and details.to_dict(),
        }
        return {"tokens": tokens, "userSub": session.user_sub}

    def _token(self, token: amplify_mw.Jwt | None) -> Any:
        return token and _token({"token": token.encoded, "payload": token.payload}, self._sent)


def cookies_after(lines: Sequence[str], setup: Setup) -> dict[str, Any]:
    """What `Set-Cookie` lines do to the cookies that were sent, in a browser that keeps its rules.

    `cookies`: what becomes of the tokens. `set`, `deleted`: the kinds of cookies, where there are
    any. A deletion for another Path or Domain than the cookie's own is one of another cookie.
    """
    blanks = dict.fromkeys(setup["tokens"], "")
    sent = {cookie.partition("=")[0].strip() for cookie in header(setup, blanks).split(";")}
    said: dict[str, bool] = {}  # whether there is such a cookie in the end
    for line in lines:
        name, _, rest = line.partition("=")
        if not name.startswith(f"{PREFIX}.") or _place(rest, setup) != ("/", setup["domain"]):
            continue
        if is_deleting(rest):
            if name in sent or name in said:
                said[name] = False
        else:
            said[name] = True
    told = {name.rpartition(".")[2]: there for name, there in sorted(said.items(), key=_last)}
    if not setup["drift"]:
        told.pop("clockDrift", None)
    fate = "kept" if not told else "rewritten" if told.get("accessToken") else "cleared"
    found: dict[str, Any] = {"cookies": fate}
    for word, wanted in (("set", True), ("deleted", False)):
        kinds = sorted(kind for kind, there in told.items() if there is wanted)
        found |= {word: kinds} if kinds else {}
    return found


def _last(said: tuple[str, bool]) -> bool:
    return said[1]  # of two names of one kind, the one that is there counts


def _place(rest: str, setup: Setup) -> tuple[str, str | None]:
    """The Path and Domain of the cookie that a line is about (RFC 6265 5.1.4, 5.3)."""
    parts = [part.strip().partition("=") for part in rest.split(";")[1:]]
    told = {name.lower(): value for name, _, value in parts}
    default = setup["path"].rpartition("/")[0] or "/"
    return told.get("path") or default, told.get("domain")


def is_deleting(rest: str) -> bool:
    """Whether what follows a name in a `Set-Cookie` line deletes the cookie."""
    value, _, attributes = rest.partition(";")
    told = attributes.lower().replace(" ", "")
    return not value or "01jan1970" in told or "max-age=0" in told or "max-age=-" in told


def in_words(answer: Answer, setup: Setup) -> str:
    """An answer, short."""
    found = answer.get("set", ())
    is_unusual = setup["drift"] or (found and "LastAuthUser" not in found)
    left = ", ".join(found) if is_unusual else ""
    return f"{_who(answer, setup)}, {answer['cookies']}" + (f" ({left})" if left else "")


def _who(answer: Answer, setup: Setup) -> str:
    people = {SUBS["me"]: setup["user"], SUBS["other"]: OTHER}
    if "error" in answer:
        return str(answer["error"])
    if "user" in answer:
        user = answer["user"]
        name = people.get(user["userId"]) if user["username"] else "a user without a name"
        details = user.get("signInDetails")
        if details is None:
            return f"{name}"
        is_usual = isinstance(details, dict) and details.keys() == {"loginId", "authFlowType"}
        return f"{name} with signInDetails" + ("" if is_usual else f" {json.dumps(details)}")
    if "attributes" in answer:
        return f"the attributes of {people[answer['attributes']['sub']]}"
    tokens = answer["session"]["tokens"]
    if tokens is None:
        return "no tokens"
    has = "both tokens" if tokens["idToken"] else "an access token"
    return f"{has} ({tokens['accessToken']['is']}) of {people[answer['session']['userSub']]}"


def check(vector: Setup, ours: Answer) -> None:
    """Our answer to a vector is Amplify's, or differs as it is meant to."""
    setup = full(vector)
    told = {name: value for name, value in ours.items() if name not in ("status", "reason")}
    key = OF_CASE.get(vector["id"])
    if key is None:
        assert told == vector["answer"], f"Amplify: {vector['answer']}; we: {ours}"
    else:
        said, meant = in_words(told, setup), DIFFERENCES[key].cases[vector["id"]]
        assert told != vector["answer"], f"the answers no longer differ ({key}): {ours}"
        assert said == meant, f"we were to answer: {meant} ({key}); we: {ours}"
