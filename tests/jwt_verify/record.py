"""Vectors: every case's token, and what aws-jwt-verify answers.

`python -m tests.jwt_verify.record` writes them anew to `vectors.json`, with new keys.
"""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tests.amplify_js.installation import installed, node
from tests.jwt_verify.cases import CASES, GRACE, NOW, SETTINGS
from tests.jwt_verify.keys import Pairs, Public
from tests.patience import PATIENCE

HERE: Final = Path(__file__).parent
VECTORS: Final = HERE / "vectors.json"
LONGEST: Final = 20_000  # letters: of a longer token, the file has its run of one group


def recorded() -> dict[str, Any]:
    """What was recorded: `version`, `keys` and `vectors`, each of which has its case's `id`."""
    found: dict[str, Any] = json.loads(VECTORS.read_text())
    found["vectors"] = [{**each, "token": _unfolded(each["token"])} for each in found["vectors"]]
    return found


def ask(keys: Public, questions: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The package's `version`, and its `answers` to settings with tokens."""
    told = {
        "now": NOW,
        "grace": GRACE,
        "settings": {name: _setting(keys, name) for name in SETTINGS},
        "questions": [{"setting": setting, "token": token} for setting, token in questions],
    }
    done = subprocess.run(
        [node(), str(installed(HERE) / "ask.mjs")],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


def _setting(keys: Public, name: str) -> dict[str, Any]:
    wanted = SETTINGS[name]
    pools = [
        {"id": pool_id, "keys": keys.set_of(owner, says_alg=wanted.says_alg)}
        for pool_id, owner in wanted.pools.items()
    ]
    return {"pools": pools, "clients": wanted.clients}


def record() -> dict[str, Any]:
    keys = Pairs()
    tokens = [case.make(keys) for case in CASES]
    questions = [(case.setting, token) for case, token in zip(CASES, tokens, strict=True)]
    found = ask(keys, questions)
    vectors = [
        {"id": case.id, "token": token, "answer": answer}
        for case, token, answer in zip(CASES, tokens, found["answers"], strict=True)
    ]
    return {"version": found["version"], "keys": keys.jwks, "vectors": vectors}


def written(found: dict[str, Any]) -> str:
    """As the file has them: a vector a line."""
    folded = [{**each, "token": _folded(each["token"])} for each in found["vectors"]]
    lines = ",\n".join(json.dumps(vector) for vector in folded)
    version, keys = json.dumps(found["version"]), json.dumps(found["keys"])
    return f'{{"version": {version},\n"keys": {keys},\n"vectors": [\n{lines}\n]}}\n'


RUN: Final = "eHh4"  # "xxx"


def _folded(token: str) -> str | list[Any]:
    if len(token) <= LONGEST:
        return token
    head, _, rest = token.partition(RUN)
    tail = rest.removeprefix(RUN * (rest.count(RUN)))
    return [head, token.count(RUN), tail]


def _unfolded(token: str | list[Any]) -> str:
    return token if isinstance(token, str) else token[0] + RUN * token[1] + token[2]


def main() -> None:
    VECTORS.write_text(written(record()))


if __name__ == "__main__":
    main()
