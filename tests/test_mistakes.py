"""Mistakes that teach: what the library says when it is not used as it has to be."""

from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    AuthRoutes,
    ConfigurationError,
    CookiePolicy,
    SealedSession,
    StoredSession,
    TokenSession,
    UserPool,
)
from amplify_mw.config.options import Options
from amplify_mw.stores import MemoryStore

IDS: dict[str, Any] = {"user_pool_id": "eu-west-1_Ab12Cd34E", "client_id": "web"}


class TestOptions:
    @pytest.mark.parametrize(
        ("kind", "given", "mistyped", "meant"),
        [
            (AmplifyConfig, IDS, "protected", "protect"),
            (AmplifyConfig, IDS, "loginUrl", "login_url"),
            (UserPool, IDS, "endpoint", "endpoint_url"),
            (AuthRoutes, {"origin": "https://app.example.com"}, "after_signin", "after_sign_in"),
            (CookiePolicy, {}, "samesite", "same_site"),
            (CookiePolicy, {}, "httponly", "http_only"),
            (TokenSession, {}, "verify_with_cognito", "verify_with_cognito_every"),
            (SealedSession, {"keys": ["a" * 43]}, "key", "keys"),
            (StoredSession, {"store": MemoryStore()}, "max_bytes", "max_token_bytes"),
            (AmplifyCookies, {}, "samesite", "same_site"),
        ],
    )
    def test_the_nearest_option_is_named(
        self, kind: Any, given: dict[str, Any], mistyped: str, meant: str
    ) -> None:
        said = rf"^{kind.__name__} has no field '{mistyped}'; did you mean to write '{meant}'\?$"
        with pytest.raises(ConfigurationError, match=said):
            kind(**given, **{mistyped: 1})

    @pytest.mark.parametrize("make", [AmplifyConfig, AmplifyConfig.from_env])
    def test_it_is_named_however_a_configuration_is_made(self, make: Any) -> None:
        with pytest.raises(ConfigurationError, match="did you mean to write 'protect'"):
            make(**IDS, protected=["/account"])

    def test_all_are_named_if_none_is_near(self) -> None:
        with pytest.raises(ConfigurationError, match=r"no field 'zzz'; write one of name, max_age"):
            CookiePolicy(zzz=1)  # type: ignore[call-arg]

    def test_the_options_of_type_checkers_are_the_configurations(self) -> None:
        assert get_type_hints(Options) == {
            field.name: get_type_hints(AmplifyConfig)[field.name] for field in fields(AmplifyConfig)
        }

    def test_an_option_by_position_works_as_before(self) -> None:
        assert CookiePolicy("sid").name == "sid"
        assert TokenSession(60.0).verify_with_cognito_every == 60


class TestFiles:
    def test_the_folder_that_was_searched_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ConfigurationError) as caught:
            AmplifyConfig.from_outputs("amplify_outputs.json")
        assert str(caught.value) == (
            "from_outputs: amplify_outputs.json cannot be read (No such file or directory); the "
            f"folder searched is {tmp_path}: write the whole path, such as "
            "Path(__file__).parent / 'amplify_outputs.json'; `npx ampx generate outputs` writes "
            "the file"
        )

    def test_a_folder_that_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as caught:
            AmplifyConfig.from_env({"AMPLIFY_OUTPUTS": str(tmp_path / "web" / "outputs.json")})
        assert str(caught.value).endswith(
            f"the folder searched is {tmp_path / 'web'}, which does not exist; `npx ampx generate "
            "outputs` writes the file"
        )
