"""Configuration from the files Amplify writes, and from the environment."""

import json
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import AmplifyConfig, AuthRoutes, ConfigurationError, UserPool
from amplify_mw.config.files import VARIABLES, read_keys
from amplify_mw.engine.engine import Engine
from amplify_mw.sessions.seal import key_text
from amplify_mw.testing import LocalUserPool
from tests.visits import visiting

POOL_ID, CLIENT_ID = "eu-west-1_Ab12Cd34E", "2ab3cd4ef5gh6ij7kl8mn9op0q"
WEST, EAST = "eu-west-3", "eu-north-1"

GEN2: dict[str, Any] = {
    "auth": {
        "user_pool_id": POOL_ID,
        "aws_region": "eu-west-1",
        "user_pool_client_id": CLIENT_ID,
        "identity_pool_id": "eu-west-1:0f3c1d6e-0000-4000-8000-000000000000",
        "mfa_methods": ["TOTP"],
        "standard_required_attributes": ["email"],
        "username_attributes": ["email"],
        "user_verification_types": ["email"],
        "groups": [{"ADMINS": {"precedence": 0}}],
        "mfa_configuration": "OPTIONAL",
        "password_policy": {
            "min_length": 8,
            "require_lowercase": True,
            "require_numbers": True,
            "require_symbols": True,
            "require_uppercase": True,
        },
        "oauth": {
            "identity_providers": ["GOOGLE"],
            "redirect_sign_in_uri": ["http://localhost:3000/"],
            "redirect_sign_out_uri": ["http://localhost:3000/"],
            "response_type": "code",
            "scopes": ["email", "openid", "aws.cognito.signin.user.admin"],
            "domain": "abc.auth.eu-west-1.amazoncognito.com",
        },
        "unauthenticated_identities_enabled": True,
    },
    "data": {
        "url": "https://abc.appsync-api.eu-west-1.amazonaws.com/graphql",
        "aws_region": "eu-west-1",
        "default_authorization_type": "AMAZON_COGNITO_USER_POOLS",
        "authorization_types": ["AWS_IAM"],
        "model_introspection": {"version": 1, "models": {}, "enums": {}, "nonModels": {}},
    },
    "storage": {"aws_region": "eu-west-1", "bucket_name": "abc"},
    "custom": {"aws_like_name": 1},
    "version": "1.4",
}

GEN1: dict[str, Any] = {
    "aws_project_region": "eu-west-1",
    "aws_cognito_identity_pool_id": "eu-west-1:0f3c1d6e-0000-4000-8000-000000000000",
    "aws_cognito_region": "eu-west-1",
    "aws_user_pools_id": POOL_ID,
    "aws_user_pools_web_client_id": CLIENT_ID,
    "oauth": {"domain": "abc.auth.eu-west-1.amazoncognito.com", "redirectSignIn": "http://a/,b"},
    "aws_cognito_username_attributes": ["EMAIL"],
    "aws_cognito_mfa_configuration": "OFF",
    "aws_appsync_graphqlEndpoint": "https://abc.appsync-api.eu-west-1.amazonaws.com/graphql",
}

DOMAIN = "abc.auth.eu-west-1.amazoncognito.com"
NAMED = AmplifyConfig(user_pool_id=POOL_ID, client_id=CLIENT_ID)
EXPECTED = NAMED.replace(domain=DOMAIN)  # what GEN2 says


def without(document: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != key}


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    path = tmp_path / "amplify_outputs.json"
    path.write_text(json.dumps(GEN2), encoding="utf-8")
    return path


