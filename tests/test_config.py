"""`AmplifyConfig` and `UserPool`: what they take, what they refuse, and that they are values."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import (
    AmplifyConfig,
    AmplifyCookies,
    AuthRoutes,
    ConfigurationError,
    CookiePolicy,
    TokenSession,
    UserPool,
)
from amplify_mw.config.config import MAX_LEEWAY
from amplify_mw.engine.engine import Engine
from amplify_mw.events import Event
from amplify_mw.testing import LocalUserPool

POOL_ID = "eu-west-1_Ab12Cd34E"
KEYS = {"keys": [{"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"}]}


def config(**options: Any) -> AmplifyConfig:
    return AmplifyConfig(**{"user_pool_id": POOL_ID, "client_id": "web", **options})


def user_pool(**options: Any) -> UserPool:
    return UserPool(**{"user_pool_id": POOL_ID, "client_id": "web", **options})


class TestAddresses:
    @pytest.mark.parametrize(
        "option", ["endpoint_url", "issuer", "domain", "login_url", "regions", "origins"]
    )
    def test_no_error_shows_a_password_in_an_address(self, option: str) -> None:
        for url in ("https://ada:a-secret@x.example", "ada:a-secret@x.example", "//a:a-secret@x"):
            value: Any = [url] if option == "origins" else url
            with pytest.raises(ConfigurationError) as refused:
                config(**{option: value})
            assert "a-secret" not in str(refused.value)

    @pytest.mark.parametrize(
        ("pool_id", "host"),
        [
            ("eu-west-1_Ab12Cd34E", "cognito-idp.eu-west-1.amazonaws.com"),
            ("us-gov-west-1_Ab12Cd34E", "cognito-idp.us-gov-west-1.amazonaws.com"),
            ("ap-southeast-3_Ab12Cd34E", "cognito-idp.ap-southeast-3.amazonaws.com"),
            ("cn-north-1_Ab12Cd34E", "cognito-idp.cn-north-1.amazonaws.com.cn"),
            ("cn-northwest-1_Ab12Cd34E", "cognito-idp.cn-northwest-1.amazonaws.com.cn"),
        ],
    )
    def test_the_pool_id_says_where_the_pool_is(self, pool_id: str, host: str) -> None:
        pool = user_pool(user_pool_id=pool_id)
        assert pool.iss == f"https://{host}/{pool_id}"
        assert pool.api_url == f"https://{host}/"
        assert pool.keys_url == f"https://{host}/{pool_id}/.well-known/jwks.json"

    @pytest.mark.parametrize("slash", ["", "/"])
    def test_an_emulator_has_an_endpoint_and_an_issuer(self, slash: str) -> None:
        pool = user_pool(
            user_pool_id="local", endpoint_url="http://localhost:9229" + slash, issuer="https://a/b"
        )
        assert pool.iss == "https://a/b"
        assert pool.api_url == "http://localhost:9229/"
        assert pool.keys_url == "http://localhost:9229/local/.well-known/jwks.json"

    @pytest.mark.parametrize(
        "issuer",
        [
            "http://localhost.localstack.cloud:4566/us-east-1_db019d67",
            "http://0.0.0.0:9229/local_2D4gvA2k",
            "http://cognito:9229/local_2D4gvA2k",
        ],
    )
    def test_an_emulators_issuer_is_compared_and_not_fetched(self, issuer: str) -> None:
        pool = user_pool(endpoint_url="http://localhost:9229", issuer=issuer)
        assert pool.iss == issuer
        assert pool.keys_url == f"http://localhost:9229/{POOL_ID}/.well-known/jwks.json"
        with pytest.raises(ConfigurationError, match="issuer: write an https"):
            user_pool(issuer=issuer)  # from where its keys would be fetched

    def test_an_emulator_may_keep_amazons_issuer(self) -> None:
        pool = user_pool(endpoint_url="http://127.0.0.1:5000")
        assert pool.iss == f"https://cognito-idp.eu-west-1.amazonaws.com/{POOL_ID}"
        assert pool.keys_url == f"http://127.0.0.1:5000/{POOL_ID}/.well-known/jwks.json"

    def test_keys_are_fetched_below_an_issuer_of_its_own(self) -> None:
        pool = user_pool(issuer="https://issuer.example/pool/")
        assert pool.iss == "https://issuer.example/pool/"  # compared as it is, slash and all
        assert pool.keys_url == "https://issuer.example/pool/.well-known/jwks.json"

    @pytest.mark.parametrize("field", ["endpoint_url", "issuer"])
    @pytest.mark.parametrize(
        "url",
        [
            *("http://localhost:1", "http://127.0.0.1", "http://[::1]:1", "http://a.localhost"),
            *("https://a.example/b", "https://192.0.2.1", "https://[2001:db8::1]:8443"),
            "https://" + "a" * 63 + ".example",
        ],
    )
    def test_https_or_http_on_this_machine_is_accepted(self, field: str, url: str) -> None:
        assert getattr(user_pool(**{field: url}), field) == url

    @pytest.mark.parametrize("field", ["endpoint_url", "issuer"])
    @pytest.mark.parametrize(
        "url",
        [
            "http://cognito.example",
            "http://localhost.evil.example",
            "http://192.168.0.1",
            "https://a..example",
            "https://.example",
            "https://a.example.",
            "https://a_b.example",
            "https://-a.example",
            "https://" + "a" * 64 + ".example",
            "https://" + "a." * 127 + "aa",
            "https://a;b.example",
            "http://localhost@evil.example",
            "https://user:secret@a.example",
            "https://a.example?b",
            "https://a.example#b",
            "https://",
            "https:///path",
            "https://a.example\n",
            "https://a.exa\tmple",
            " https://a.example",
            "https://a.example/a b",
            "https://a.example:port",
            "https://a.example:99999",
            "https://[::1",
            "ftp://a.example",
            "file:///etc/passwd",
            "//a.example",
            "a.example",
            "",
            5,
            b"https://a.example",
        ],
    )
    def test_any_other_address_is_refused(self, field: str, url: Any) -> None:
        with pytest.raises(ConfigurationError, match=f"^{field}: "):
            config(**{field: url})

    @pytest.mark.parametrize("known", [{"endpoint_url": "http://localhost:4566"}, {"keys": KEYS}])
    @pytest.mark.parametrize(
        "issuer",
        [
            "http://localhost.localstack.cloud:4566/us-east-1_db019d67",
            "http://cognito-idp.localhost.localstack.cloud:4566/us-east-1_db019d67",
            "http://0.0.0.0:9229/local_2D4gvA2k",
            "http://cognito_local:9229/local_2D4gvA2k",
            "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_db019d67",
            "https://a.example/pool/?b=c#d",  # compared letter by letter, whatever it says
        ],
    )
    def test_an_issuer_that_is_only_compared_is_any_text(
        self, known: dict[str, Any], issuer: str
    ) -> None:
        assert user_pool(issuer=issuer, **known).iss == issuer

    @pytest.mark.parametrize(
        "issuer",
        ["", "a.example", "ftp://a", "//a", "http://", "https://a b", "http://a\n", 5, b"http://a"],
    )
    def test_no_token_has_such_an_issuer(self, issuer: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"^issuer: write the `iss`"):
            user_pool(issuer=issuer, keys=KEYS)

    @pytest.mark.parametrize(
        "pool_id",
        [
            *(
                "",
                "eu-west-1",
                "eu-west-1_",
                "_Ab1",
                "eu-west-1_Ab/../x",
                "eu-west-1_Ab1\n",
                "EU-WEST-1_A",
            ),
            *(
                "x/eu-west-1_A",
                "evil.example/eu-west-1_A",
                "eu-west-\u0661_A",
                "eu-west-1_é",
                5,
                None,
            ),
        ],
    )
    def test_what_is_no_pool_id_is_refused(self, pool_id: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"^user_pool_id.* 'eu-west-1_Ab12Cd34E'"):
            UserPool(user_pool_id=pool_id, client_id="web")

    @pytest.mark.parametrize("given", ["endpoint_url", "issuer"])
    def test_another_form_of_pool_id_needs_both_addresses(self, given: str) -> None:
        with pytest.raises(ConfigurationError, match="both endpoint_url and issuer"):
            config(user_pool_id="local", **{given: "https://a.example"})


class TestPlainHttp:
    """To other machines, by `allow_insecure_http`: in a compose file, an emulator is one."""

    @pytest.mark.parametrize(
        "host", ["cognito:9229", "cognito_local:9229", "192.168.0.7", "0.0.0.0:1", "[fd00::7]:8080"]
    )
    @pytest.mark.parametrize("field", ["endpoint_url", "issuer", "domain"])
    def test_it_takes_the_word(self, field: str, host: str) -> None:
        with pytest.raises(ConfigurationError, match=f"^{field}: .*allow_insecure_http=True"):
            user_pool(**{field: f"http://{host}"})
        pool = user_pool(**{field: f"http://{host}"}, allow_insecure_http=True)
        assert getattr(pool, field) == f"http://{host}"

    def test_the_addresses_that_are_asked_follow(self) -> None:
        home = "http://cognito:9229"
        pool = user_pool(endpoint_url=home, domain=home, allow_insecure_http=True)
        assert pool.keys_url == f"{home}/{POOL_ID}/.well-known/jwks.json"
        assert (pool.api_url, pool.token_url) == (f"{home}/", f"{home}/oauth2/token")
        assert pool.insecure_addresses == (home,)

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"endpoint_url": "http://localhost:9229", "domain": "auth.example.com"},
            {"issuer": "http://cognito:9229/a", "keys": KEYS},
        ],
        ids=str,
    )
    def test_the_word_alone_makes_nothing_insecure(self, options: dict[str, Any]) -> None:
        assert user_pool(**options, allow_insecure_http=True).insecure_addresses == ()

    def test_browsers_may_be_sent_there(self) -> None:
        with pytest.raises(ConfigurationError, match=r"^login_url: .*allow_insecure_http=True"):
            config(login_url="http://login/in")
        assert config(login_url="http://login/in", allow_insecure_http=True).login_url

    @pytest.mark.parametrize(
        "url",
        [
            *("http://user:secret@cognito", "http://cognito?a", "http://cognito/#a", "http://"),
            *("http://a b", "ftp://cognito", "http://-a", "http://_", "http://a..b", "//cognito"),
            "https://a_b.example",  # for which there is no certificate
        ],
    )
    def test_what_is_no_address_stays_one(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match=r"^endpoint_url: write an"):
            user_pool(endpoint_url=url, allow_insecure_http=True)

    @pytest.mark.parametrize("value", ["yes", 1, None, "False"])
    def test_the_word_is_true_or_false(self, value: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"^allow_insecure_http: write True or False"):
            config(allow_insecure_http=value)

    def test_each_of_several_pools_has_its_own(self) -> None:
        emulator = user_pool(endpoint_url="http://cognito", allow_insecure_http=True)
        assert AmplifyConfig(pools=[emulator]).user_pools == (emulator,)
        with pytest.raises(ConfigurationError, match=r"^pools: write either"):
            AmplifyConfig(pools=[user_pool()], allow_insecure_http=True)


class TestClientIds:
    @pytest.mark.parametrize(
        ("client_id", "accepted"),
        [
            ("web", {"web"}),
            (["web"], {"web"}),
            (["web", "ios"], {"web", "ios"}),
            (("web", "ios"), {"web", "ios"}),
            ({"web", "ios"}, {"web", "ios"}),
            (None, None),
        ],
    )
    def test_one_several_or_any(self, client_id: Any, accepted: set[str] | None) -> None:
        assert config(client_id=client_id).user_pools[0].client_ids == accepted

    def test_leaving_it_out_is_an_error_and_no_weaker_check(self) -> None:
        for make in (AmplifyConfig, UserPool):
            with pytest.raises(
                ConfigurationError, match=r"^client_id is missing: .*client_id=None"
            ):
                make(user_pool_id=POOL_ID)

    @pytest.mark.parametrize("client_id", ["", [], (), [""], ["a", ""], ["a", None], 5, b"web", {}])
    def test_what_names_no_client_is_refused(self, client_id: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"^client_id: write the app client's id"):
            config(client_id=client_id)


class TestPools:
    def test_one_pool_is_the_short_spelling_of_a_list_of_one(self) -> None:
        short, long = config(), AmplifyConfig(pools=[user_pool()])
        assert short.user_pools == long.user_pools == (user_pool(),)

    def test_several_pools_keep_their_own_clients(self) -> None:
        pools = [user_pool(), user_pool(user_pool_id="eu-west-1_Other", client_id=["a", "b"])]
        some = AmplifyConfig(pools=pools)
        assert [pool.client_ids for pool in some.user_pools] == [{"web"}, {"a", "b"}]

    @pytest.mark.parametrize(
        "more",
        [
            {"user_pool_id": POOL_ID},
            {"client_id": "web"},
            {"client_id": None},
            {"endpoint_url": "https://a.example"},
            {"issuers": "original"},
            {"regions": ["eu-central-1"]},
            {"issuer": "https://a.example"},
            {"keys": KEYS},
            {"client_secret": "s3cret"},
            {"domain": "auth.example.com"},
            {"refresh_api": "InitiateAuth"},
            {"allow_insecure_http": True},
        ],
        ids=lambda more: next(iter(more)),
    )
    def test_both_spellings_at_once_contradict_each_other(self, more: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match=r"^pools: write either .*, not both"):
            AmplifyConfig(pools=[user_pool()], **more)

    def test_one_issuer_twice_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"^pools: .*client_id=\["):
            AmplifyConfig(pools=[user_pool(), user_pool(client_id="ios")])

    @pytest.mark.parametrize("pools", [5, "ab", [POOL_ID], [{"user_pool_id": POOL_ID}], [None]])
    def test_pools_are_a_list_of_user_pools(self, pools: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"^pools: write a list of UserPool"):
            AmplifyConfig(pools=pools)

    def test_no_pool_at_all_says_what_to_write(self) -> None:
        for options in ({}, {"pools": []}, {"client_id": "web"}):
            with pytest.raises(
                ConfigurationError, match=r"^user_pool_id is missing: .*from_outputs"
            ):
                AmplifyConfig(**options)


EAST_ID, WEST = "us-east-1_Ab12Cd34E", "us-west-2"
ORIGINAL = f"https://cognito-idp.us-east-1.amazonaws.com/{EAST_ID}"
UPDATED = f"https://issuer-cognito-idp.us-east-1.amazonaws.com/{EAST_ID}"
IN_WEST = f"https://cognito-idp.us-west-2.amazonaws.com/{EAST_ID}"
FOREIGN = "https://issuer.example/pool"
HERE, THERE = "http://127.0.0.1:9230", "http://127.0.0.1:9231"


def east(**options: Any) -> UserPool:
    return user_pool(user_pool_id=EAST_ID, **options)


def keys_of(*homes: str) -> tuple[str, ...]:
    return tuple(f"{home}/.well-known/jwks.json" for home in homes)


class TestIssuers:
    @pytest.mark.parametrize(
        ("options", "accepted"),
        [
            ({}, (ORIGINAL, UPDATED)),
            ({"issuers": "original"}, (ORIGINAL,)),
            ({"issuers": "updated"}, (UPDATED,)),
            ({"regions": [WEST]}, (ORIGINAL, UPDATED, IN_WEST)),
            ({"regions": [WEST], "issuers": "original"}, (ORIGINAL, IN_WEST)),
            ({"regions": [WEST], "issuers": "updated"}, (UPDATED,)),  # it names the primary Region
            ({"regions": {WEST: THERE}, "endpoint_url": HERE}, (ORIGINAL, UPDATED, IN_WEST)),
            ({"issuer": UPDATED}, (UPDATED, ORIGINAL)),
            ({"issuer": UPDATED, "issuers": "updated"}, (UPDATED,)),
            ({"issuer": IN_WEST, "regions": [WEST]}, (IN_WEST, ORIGINAL, UPDATED)),
            ({"issuer": IN_WEST}, (IN_WEST,)),
            ({"issuer": FOREIGN}, (FOREIGN,)),
            ({"issuer": FOREIGN, "regions": [WEST]}, (FOREIGN,)),
            ({"issuer": FOREIGN, "endpoint_url": HERE}, (FOREIGN,)),
            ({"issuer": ORIGINAL.replace("us-east-1_", "us-east-1_O")}, None),
        ],
        ids=str,
    )
    def test_those_that_count(
        self, options: dict[str, Any], accepted: tuple[str, ...] | None
    ) -> None:
        pool = east(**options)
        assert pool.accepted_issuers == (accepted or (options["issuer"],))
        assert pool.iss == pool.accepted_issuers[0]

    @pytest.mark.parametrize(
        ("pool_id", "host"),
        [
            ("us-gov-east-1_Ab12Cd34E", "us-gov-east-1.amazonaws.com"),
            ("cn-northwest-1_Ab12Cd34E", "cn-northwest-1.amazonaws.com.cn"),
            ("eusc-de-east-1_Ab12Cd34E", "eusc-de-east-1.amazonaws.eu"),
            ("us-iso-east-1_Ab12Cd34E", "us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1_Ab12Cd34E", "us-isob-east-1.sc2s.sgov.gov"),
            ("eu-isoe-west-1_Ab12Cd34E", "eu-isoe-west-1.cloud.adc-e.uk"),
            ("us-isof-south-1_Ab12Cd34E", "us-isof-south-1.csp.hci.ic.gov"),
            ("mx-central-1_Ab12Cd34E", "mx-central-1.amazonaws.com"),
        ],
    )
    def test_every_partition_has_both_at_its_own_domain(self, pool_id: str, host: str) -> None:
        assert user_pool(user_pool_id=pool_id).accepted_issuers == (
            f"https://cognito-idp.{host}/{pool_id}",
            f"https://issuer-cognito-idp.{host}/{pool_id}",
        )

    @pytest.mark.parametrize("issuers", ["Both", "BOTH", "", None, True, ["both"], FOREIGN])
    def test_they_are_named_by_a_word(self, issuers: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"^issuers: write one of 'both', 'orig"):
            east(issuers=issuers)

    @pytest.mark.parametrize("issuers", ["original", "updated"])
    @pytest.mark.parametrize(
        "issuer", [FOREIGN, IN_WEST, "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Other"]
    )
    def test_one_of_ones_own_has_no_such_choice(self, issuers: str, issuer: str) -> None:
        with pytest.raises(ConfigurationError, match=r"^issuers: .*write one of the two options"):
            east(issuers=issuers, issuer=issuer)
        with pytest.raises(ConfigurationError, match=r"^issuers: "):
            user_pool(user_pool_id="local_1", endpoint_url=HERE, issuers=issuers, issuer=issuer)

    @pytest.mark.parametrize(("issuers", "issuer"), [("original", UPDATED), ("updated", ORIGINAL)])
    def test_two_options_that_contradict_each_other_are_refused(
        self, issuers: str, issuer: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=r"^issuers: .*write one of the two options"):
            east(issuers=issuers, issuer=issuer)


class TestRegions:
    def test_a_replica_is_asked_after_the_pools_own_region(self) -> None:
        assert east().api_urls == ("https://cognito-idp.us-east-1.amazonaws.com/",)
        pool = east(regions=[WEST, "eu-west-1"])
        assert pool.api_url == pool.api_urls[0]
        assert pool.api_urls == (
            "https://cognito-idp.us-east-1.amazonaws.com/",
            "https://cognito-idp.us-west-2.amazonaws.com/",
            "https://cognito-idp.eu-west-1.amazonaws.com/",
        )

    def test_a_mapping_says_where_they_are(self) -> None:
        regions = {WEST: THERE, "eu-west-1": "https://vpce-1.example/"}
        pool = east(regions=regions, endpoint_url=HERE)
        assert pool.api_urls == (f"{HERE}/", f"{THERE}/", "https://vpce-1.example/")
        pool = east(regions=regions)
        assert pool.api_urls[0] == "https://cognito-idp.us-east-1.amazonaws.com/"
        assert pool.api_urls[1:] == (f"{THERE}/", "https://vpce-1.example/")
        regions.clear()
        assert len(pool.api_urls) == 3

    def test_an_emulators_pool_has_regions_of_any_partition(self) -> None:
        regions = {"us-west-2": HERE, "cn-north-1": THERE}
        pool = user_pool(user_pool_id="local_1", endpoint_url=HERE, issuer=FOREIGN, regions=regions)
        assert pool.api_urls == (f"{HERE}/", f"{THERE}/")  # each is asked once

    @pytest.mark.parametrize(
        "regions", ["us-west-2", b"us-west-2", 5, None, True, {"us-west-2"}, iter(["us-west-2"])]
    )
    def test_they_are_a_list_or_a_mapping(self, regions: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"^regions: write a list .*us-west-2'\]"):
            east(regions=regions)

    @pytest.mark.parametrize(
        "name",
        [
            *("", "west", "us-west", "us_west_2", "US-WEST-2", "us-west-2 ", "us-west-2\n"),
            *("us-west-²", "us-west-2_Ab12Cd34E", "us-west-2.evil.example/", "https://a.example"),
            *(5, None, ()),
        ],
    )
    def test_what_is_no_region_is_refused(self, name: Any) -> None:
        for regions in ([name], [WEST, name], {name: THERE}):
            with pytest.raises(ConfigurationError, match=r"^regions: write the names .* got "):
                east(regions=regions)

    def test_the_pools_own_is_known(self) -> None:
        for regions in ([WEST, "us-east-1"], {"us-east-1": THERE}):
            with pytest.raises(
                ConfigurationError, match=r"^regions: 'us-east-1' is the pool's own"
            ):
                east(regions=regions)

    @pytest.mark.parametrize(
        ("pool_id", "region"),
        [
            (EAST_ID, "us-gov-west-1"),
            (EAST_ID, "cn-north-1"),
            (EAST_ID, "eusc-de-east-1"),
            (EAST_ID, "us-iso-east-1"),
            ("us-gov-west-1_Ab12Cd34E", "us-west-1"),
            ("us-iso-east-1_Ab12Cd34E", "us-isob-east-1"),
            ("cn-north-1_Ab12Cd34E", "us-west-2"),
        ],
    )
    def test_another_partition_has_no_replica(self, pool_id: str, region: str) -> None:
        with pytest.raises(ConfigurationError, match=r"^regions: .* partition aws.*write Regions"):
            user_pool(user_pool_id=pool_id, regions=[region])

    def test_each_occurs_once(self) -> None:
        with pytest.raises(ConfigurationError, match=r"^regions: one occurs twice"):
            east(regions=[WEST, "eu-west-1", WEST])

    def test_beside_an_endpoint_each_has_an_address(self) -> None:
        with pytest.raises(
            ConfigurationError, match=r"^regions: .*write regions={'us-west-2': 'http"
        ):
            east(regions=[WEST], endpoint_url=HERE)

    @pytest.mark.parametrize("url", ["http://west.example", "west.example", "", None, 5])
    def test_an_address_is_checked_as_any_other(self, url: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"^regions: write an https.* for 'us-west-2'"):
            east(regions={WEST: url})

    def test_plain_http_to_another_machine_needs_the_word(self) -> None:
        pool = east(regions={WEST: "http://cognito_west:9229"}, allow_insecure_http=True)
        assert pool.insecure_addresses == ("http://cognito_west:9229",)

    def test_none_is_none(self) -> None:
        for regions in ((), [], {}):
            assert east(regions=regions) == east()


class TestKeySets:
    """Where the key set of an issuer is: nothing but the configuration says so."""

    @pytest.mark.parametrize(
        ("options", "issuer", "homes"),
        [
            ({}, ORIGINAL, (ORIGINAL, UPDATED)),
            ({}, UPDATED, (UPDATED, ORIGINAL)),
            ({"issuers": "original"}, ORIGINAL, (ORIGINAL,)),
            ({"issuers": "updated"}, UPDATED, (UPDATED, ORIGINAL)),
            ({"regions": [WEST]}, ORIGINAL, (ORIGINAL, UPDATED, IN_WEST)),
            ({"regions": [WEST]}, UPDATED, (UPDATED, ORIGINAL, IN_WEST)),
            ({"regions": [WEST]}, IN_WEST, (IN_WEST, ORIGINAL, UPDATED)),
            ({"regions": [WEST], "issuers": "original"}, IN_WEST, (IN_WEST, ORIGINAL)),
            (
                {"regions": {WEST: THERE}},
                IN_WEST,
                (f"{THERE}/{EAST_ID}", ORIGINAL, UPDATED),
            ),
            ({"issuer": FOREIGN}, FOREIGN, (FOREIGN,)),
            ({"issuer": FOREIGN, "regions": [WEST]}, FOREIGN, (FOREIGN,)),
            ({"issuer": FOREIGN + "/"}, FOREIGN + "/", (FOREIGN,)),
            ({"endpoint_url": HERE}, UPDATED, (f"{HERE}/{EAST_ID}",)),
            ({"endpoint_url": HERE, "issuer": FOREIGN}, FOREIGN, (f"{HERE}/{EAST_ID}",)),
            (
                {"endpoint_url": HERE, "regions": {WEST: THERE}},
                UPDATED,
                (f"{HERE}/{EAST_ID}", f"{THERE}/{EAST_ID}"),
            ),
            (
                {"endpoint_url": HERE, "regions": {WEST: THERE}},
                IN_WEST,
                (f"{THERE}/{EAST_ID}", f"{HERE}/{EAST_ID}"),
            ),
            (
                {"endpoint_url": HERE, "regions": {WEST: HERE + "/"}},  # one emulator has both
                IN_WEST,
                (f"{HERE}/{EAST_ID}",),
            ),
            (
                {"endpoint_url": HERE, "regions": {WEST: THERE}, "issuer": FOREIGN},
                FOREIGN,
                (f"{HERE}/{EAST_ID}", f"{THERE}/{EAST_ID}"),
            ),
        ],
        ids=str,
    )
    def test_the_issuers_own_is_first(
        self, options: dict[str, Any], issuer: str, homes: tuple[str, ...]
    ) -> None:
        pool = east(**options)
        assert issuer in pool.accepted_issuers
        assert pool.keys_urls_of(issuer) == keys_of(*homes)


class TestAppClientSecrets:
    @pytest.mark.parametrize("client_id", ["web", ["web"]])
    def test_a_secret_belongs_to_the_one_client(self, client_id: Any) -> None:
        some = config(client_id=client_id, client_secret="s3cret")
        assert some.user_pools[0].client_secrets == ("s3cret",)

    @pytest.mark.parametrize("client_id", [None, ["web", "ios"]])
    def test_several_clients_cannot_share_a_secret(self, client_id: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"^client_secret: .*one app client; write"):
            config(client_id=client_id, client_secret="s3cret")

    @pytest.mark.parametrize(
        "secret", ["", "hunter2\n", "\0hunter2", " hunter2", "é-hunter2", 7, b""]
    )
    def test_what_is_no_secret_is_refused_unseen(self, secret: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"^client_secret: write") as caught:
            config(client_secret=secret)
        assert "hunter2" not in str(caught.value)
        with pytest.raises(ConfigurationError, match=r"^client_secret: write") as caught:
            config(client_secret=["hunter2", secret])
        assert "hunter2" not in str(caught.value)

    def test_two_are_tried_in_order(self) -> None:
        some = config(client_secret=["new", "old"])
        assert some.user_pools[0].client_secrets == ("new", "old")
        assert config(client_secret=("new", "old")) == some
        assert config(client_secret=["new"]) == config(client_secret="new")
        assert config().user_pools[0].client_secrets == ()

    @pytest.mark.parametrize("secrets", [["hunter2", "hunter2"], ["hunter2", "b", "c"]])
    def test_a_client_has_two_at_most(self, secrets: list[str]) -> None:
        with pytest.raises(ConfigurationError, match=r"^client_secret: .*'new', 'old'") as caught:
            config(client_secret=secrets)
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("secrets", [[], {"hunter2"}, {"hunter2": 1}, [["hunter2"]]])
    def test_they_are_a_list(self, secrets: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"^client_secret: write") as caught:
            config(client_secret=secrets)
        assert "hunter2" not in str(caught.value)

    def test_a_repr_shows_no_secret(self) -> None:
        some = config(
            client_secret=["hunter22", "hunter221"], proxy="http://ada:hunter22@proxy:3128"
        )
        assert "hunter22" not in repr(some) + repr(some.user_pools) + repr(some.core)


class TestDomains:
    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            ("auth.example.com", "https://auth.example.com"),
            ("https://auth.example.com", "https://auth.example.com"),
            ("https://Auth.Example.com:443", "https://auth.example.com"),
            ("auth.example.com:8443", "https://auth.example.com:8443"),
            (
                "myapp.auth.eu-west-1.amazoncognito.com",
                "https://myapp.auth.eu-west-1.amazoncognito.com",
            ),
            ("http://127.0.0.1:9229", "http://127.0.0.1:9229"),
            ("http://[::1]:9229", "http://[::1]:9229"),
        ],
    )
    def test_a_domain_is_kept_as_an_origin(self, written: str, kept: str) -> None:
        some = config(domain=written)
        assert some.domain == some.user_pools[0].domain == kept
        assert some.replace(domain=kept) == some

    def test_the_domain_says_where_tokens_are_refreshed_and_revoked(self) -> None:
        pool = user_pool(domain="auth.example.com")
        assert pool.token_url == "https://auth.example.com/oauth2/token"
        assert pool.revoke_url == "https://auth.example.com/oauth2/revoke"

    def test_without_a_domain_there_are_no_such_addresses(self) -> None:
        pool = user_pool()
        assert pool.domain is pool.token_url is pool.revoke_url is None

    @pytest.mark.parametrize("api", ["GetTokensFromRefreshToken", "InitiateAuth", "oauth"])
    def test_tokens_are_refreshed_by_one_of_three_ways(self, api: str) -> None:
        some = config(refresh_api=api, domain="auth.example.com")
        assert some.user_pools[0].refresh_api == api

    def test_oauth_needs_a_domain(self) -> None:
        with pytest.raises(ConfigurationError, match=r"^refresh_api: 'oauth' .*write domain="):
            config(refresh_api="oauth")


INF, NAN = float("inf"), float("nan")

REFUSED: list[tuple[str, Any]] = [
    *(("leeway", value) for value in (-1, -0.001, MAX_LEEWAY + 0.001, INF, NAN, "5", None, True)),
    *(("attributes_ttl", value) for value in (-1, 86_401, INF, NAN, "60", None, False)),
    *(("http_timeout", value) for value in (0, 0.09, -1, 61, INF, NAN, "5", None, True)),
    *(("cache_entries", value) for value in (0, -1, 10**10, 10**400, INF, NAN, "9", None, True)),
    *(("cache_bytes", value) for value in (0, -1, 10**13, INF, NAN, "9", None, True)),
    *(("cookie", value) for value in (None, "amplify-session", {}, CookiePolicy)),
    *(("session", value) for value in (None, "token", {}, TokenSession)),
    *(("refresh_api", value) for value in (None, "", "OAuth", "initiate_auth", 5, ["oauth"])),
    *(("domain", value) for value in ("", "a b", "a/", "https://a/b", "http://a.example", "a..b")),
    *(("domain", value) for value in ("-a.example", "a;b", "u@a", "a:port", "a\n", 5, b"a", "é.b")),
    *(("keys", value) for value in (5, [], b"{}", {"keys": [object()]}, {"keys": {1, 2}})),
    *(
        (field, value)
        for field in ("protect", "public", "ignore")
        for value in ("/api/*", None, 5, [None], [""], [5], ["api/*"], ["*"], ["/*/a"], ["/api*"])
    ),
    *(
        (field, value)
        for field in ("protect", "public", "ignore")
        for value in (["/api/**"], ["/a?b"], ["//a"], ["/a//b"], ["/a", "b"], ["/a//*"])
    ),
    # These would never match, since a path is decoded and resolved before it is compared.
    *(
        (field, value)
        for field in ("protect", "public", "ignore")
        for value in (
            ["/my%20page"],
            ["/a/../b"],
            ["/./a"],
            ["/a/.."],
            ["/a\\b"],
            ["/a\n"],
            ["/\0"],
        )
    ),
    *(
        ("origins", value)
        for value in (f"https://{'a'}.example", None, [None], [""], ["*"], ["null"])
    ),
    *(
        ("origins", [value])
        for value in (
            "https://a.example/",
            "a.example",
            "https://",
            "ws://a.example",
            "wss://a.example",
            "https://[::1",
            "file://",
            "file:///a",
            "null",
            "data:,a",
            "javascript:a",
            "capacitor://",
            "capacitor://localhost/",
            "capacitor:localhost",
            "capacitor://u@localhost",
            "capacitor://local host",
            "tauri://*",
            "1app://a",
            "app://a:port",
            "app://a?b",
            "app://a#b",
            "app://a\n",
            "://a",
        )
    ),
    *(
        ("origins", [value])
        for value in ("http://a.example", "https://é.example", "https://*.a.example")
    ),
    *(("origins", [value]) for value in ("https://u@a.example", "https://a b", "https://a:99999")),
    *(
        ("login_url", value)
        for value in ("", "login", "//evil.example", "/\\evil.example", "///a", "/a b", "/a\n")
    ),
    *(
        ("login_url", value)
        for value in (
            "http://a.example/login",
            "javascript:alert(1)",
            "/é",
            "/a\r\nSet-Cookie: a=b",
        )
    ),
    *(("cache_control", value) for value in ("public", "no_store", "No-Store", "", True, 0, b"")),
    *(("login_url", value) for value in ("/login?a#b", "/?#", "https://a.example/?a#b")),
    *(("login_url", value) for value in ("/login#form", "https://a.example/#b", "\\a", 5, True)),
]


class TestFields:
    def test_the_defaults(self) -> None:
        some = config()
        assert (some.cookie, some.session) == (CookiePolicy(), TokenSession())
        assert (some.leeway, some.attributes_ttl, some.http_timeout) == (5, 60, 5)
        assert (some.cache_entries, some.cache_bytes) == (10_000, 32 * 1024 * 1024)
        assert some.protect == some.public == some.ignore == some.origins == ()
        assert some.login_url is some.client_secret is some.domain is None
        assert some.allow_insecure_http is False
        assert some.cache_control is None
        assert some.refresh_api == "GetTokensFromRefreshToken"

    @pytest.mark.parametrize(("field", "value"), REFUSED)
    def test_a_refusal_names_its_field_and_the_mend(self, field: str, value: Any) -> None:
        with pytest.raises(ConfigurationError, match=f"^{field}: .*write"):
            config(**{field: value})

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("leeway", 0),
            ("leeway", MAX_LEEWAY),
            ("attributes_ttl", 0),
            ("http_timeout", 0.5),
            ("login_url", "/login"),
            ("login_url", "/"),
            ("login_url", "/login?from=app"),
            ("login_url", "https://auth.example.com/login"),
            ("login_url", "https://auth.example.com/login?client_id=web"),
            ("login_url", "http://localhost:3000/login"),
            ("session", TokenSession()),
            ("cookie", CookiePolicy.host_prefixed()),
        ],
    )
    def test_a_good_value_stays_as_it_was_written(self, field: str, value: Any) -> None:
        assert getattr(config(**{field: value}), field) == value

    @pytest.mark.parametrize(
        "path", ["/", "/*", "/a", "/a/", "/a/*", "/a/b.c/*", "/.well-known/*", "/é", "/a b", "/a;b"]
    )
    def test_a_pattern_is_a_path_or_all_below_one(self, path: str) -> None:
        assert config(protect=[path], public=[path], ignore=[path]).protect == (path,)

    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            ("https://App.Example.com", "https://app.example.com"),
            ("HTTPS://a.example", "https://a.example"),
            ("https://a.example:443", "https://a.example"),
            ("https://a.example:80", "https://a.example:80"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:443", "http://localhost:443"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://app.localhost:3000", "http://app.localhost:3000"),
        ],
    )
    def test_origins_are_kept_as_browsers_write_them(self, written: str, kept: str) -> None:
        assert config(origins=[written]).origins == (kept,)

    @pytest.mark.parametrize(
        "origin",
        [
            *("capacitor://localhost", "ionic://localhost", "tauri://localhost", "app://-"),
            *("chrome-extension://abcdefghijklmnopabcdefghijklmnop", "app://obsidian.md"),
            "moz-extension://11111111-2222-3333-4444-555555555555",
            "MyApp://Host:8080",  # (only a scheme is written small everywhere)
        ],
    )
    def test_an_app_has_an_origin_of_its_own_kind(self, origin: str) -> None:
        scheme, rest = origin.split(":", 1)
        assert config(origins=[origin]).origins == (f"{scheme.lower()}:{rest}",)

    def test_an_origin_that_is_everybodys_says_what_to_do_instead(self) -> None:
        with pytest.raises(ConfigurationError, match=r"Referrer-Policy: same-origin.*csrf_exempt="):
            config(origins=["null"])

    @pytest.mark.parametrize(
        "options",
        [
            {"cookie": CookiePolicy(secure=False)},
            {"session": AmplifyCookies(secure=False)},
            {"session": [TokenSession(), AmplifyCookies(secure=False)]},
            {"allow_insecure_http": True},
        ],
        ids=str,
    )
    def test_a_site_on_plain_http_has_an_origin(self, options: dict[str, Any]) -> None:
        some = config(origins=["http://Intranet.Example.com:80"], **options)
        assert some.origins == ("http://intranet.example.com",)

    def test_for_a_site_on_https_plain_http_is_another(self) -> None:
        with pytest.raises(ConfigurationError, match=r"^origins: .*CookiePolicy\(secure=False\)"):
            config(origins=["http://intranet.example.com"])

    def test_an_origin_with_a_slash_is_told_to_lose_it(self) -> None:
        with pytest.raises(ConfigurationError, match="without the slash"):
            config(origins=["https://a.example/"])

    def test_a_bad_login_url_says_what_both_kinds_look_like(self) -> None:
        with pytest.raises(
            ConfigurationError, match=r"a path such as '/login', or an https:// add"
        ):
            config(login_url="login")

    def test_public_without_protect_would_do_nothing_and_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"^public: .*write protect="):
            config(public=["/a"])

    @pytest.mark.parametrize(
        "keys", ["https://a.example/jwks.json", "HTTP://a.example", '{"keys": []}', " [1]"]
    )
    def test_keys_that_are_neither_a_path_nor_a_mapping_are_told_apart(self, keys: str) -> None:
        with pytest.raises(ConfigurationError, match=r"^keys: write a file's path or a mapping; "):
            config(keys=keys)


class TestValues:
    def test_equal_settings_make_equal_configurations(self) -> None:
        def make() -> AmplifyConfig:
            return config(protect=["/a/*"], keys=KEYS, cookie=CookiePolicy(name="sid"))

        assert make() == make()
        assert hash(make()) == hash(make())
        assert len({make(), make(), config()}) == 2

    @pytest.mark.parametrize(
        "change",
        [
            {"client_id": "ios"},
            {"client_id": None},
            {"leeway": 6},
            {"protect": ["/a"]},
            {"cookie": CookiePolicy(name="sid")},
            {"keys": KEYS},
            {"issuers": "original"},
            {"regions": ["eu-central-1"]},
            {"regions": {"eu-central-1": "https://vpce-1.example"}},
            {"issuer": "https://a.example"},
            {"client_secret": "s3cret"},
            {"client_secret": ["s3cret", "another"]},
            {"domain": "auth.example.com"},
            {"refresh_api": "InitiateAuth"},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_any_difference_makes_another_configuration(self, change: dict[str, Any]) -> None:
        assert config(**change) != config()
        assert config().replace(**change) == config(**change)

    def test_lists_tuples_and_sets_are_the_same_setting(self) -> None:
        names = ["/a", "/b", "/c", "/d"]
        assert config(protect=names) == config(protect=tuple(names)) == config(protect=set(names))
        assert config(client_id="web") == config(client_id=["web"])

    def test_a_list_that_is_changed_later_changes_nothing(self) -> None:
        paths, clients = ["/a"], ["web"]
        some = config(protect=paths, client_id=clients)
        paths.append("/b")
        clients.append("evil")
        assert (some.protect, some.user_pools[0].client_ids) == (("/a",), {"web"})

    def test_preloaded_keys_are_told_apart_by_content(self) -> None:
        again = {"keys": [dict(reversed(KEYS["keys"][0].items()))]}
        assert config(keys=KEYS) == config(keys=again)
        assert config(keys=KEYS) != config(keys={"keys": []})

    def test_a_path_of_keys_is_kept_as_one(self) -> None:
        assert config(keys="jwks.json").keys == "jwks.json"
        assert config(keys=Path("jwks.json")).keys == Path("jwks.json")

    def test_equal_configurations_share_an_engine(self) -> None:
        engine = Engine.of(config())
        assert Engine.of(config()) is engine
        assert Engine.of(config(leeway=6)) is not engine

    def test_nothing_can_be_assigned(self) -> None:
        some: Any = config()
        for value, field in ((some, "leeway"), (some.user_pools[0], "issuer")):
            with pytest.raises(FrozenInstanceError):
                setattr(value, field, None)

    def test_a_repr_shows_no_key_set(self) -> None:
        assert "AQAB" not in repr(config(keys=KEYS))


class TestReplace:
    def test_what_is_not_named_stays(self) -> None:
        some = config(keys=KEYS, client_id=["a", "b"], origins=["https://a.example"])
        assert some.replace(leeway=1).replace(leeway=5.0) == some
        other = config(client_secret="s3cret", domain="auth.example.com", refresh_api="oauth")
        assert other.replace(leeway=1).replace(leeway=5.0) == other

    def test_several_pools_stay(self) -> None:
        some = AmplifyConfig(pools=[user_pool(), user_pool(user_pool_id="eu-west-1_Other")])
        assert some.replace(leeway=1).user_pools == some.user_pools

    def test_another_pool_has_other_addresses(self) -> None:
        some = config().replace(user_pool_id="us-east-1_Other")
        assert (
            some.user_pools[0].iss == "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Other"
        )

    def test_it_checks_again(self) -> None:
        with pytest.raises(ConfigurationError, match=r"^leeway: "):
            config().replace(leeway=61)

    @pytest.mark.parametrize("field", ["protected", "user_pools", "cookies"])
    def test_an_unknown_field_is_named(self, field: str) -> None:
        with pytest.raises(ConfigurationError, match=f"no field '{field}'"):
            config().replace(**{field: None})

    @pytest.mark.parametrize(
        ("mistyped", "meant"),
        [("protected", "protect"), ("cookies", "cookie"), ("loginUrl", "login_url")],
    )
    def test_the_nearest_field_is_suggested(self, mistyped: str, meant: str) -> None:
        with pytest.raises(ConfigurationError, match=f"write '{meant}'"):
            config().replace(**{mistyped: None})


class Counting:
    """Telemetry that counts events."""

    def __init__(self) -> None:
        self.events = 0

    def on_event(self, event: Event) -> None:
        self.events += 1


OTHERS: dict[str, Any] = {  # another value of each option
    "user_pool_id": "eu-west-1_Other",
    "client_id": "ios",
    "endpoint_url": "https://a.example",
    "issuers": "updated",
    "regions": ["eu-central-1"],
    "issuer": "https://a.example",
    "keys": KEYS,
    "client_secret": "s3cret",
    "bearer": True,
    "handover_keys": ["A" * 43],
    "audience": ("https://orders.example.com",),
    "resource_metadata": {"scopes_supported": ["openid"]},
    "domain": "other.example.com",
    "refresh_api": "InitiateAuth",
    "allow_insecure_http": True,
    "pools": [user_pool(user_pool_id="eu-west-1_Other")],
    "cookie": CookiePolicy(name="sid"),
    "session": AmplifyCookies(),
    "leeway": 6,
    "protect": ["/a"],
    "public": ["/a"],
    "ignore": ["/a"],
    "mount": "/prod",
    "login_url": "/login",
    "routes": AuthRoutes(origin="https://app.example.com", keys=["A" * 43]),
    "csrf": None,
    "csrf_exempt": ["/a"],
    "origins": ["https://a.example"],
    "preflight": "app",
    "cache_control": "private",
    "attributes_ttl": 61,
    "http_timeout": 6,
    "proxy": "http://proxy:3128",
    "on_event": print,
    "client_address": "X-Forwarded-For",
    "trusted_proxies": 2,
    "telemetry": Counting(),
    "debug_headers": True,
    "pages": {401: "<p>$title</p>"},
    "cache_entries": 9,
    "cache_bytes": 9,
}
OF_AN_APP = {  # options that configurations of one core may differ in
    *("protect", "public", "ignore", "mount", "login_url", "routes", "csrf", "csrf_exempt"),
    *("bearer", "handover_keys", "origins", "preflight", "cache_control", "on_event", "pages"),
    *("client_address", "trusted_proxies", "telemetry", "debug_headers"),
    "resource_metadata",
}


class TestCore:
    """The part that decides what a process verifies, fetches and remembers: it is shared."""

    def test_every_option_is_known_to_belong_to_it_or_not(self) -> None:
        assert {field.name for field in fields(AmplifyConfig)} == OTHERS.keys() > OF_AN_APP

    @pytest.mark.parametrize("option", OTHERS)
    def test_options_of_an_app_share_it_and_the_others_do_not(self, option: str) -> None:
        needed: dict[str, dict[str, Any]] = {
            "public": {"protect": ["/*"]},
            "resource_metadata": {"bearer": True, "audience": "https://orders.example.com"},
        }
        around = needed.get(option, {})
        around = {"domain": "auth.example.com", **around}
        one = AmplifyConfig(pools=[user_pool()]) if option == "pools" else config(**around)
        value = LocalUserPool().jwks() if option == "keys" else OTHERS[option]
        other = one.replace(**{option: value})
        assert (one.core == other.core) is (option in OF_AN_APP)
        engines = Engine.of(one), Engine.of(other)
        assert engines[0] is not engines[1]
        verifiers = {id(engine.authenticator.verifier) for engine in engines}
        assert (len(verifiers) == 1) is (option in OF_AN_APP)

    def test_only_the_name_of_a_cookie_belongs_to_it(self) -> None:
        other = config(cookie=CookiePolicy(same_site="Lax", max_age=60))
        assert other.core == config().core
