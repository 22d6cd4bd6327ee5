"""Vectors: every case's cookies as Amplify wrote them, and what Amplify answered.

`python -m tests.amplify_js.record` writes them anew to `vectors.json`.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tests.amplify_js.asking import ask_amplify
from tests.amplify_js.cases import CASES, Case
from tests.amplify_js.installation import HERE, installed
from tests.amplify_js.node import AmplifyJS
from tests.amplify_js.world import Pools, setup_of
from tests.amplify_js.writing import Scribe

VECTORS: Final = HERE / "vectors.json"
_AT_ONCE: Final = 6


def recorded() -> dict[str, Any]:
    """The vectors as they were recorded: what is the same in most of them is left out."""
    found: dict[str, Any] = json.loads(VECTORS.read_text())
    return found


def record(amplify: AmplifyJS) -> dict[str, Any]:
    """The vectors as they are now."""
    groups = [CASES[start::_AT_ONCE] for start in range(_AT_ONCE)]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        done = [threads.submit(_record, amplify, cases) for cases in groups]
        answers = {found["id"]: found for each in done for found in each.result()}
    versions = {name: version for name, version in amplify.versions().items() if name != "node"}
    return {"versions": versions, "vectors": [answers[case.id] for case in CASES]}


def _record(amplify: AmplifyJS, cases: list[Case]) -> list[dict[str, Any]]:
    with Pools() as pools:
        scribe = Scribe(amplify, pools.calm())
        return [_vector(amplify, pools, scribe, case) for case in cases]


def _vector(amplify: AmplifyJS, pools: Pools, scribe: Scribe, case: Case) -> dict[str, Any]:
    setup = setup_of(case, scribe.cookie(case))
    return {**setup, "answer": ask_amplify(amplify, pools, setup)}


def main() -> None:
    with AmplifyJS(installed()) as amplify:
        found = record(amplify)
    VECTORS.write_text(written(found))


def written(vectors: dict[str, Any]) -> str:
    """As the file has them: a vector a line."""
    lines = ",\n".join(json.dumps(vector) for vector in vectors["vectors"])
    return f'{{"versions": {json.dumps(vectors["versions"])},\n"vectors": [\n{lines}\n]}}\n'


if __name__ == "__main__":
    main()