class TestOutputs:
    @pytest.mark.parametrize("document", [GEN2, GEN1], ids=["gen2", "gen1"])
    def test_a_file_and_its_content_say_the_same(
        self, tmp_path: Path, document: dict[str, Any]
    ) -> None:
        path = tmp_path / "file.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        sources: list[Any] = [path, str(path), document]
        assert [AmplifyConfig.from_outputs(source) for source in sources] == [EXPECTED] * 3

    @pytest.mark.parametrize("version", ["1", "1.0", "1.4"])
    def test_every_version_1_of_the_file_is_read(self, version: str) -> None:
        assert AmplifyConfig.from_outputs({**GEN2, "version": version}) == EXPECTED

    def test_a_byte_order_mark_is_no_trouble(self, outputs: Path) -> None:
        outputs.write_bytes(b"\xef\xbb\xbf" + outputs.read_bytes())
        assert AmplifyConfig.from_outputs(outputs) == EXPECTED

    def test_options_are_added_and_win(self, outputs: Path) -> None:
        some = AmplifyConfig.from_outputs(
            outputs,
            client_id=["a", "b"],
            protect=["/a"],
            endpoint_url="http://cognito:9229",
            allow_insecure_http=True,
        )
        assert some == EXPECTED.replace(
            client_id=["a", "b"],
            protect=["/a"],
            endpoint_url="http://cognito:9229",
            allow_insecure_http=True,
        )

    def test_pools_contradict_the_file(self, outputs: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"^pools: write either"):
            AmplifyConfig.from_outputs(
                outputs, pools=[UserPool(user_pool_id=POOL_ID, client_id="d")]
            )

    @pytest.mark.parametrize(
        ("document", "named"),
        [
            (without(GEN2, "auth"), "'auth' section"),
            ({**GEN2, "auth": None}, "'auth' section"),
            ({**GEN2, "auth": [GEN2["auth"]]}, "'auth' section"),
            ({**GEN2, "auth": without(GEN2["auth"], "user_pool_id")}, "'user_pool_id'"),
            (
                {**GEN2, "auth": without(GEN2["auth"], "user_pool_client_id")},
                "'user_pool_client_id'",
            ),
            ({**GEN2, "auth": {**GEN2["auth"], "user_pool_id": ""}}, "'user_pool_id'"),
            ({**GEN2, "auth": {**GEN2["auth"], "user_pool_id": 5}}, "'user_pool_id'"),
            (
                {**GEN2, "auth": {**GEN2["auth"], "user_pool_client_id": None}},
                "'user_pool_client_id'",
            ),
            (
                {**GEN2, "auth": {**GEN2["auth"], "user_pool_client_id": []}},
                "'user_pool_client_id'",
            ),
            (without(GEN1, "aws_user_pools_id"), "'aws_user_pools_id'"),
            (without(GEN1, "aws_user_pools_web_client_id"), "'aws_user_pools_web_client_id'"),
            (without(GEN2, "version"), r"version 1\)"),
            ({**GEN2, "version": "2"}, r"version 1\)"),
            ({**GEN2, "version": None}, r"version 1\)"),
            ({}, r"version 1\)"),
            ({"name": "some-package", "dependencies": {}}, "amplify_outputs.json"),
        ],
    )
    def test_what_is_missing_is_named(self, document: dict[str, Any], named: str) -> None:
        with pytest.raises(ConfigurationError, match=f"^from_outputs: .*{named}"):
            AmplifyConfig.from_outputs(document)

    @pytest.mark.parametrize("source", [None, 3, b"amplify_outputs.json", ["a"]])
    def test_what_is_neither_a_path_nor_a_mapping_is_refused(self, source: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"^from_outputs: write the path of "):
            AmplifyConfig.from_outputs(source)

    def test_what_the_file_says_is_checked(self) -> None:
        with pytest.raises(ConfigurationError, match=r"^user_pool_id: .*'nonsense'"):
            AmplifyConfig.from_outputs({**GEN1, "aws_user_pools_id": "nonsense"})

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is not JSON"),
            (b"{", "is not JSON"),
            (b'{"auth": }', "is not JSON"),
            (b"\xff\xfe\xfd", "is not JSON"),
            (b"[" * 200_000, "is not JSON"),
            (b"[]", "holds no JSON object"),
            (b'"{}"', "holds no JSON object"),
            (b"null", "holds no JSON object"),
        ],
        ids=lambda value: repr(value[:12]),
    )
    def test_a_broken_file_is_named(self, outputs: Path, content: bytes, said: str) -> None:
        outputs.write_bytes(content)
        with pytest.raises(ConfigurationError, match=f"amplify_outputs.json {said}"):
            AmplifyConfig.from_outputs(outputs)

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        for path in (tmp_path / "nowhere.json", tmp_path):
            with pytest.raises(ConfigurationError, match=f"{path.name} cannot be read"):
                AmplifyConfig.from_outputs(path)


