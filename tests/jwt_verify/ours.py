"""Our answer to a token, as the engine of a site gives it: who it is, or why it is refused."""

from functools import cache
from typing import Any

from amplify_mw import AmplifyConfig, UserPool
from amplify_mw.cognito.verifier import InvalidToken, VerifiedToken
from amplify_mw.effects import Notice
from amplify_mw.engine.engine import Engine
from tests.jwt_verify.cases import GRACE, NOW, SETTINGS
from tests.jwt_verify.keys import Public


class Ours:
    """Sites of all settings, with these keys."""

    def __init__(self, keys: Public) -> None:
        self._keys = keys
        self._engine = cache(self._build)

    def _build(self, setting: str) -> Engine:
        wanted = SETTINGS[setting]
        pools = [
            UserPool(
                user_pool_id=pool_id,
                client_id=wanted.clients,
                keys=self._keys.set_of(owner, says_alg=wanted.says_alg),
                **wanted.options or {},
            )
            for pool_id, owner in wanted.pools.items()
        ]
        return Engine(AmplifyConfig(pools=pools, leeway=GRACE))

    def answer(self, setting: str, jwt: str) -> dict[str, Any]:
        """As `ask.mjs` answers; an error is named by its reason."""
        flow = self._engine(setting).authenticator.verifier.verify(jwt.encode(), NOW)
        try:
            assert isinstance(next(flow), Notice)  # of a clock that is behind; nothing is fetched
            flow.send((None, NOW))  # type: ignore[arg-type]
        except InvalidToken as error:
            return {"error": error.reason}
        except StopIteration as done:
            return _told(done.value)
        raise AssertionError("it asked for more")


def _told(found: VerifiedToken) -> dict[str, Any]:
    return {
        "issuer": found.issuer,
        "use": found.token_use,
        "client": found.client,
        "name": found.username,
        "sub": found.sub,
    }
