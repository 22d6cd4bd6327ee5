import pytest
from tests.scenarios import SCENARIOS, Stage
from amplify_mw.events import Refused, SignInFailed

@pytest.mark.parametrize("key", SCENARIOS, ids=lambda k: f"{k[0]}-{k[1]}")
def test_x(key, shell, pool, clock, tmp_path, monkeypatch, caplog):
    caplog.set_level("DEBUG", logger="amplify_mw")
    stage = Stage(shell, pool, clock, tmp_path, monkeypatch)
    try:
        caplog.clear()
        scene = SCENARIOS[key](stage)
        print("ROW", key, shell.kind, scene.status, scene.cookie, scene.words(Refused), scene.words(SignInFailed), [r.getMessage() for r in caplog.records if key[0] in r.getMessage()])
    finally:
        stage.close()