class TestEnvironment:
    @pytest.mark.parametrize(
        ("name", "value", "option", "meaning"),
        [
            ("AMPLIFY_USER_POOL_ID", "us-east-1_Other", "user_pool_id", "us-east-1_Other"),
            ("AMPLIFY_CLIENT_ID", "ios", "client_id", "ios"),
            ("AMPLIFY_CLIENT_ID", "ios, web", "client_id", ["ios", "web"]),
            ("AMPLIFY_CLIENT_SECRET", "s3cret", "client_secret", "s3cret"),
            ("AMPLIFY_CLIENT_SECRET", "new, old", "client_secret", ["new", "old"]),
            ("AMPLIFY_DOMAIN", "auth.example.com", "domain", "https://auth.example.com"),
            ("AMPLIFY_REFRESH_API", "InitiateAuth", "refresh_api", "InitiateAuth"),
            ("AMPLIFY_ENDPOINT_URL", "http://localhost:9", "endpoint_url", "http://localhost:9"),
            ("AMPLIFY_ISSUERS", "updated", "issuers", "updated"),
            ("AMPLIFY_REGIONS", WEST, "regions", [WEST]),
            ("AMPLIFY_REGIONS", f"{WEST}, {EAST}", "regions", [WEST, EAST]),
            (
                "AMPLIFY_REGIONS",
                f"{WEST}=http://localhost:9, {EAST}=https://vpce.example",
                "regions",
                {WEST: "http://localhost:9", EAST: "https://vpce.example"},
            ),
            ("AMPLIFY_ISSUER", "https://a.example", "issuer", "https://a.example"),
            ("AMPLIFY_ALLOW_INSECURE_HTTP", "true", "allow_insecure_http", True),
            ("AMPLIFY_ALLOW_INSECURE_HTTP", "True", "allow_insecure_http", True),
            ("AMPLIFY_KEYS", "keys.json", "keys", "keys.json"),
            ("AMPLIFY_PROXY", "http://proxy:3128", "proxy", "http://proxy:3128"),
            ("AMPLIFY_PROXY", "environment", "proxy", "environment"),
            ("AMPLIFY_LOGIN_URL", "/login", "login_url", "/login"),
        ],
    )
    def test_a_variable_is_an_option(
        self, name: str, value: str, option: str, meaning: Any
    ) -> None:
        environ = {"AMPLIFY_USER_POOL_ID": POOL_ID, "AMPLIFY_CLIENT_ID": CLIENT_ID, name: value}
        expected = NAMED.replace(**{option: meaning})
        assert AmplifyConfig.from_env(environ) == expected
        assert expected != NAMED

    def test_every_documented_variable_is_tested(self) -> None:
        marks = self.test_a_variable_is_an_option.pytestmark  # type: ignore[attr-defined]
        tested = {case[0] for case in marks[0].args[1]}
        assert tested | {"AMPLIFY_OUTPUTS"} == VARIABLES.keys()

    def test_the_outputs_file_stands_for_both_ids(self, outputs: Path) -> None:
        environ = {"AMPLIFY_OUTPUTS": str(outputs), "AMPLIFY_LOGIN_URL": "/login"}
        assert AmplifyConfig.from_env(environ) == EXPECTED.replace(login_url="/login")

    def test_what_no_outputs_file_holds_may_stand_beside_it(self, outputs: Path) -> None:
        environ = {"AMPLIFY_OUTPUTS": str(outputs), "AMPLIFY_CLIENT_SECRET": "s3cret"}
        assert AmplifyConfig.from_env(environ) == EXPECTED.replace(client_secret="s3cret")

    @pytest.mark.parametrize("name", ["AMPLIFY_USER_POOL_ID", "AMPLIFY_CLIENT_ID"])
    def test_the_outputs_file_and_an_id_contradict_each_other(
        self, outputs: Path, name: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=r"^from_env: AMPLIFY_OUTPUTS .*unset"):
            AmplifyConfig.from_env({"AMPLIFY_OUTPUTS": str(outputs), name: POOL_ID})

    @pytest.mark.parametrize("missing", ["AMPLIFY_USER_POOL_ID", "AMPLIFY_CLIENT_ID"])
    @pytest.mark.parametrize("empty", [{}, {"AMPLIFY_USER_POOL_ID": "", "AMPLIFY_CLIENT_ID": ""}])
    def test_a_missing_variable_is_named(self, missing: str, empty: dict[str, str]) -> None:
        environ = {"AMPLIFY_USER_POOL_ID": POOL_ID, "AMPLIFY_CLIENT_ID": CLIENT_ID}
        environ = without(environ, missing) | {
            name: empty[name] for name in empty if name == missing
        }
        with pytest.raises(ConfigurationError, match=f"^from_env: set {missing} ") as caught:
            AmplifyConfig.from_env(environ)
        assert str(caught.value).endswith(
            "; or set AMPLIFY_OUTPUTS (the path of amplify_outputs.json) in place of both ids"
        )

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("AMPLIFY_OUTPUTS", "nowhere.json"),
            ("AMPLIFY_USER_POOL_ID", "nonsense"),
            ("AMPLIFY_CLIENT_SECRET", "a b"),
            ("AMPLIFY_DOMAIN", "http://a.example"),
            ("AMPLIFY_REFRESH_API", "oauth"),
            ("AMPLIFY_REFRESH_API", "OAuth"),
            ("AMPLIFY_ENDPOINT_URL", "localhost"),
            ("AMPLIFY_ISSUERS", "Both"),
            ("AMPLIFY_ISSUERS", "https://a.example"),
            ("AMPLIFY_REGIONS", "us-west-2,"),
            ("AMPLIFY_REGIONS", "west"),
            ("AMPLIFY_REGIONS", f"{WEST}=http://a.example"),
            ("AMPLIFY_REGIONS", f"{WEST}=https://a.example,{EAST}"),
            ("AMPLIFY_REGIONS", f"{WEST}=https://a.example,{WEST}=https://b.example"),
            ("AMPLIFY_CLIENT_SECRET", "a,b,c"),
            ("AMPLIFY_CLIENT_SECRET", "a,a"),
            ("AMPLIFY_CLIENT_SECRET", "a,"),
            ("AMPLIFY_ISSUER", "http://a.example"),
            ("AMPLIFY_ALLOW_INSECURE_HTTP", "yes"),
            ("AMPLIFY_ALLOW_INSECURE_HTTP", "1"),
            ("AMPLIFY_KEYS", "https://a.example"),
            ("AMPLIFY_PROXY", "proxy:3128"),
            ("AMPLIFY_LOGIN_URL", "login"),
        ],
    )
    def test_a_wrong_variable_is_named(self, name: str, value: str) -> None:
        ids = {"AMPLIFY_USER_POOL_ID": POOL_ID, "AMPLIFY_CLIENT_ID": CLIENT_ID}
        environ = {name: value} if name == "AMPLIFY_OUTPUTS" else {**ids, name: value}
        with pytest.raises(ConfigurationError, match=f"^from_env: {name}: "):
            AmplifyConfig.from_env(environ)

    def test_a_wrong_option_is_not_blamed_on_a_variable(self) -> None:
        environ = {"AMPLIFY_USER_POOL_ID": POOL_ID, "AMPLIFY_CLIENT_ID": CLIENT_ID}
        with pytest.raises(ConfigurationError, match=r"^user_pool_id: "):
            AmplifyConfig.from_env(environ, user_pool_id="nonsense")

    def test_options_win_and_stand_in_for_variables(self) -> None:
        environ = {"AMPLIFY_USER_POOL_ID": POOL_ID, "AMPLIFY_LOGIN_URL": "/login"}
        some = AmplifyConfig.from_env(environ, client_id=CLIENT_ID, login_url="/in", leeway=1)
        assert some == NAMED.replace(login_url="/in", leeway=1)

    def test_an_emulator_of_a_compose_file_is_named_by_variables(self) -> None:
        environ = {
            "AMPLIFY_USER_POOL_ID": "local_1",
            "AMPLIFY_CLIENT_ID": CLIENT_ID,
            "AMPLIFY_ENDPOINT_URL": "http://cognito:9229",
            "AMPLIFY_ISSUER": "http://0.0.0.0:9229/local_1",
        }
        with pytest.raises(ConfigurationError, match=r"^from_env: AMPLIFY_ENDPOINT_URL: "):
            AmplifyConfig.from_env(environ)
        for word in ("false", "FALSE"):
            with pytest.raises(ConfigurationError, match=r"AMPLIFY_ENDPOINT_URL: "):
                AmplifyConfig.from_env(environ | {"AMPLIFY_ALLOW_INSECURE_HTTP": word})
        some = AmplifyConfig.from_env(environ | {"AMPLIFY_ALLOW_INSECURE_HTTP": "true"})
        assert some.user_pools[0].api_url == "http://cognito:9229/"

    def test_pools_need_no_variables(self) -> None:
        pool = UserPool(user_pool_id=POOL_ID, client_id=CLIENT_ID)
        assert AmplifyConfig.from_env({}, pools=[pool]) == AmplifyConfig(pools=[pool])

    @pytest.mark.parametrize("clients", [",", "web,", ",web", "a,,b"])
    def test_an_empty_client_id_is_refused(self, clients: str) -> None:
        with pytest.raises(ConfigurationError, match=r"^from_env: AMPLIFY_CLIENT_ID: "):
            AmplifyConfig.from_env({"AMPLIFY_USER_POOL_ID": POOL_ID, "AMPLIFY_CLIENT_ID": clients})

    def test_the_process_environment_is_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AMPLIFY_USER_POOL_ID", POOL_ID)
        monkeypatch.setenv("AMPLIFY_CLIENT_ID", CLIENT_ID)
        assert AmplifyConfig.from_env() == NAMED

    def test_nothing_is_taken_from_the_environment_unasked(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in VARIABLES:
            monkeypatch.setenv(name, "nonsense")
        assert AmplifyConfig(user_pool_id=POOL_ID, client_id=CLIENT_ID) == NAMED
        assert AmplifyConfig.from_outputs(GEN2) == EXPECTED


class TestKeys:
    @pytest.fixture
    def jwks(self) -> dict[str, Any]:
        return LocalUserPool().jwks()

    def test_a_mapping_and_a_file_hold_the_same_keys(
        self, tmp_path: Path, jwks: dict[str, Any]
    ) -> None:
        path = tmp_path / "jwks.json"
        path.write_text(json.dumps(jwks), encoding="utf-8")
        for keys in (str(path), path, NAMED.replace(keys=jwks).keys):
            assert keys is not None
            assert json.loads(read_keys(keys)) == jwks

    def test_preloaded_keys_need_no_fetch(self, tmp_path: Path) -> None:
        with LocalUserPool() as pool:
            pool.add_user("ada")
            path = tmp_path / "jwks.json"
            path.write_text(json.dumps(pool.jwks()), encoding="utf-8")
            engine = Engine(pool.config(keys=path))
            header = b"amplify-session=" + pool.mint("ada").encode()
            flow = visiting(engine.authenticator, header, engine.clock())
            visit = engine.driver.run(flow)
            assert visit.verdict.user is not None
            assert pool.requests == []

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"{", "jwks.json is not JSON"),
            (b"[]", "jwks.json holds no JSON object"),
            (b"{}", "no usable key set"),
            (b'{"keys": []}', "no usable key set"),
            (b'{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0"}]}', "no usable key set"),
        ],
    )
    def test_a_file_without_keys_is_refused_when_the_middleware_is_built(
        self, tmp_path: Path, content: bytes, said: str
    ) -> None:
        path = tmp_path / "jwks.json"
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=f"^keys: .*{said}"):
            Engine.of(NAMED.replace(keys=path))

    def test_a_file_that_is_not_there_is_refused_when_the_middleware_is_built(self) -> None:
        with pytest.raises(ConfigurationError, match=r"^keys: nowhere\.json cannot be read"):
            Engine.of(NAMED.replace(keys="nowhere.json"))


