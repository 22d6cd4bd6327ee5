"""Cookie headers as Amplify's own writers write them, with placeholders for the tokens.

A placeholder is `${name}`, as `string.Template` has them. No token's text is changed by any of the
spellings that cookies have.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from amplify_mw.testing import LocalUserPool
from tests.amplify_js.cases import CLIENT, STATES, Also, Case, Pairs, Writer, is_of
from tests.amplify_js.node import ORIGIN, AmplifyJS, Context, Tokens
from tests.amplify_js.world import labelled, recipes

_CONTEXTS: Final[Mapping[Writer, Context]] = {
    "Next's cookie store": "NextResponse",
    "the adapter's lines": "pages",
}


class Scribe:
    """Writes headers, by Amplify. `pool`: any; the tokens are not of it."""

    def __init__(self, amplify: AmplifyJS, pool: LocalUserPool) -> None:
        self._amplify = amplify
        self._pool = pool

    def cookie(self, case: Case) -> str:
        """The Cookie header of a case."""
        pairs = self._written(
            case.name,
            _sent(case.tokens),
            writer=case.writer,
            http_only=case.http_only,
            details=_details(case) if case.details else None,
        )
        for edit in case.edits:
            pairs = edit.act(pairs)
        sets = [(also, self._also(case, label, also)) for label, also in labelled(case)]
        before = [pair for also, found in sets if also in case.before for pair in found]
        after = [pair for also, found in sets if also not in case.before for pair in found]
        sent = [*before, *pairs, *after]
        return case.between.join(f"{name}={value}" if name else value for name, value in sent)

    def _also(self, case: Case, label: str, also: Also) -> Pairs:
        pairs: Pairs = []
        for number in range(also.count):
            name = f"{also.name or case.name}{number or ''}"
            written = self._written(
                name,
                _sent(also.tokens, label),
                client=also.client,
                http_only=case.http_only,
                writer="Next's cookie store" if case.http_only else "browser",
                details={"loginId": name, "authFlowType": "USER_SRP_AUTH"},
            )
            pairs += [
                pair for pair in written if also.is_last or not is_of(pair[0], "LastAuthUser")
            ]
        return pairs

    def _written(
        self,
        user: str,
        sent: Mapping[str, str],
        *,
        writer: Writer,
        http_only: bool,
        details: Mapping[str, str] | None,
        client: str = CLIENT,
    ) -> Pairs:
        pool: Any = SimpleNamespace(
            user_pool_id=self._pool.user_pool_id, client_id=client, url=self._pool.url
        )
        marks = {use: _mark(use) for use in ("access", "id")}
        tokens = Tokens(
            username=user,
            access_token=marks["access"],
            id_token=marks["id"] if "id" in sent else None,
            refresh_token="refresh-mark" if "refresh" in sent else None,
            sign_in_details=details,
        )
        page = self._amplify.page()
        if writer in _CONTEXTS:
            origin = ORIGIN if http_only else None
            context = _CONTEXTS[writer]
            outcome = self._amplify.write(pool, tokens, context=context, origin=origin)
            assert outcome.error is None, outcome.error
            page.receive(outcome.set_cookies)
        else:
            page.write(pool, tokens)
        header = page.cookie.replace("refresh-mark", f"${{{sent.get('refresh')}}}")
        for use, mark in marks.items():
            header = header.replace(mark, f"${{{sent.get(use)}}}")
        pairs = [(n, v) for n, _, v in (cookie.partition("=") for cookie in header.split("; "))]
        pairs = [pair for pair in pairs if "access" in sent or "${None}" not in pair[1]]
        if writer == "adapter before 1.7":
            pairs = [(unquote_to_bytes(name).decode("latin-1"), value) for name, value in pairs]
        assert not any("${None}" in value for _, value in pairs)
        return pairs


def _sent(state: str, label: str = "") -> Mapping[str, str]:
    """The placeholders of a state's tokens, by what they are."""
    return {name: label + name for name in recipes(STATES[state])}


def _details(case: Case) -> Mapping[str, str]:
    return {"loginId": case.name, "authFlowType": "USER_SRP_AUTH"}


def _mark(use: str) -> str:
    """What Amplify's writers take for a token."""
    parts = ('{"alg":"RS256"}', f'{{"mark":"{use}"}}', use)
    return ".".join(urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)