HERE = "https://app.example.com"
BACK, OUT = f"{HERE}/auth/sign-in-callback", f"{HERE}/auth/sign-out-callback"
ROUTES = AuthRoutes(origin=HERE, keys=[key_text(bytes(32))])


def gen2(**oauth: Any) -> dict[str, Any]:
    """Gen 2's file, with another `oauth` block."""
    return {**GEN2, "auth": {**GEN2["auth"], "oauth": {**GEN2["auth"]["oauth"], **oauth}}}


def gen1(**oauth: Any) -> dict[str, Any]:
    return {**GEN1, "oauth": {"domain": DOMAIN, **oauth}}


LISTED = [
    gen2(
        scopes=["openid", "phone"],
        redirect_sign_in_uri=["http://localhost:3000/", BACK],
        redirect_sign_out_uri=[OUT],
    ),
    gen1(scope=["openid", "phone"], redirectSignIn=f"http://localhost:3000/,{BACK}",
         redirectSignOut=OUT),
    gen1(scope=["openid", "phone"], redirectSignIn=f"http://localhost:3000/ , {BACK}",
         redirectSignOut=f" {OUT},"),
]  # fmt: skip


class TestRoutes:
    @pytest.mark.parametrize("document", LISTED, ids=["gen2", "gen1", "gen1 with spaces"])
    def test_the_oauth_block_configures_them(self, document: dict[str, Any]) -> None:
        config = AmplifyConfig.from_outputs(document, routes=ROUTES)
        assert config.routes is not None
        assert config.domain == f"https://{DOMAIN}"
        assert config.routes.scope == "openid phone"
        assert config.routes.redirect_sign_in == ("http://localhost:3000/", BACK)
        assert config.routes.redirect_sign_out == (OUT,)

    @pytest.mark.parametrize(
        ("document", "named"),
        [
            (GEN2, "redirect_sign_in"),
            (gen1(redirectSignIn=f"{BACK}/", redirectSignOut=OUT), "redirect_sign_in"),
            (gen2(redirect_sign_in_uri=[BACK]), "redirect_sign_out"),
            (gen1(redirectSignIn=BACK, redirectSignOut=f"{HERE}/"), "redirect_sign_out"),
        ],
        ids=["gen2", "gen1", "gen2 out", "gen1 out"],
    )
    def test_a_redirect_uri_that_is_not_on_the_list_is_refused(
        self, document: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=f"is not among the app client's {named}"):
            AmplifyConfig.from_outputs(document, routes=ROUTES)

    def test_a_file_without_lists_leaves_them_to_the_pool(self) -> None:
        config = AmplifyConfig.from_outputs(gen1(), routes=ROUTES)
        assert config.routes == ROUTES

    def test_what_is_written_wins_over_the_file(self) -> None:
        own = AuthRoutes(
            origin=HERE,
            keys=ROUTES.keys,
            scopes=["openid"],
            redirect_sign_in=[BACK],
            redirect_sign_out=[OUT],
        )
        config = AmplifyConfig.from_outputs(GEN2, routes=own)
        assert config.routes == own

    def test_scopes_without_openid_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="without 'openid' nobody is signed in"):
            AmplifyConfig.from_outputs(gen1(scope=["email"]), routes=ROUTES)

    @pytest.mark.parametrize("document", [GEN2, GEN1], ids=["gen2", "gen1"])
    def test_without_an_oauth_block_there_is_no_hosted_sign_in(
        self, document: dict[str, Any]
    ) -> None:
        document = {**without(document, "oauth")}
        if "auth" in document:
            document["auth"] = without(document["auth"], "oauth")
        assert AmplifyConfig.from_outputs(document).domain is None
        with pytest.raises(ConfigurationError, match=r"^routes: hosted sign-in is at the pool's"):
            AmplifyConfig.from_outputs(document, routes=ROUTES)

    @pytest.mark.parametrize(
        "oauth",
        [
            {"scopes": None, "redirect_sign_in_uri": 7, "redirect_sign_out_uri": {}},
            {"scopes": [1], "redirect_sign_in_uri": [BACK, None], "redirect_sign_out_uri": []},
        ],
    )
    def test_lists_that_are_none_say_nothing(self, oauth: dict[str, Any]) -> None:
        assert AmplifyConfig.from_outputs(gen2(**oauth), routes=ROUTES).routes == ROUTES

    def test_no_instance_of_routes_is_refused_all_the_same(self) -> None:
        wrong: Any = AuthRoutes
        with pytest.raises(ConfigurationError, match=r"^routes: write AuthRoutes"):
            AmplifyConfig.from_outputs(GEN2, routes=wrong)


HOSTS = ("cognito-idp", "issuer-cognito-idp")


class TestALocalPoolsFile:
    """The section that `amplify-mw pool` writes below `custom`."""

    def outputs(self, **changes: Any) -> dict[str, Any]:
        home = "http://127.0.0.1:9229"
        section = {"endpoint_url": home, "issuer": f"{home}/{POOL_ID}", "domain": home}
        auth = {"user_pool_id": POOL_ID, "user_pool_client_id": CLIENT_ID}
        custom = {"amplify_mw": {**section, **changes}}
        return {"version": "1.4", "auth": auth, "custom": custom}

    @pytest.mark.parametrize(
        "home",
        ["http://localhost:1", "https://127.0.0.1:1", "http://[::1]:1", "http://a.localhost"],
    )
    def test_its_addresses_are_read(self, home: str) -> None:
        config = AmplifyConfig.from_outputs(
            self.outputs(endpoint_url=home, issuer=f"{home}/{POOL_ID}", domain=home)
        )
        (pool,) = config.user_pools
        assert (pool.endpoint_url, pool.iss) == (home, f"{home}/{POOL_ID}")

    @pytest.mark.parametrize("name", ["endpoint_url", "issuer", "domain"])
    @pytest.mark.parametrize(
        "address",
        [
            "https://cognito.example.com",
            "http://localhost.example.com:9229",
            "http://127.0.0.1@example.com/",
            "http://192.168.0.1:9229",
            "http://0.0.0.0:9229",
            "localhost:9229",
            "http://[",
            "",
            None,
            1,
        ],
    )
    def test_an_address_elsewhere_is_refused(self, name: str, address: Any) -> None:
        with pytest.raises(ConfigurationError, match=f"custom.amplify_mw.{name}"):
            AmplifyConfig.from_outputs(self.outputs(**{name: address}))

    def test_without_an_issuer_amazons_count(self) -> None:
        outputs = self.outputs()
        del outputs["custom"]["amplify_mw"]["issuer"]
        (pool,) = AmplifyConfig.from_outputs(outputs).user_pools
        both = [f"https://{host}.eu-west-1.amazonaws.com/{POOL_ID}" for host in HOSTS]
        assert pool.accepted_issuers == tuple(both)
        assert pool.endpoint_url == "http://127.0.0.1:9229"

    def test_its_replicas_are_read(self) -> None:
        regions = {"us-west-2": "http://127.0.0.1:9231"}
        (pool,) = AmplifyConfig.from_outputs(self.outputs(regions=regions)).user_pools
        assert pool.api_urls == ("http://127.0.0.1:9229/", "http://127.0.0.1:9231/")

    @pytest.mark.parametrize("address", ["https://cognito.example.com", "", None])
    def test_a_replica_elsewhere_is_refused(self, address: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"custom\.amplify_mw\.regions\.us"):
            AmplifyConfig.from_outputs(self.outputs(regions={"us-west-2": address}))

    @pytest.mark.parametrize("regions", [["us-west-2"], "us-west-2", 1, None])
    def test_replicas_without_addresses_are_refused(self, regions: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"custom\.amplify_mw\.regions"):
            AmplifyConfig.from_outputs(self.outputs(regions=regions))

    def test_explicit_options_win(self) -> None:
        other = "http://localhost:1"
        config = AmplifyConfig.from_outputs(self.outputs(), endpoint_url=other)
        assert config.user_pools[0].endpoint_url == other

    @pytest.mark.parametrize("custom", [None, [], {}, {"amplify_mw": None}, {"amplify_mw": "x"}])
    def test_anything_else_there_changes_nothing(self, custom: Any) -> None:
        config = AmplifyConfig.from_outputs({**self.outputs(), "custom": custom})
        assert config.user_pools[0].endpoint_url is None
