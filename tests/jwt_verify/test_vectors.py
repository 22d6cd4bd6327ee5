"""aws-jwt-verify's recorded answers, and ours to the same tokens: no Node is needed.

`test_oracle` holds that the package still answers so.
"""

from collections import Counter
from itertools import chain
from typing import Any

import botocore.session
import pytest
from botocore.loaders import create_loader

from amplify_mw import UserPool
from tests.jwt_verify.cases import CASES, HOSTS, REGIONS, SETTINGS
from tests.jwt_verify.differences import DIFFERENCES, NAMES, OURS
from tests.jwt_verify.keys import Public
from tests.jwt_verify.ours import Ours
from tests.jwt_verify.record import VECTORS, recorded, written

RECORDED = recorded()
KEYS = Public(RECORDED["keys"])
BY_ID = {vector["id"]: vector for vector in RECORDED["vectors"]}


@pytest.fixture(scope="module")
def ours() -> Ours:
    return Ours(KEYS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_we_answer_as_aws_jwt_verify_did_or_differ_as_we_mean_to(case: Any, ours: Ours) -> None:
    vector = BY_ID[case.id]
    theirs, answer = vector["answer"], ours.answer(case.setting, vector["token"])
    if case.id in OURS:
        assert ("error" in theirs) is not ("error" in answer)
        assert answer.get("error", answer.get("name")) == OURS[case.id]
    elif "error" in theirs and SETTINGS[case.setting].options:
        assert "error" in answer  # the other was asked without them: it may name another flaw
    elif "error" in theirs:
        assert answer["error"] in NAMES[theirs["error"]]
    else:
        assert answer == theirs


def test_every_case_has_its_vector_and_still_says_the_same() -> None:
    assert list(BY_ID) == [case.id for case in CASES]
    for case in CASES:
        said, was = (jwt.split(".")[:2] for jwt in (case.make(KEYS), BY_ID[case.id]["token"]))
        assert said == was, case.id


def test_there_are_cases_enough_good_and_bad_of_both_issuers() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 800
    for kind in HOSTS:
        own = [vector for name, vector in BY_ID.items() if name.startswith(f"{kind}, ")]
        verdicts = Counter("error" in vector["answer"] for vector in own)
        assert len(own) == len(CASES) / 2
        assert min(verdicts[True], verdicts[False]) >= 100


def test_every_difference_has_cases_and_a_reason() -> None:
    assert OURS.keys() <= BY_ID.keys()
    for difference in chain.from_iterable(DIFFERENCES.values()):
        assert difference.cases
        assert len(difference.reason.split()) >= 8


def test_no_private_key_is_in_the_file() -> None:
    members = {member for jwk in RECORDED["keys"].values() for member in jwk}
    assert members == {"alg", "kid", "kty", "use", "n", "e"}


def test_the_file_is_as_the_command_writes_it() -> None:
    assert VECTORS.read_text() == written(RECORDED)


def test_our_host_of_every_region_is_botocores() -> None:
    session = botocore.session.get_session()
    partitions = create_loader().load_data("partitions")["partitions"]
    suffixes = {each["id"]: each["outputs"]["dnsSuffix"] for each in partitions}
    listed = [session.get_available_regions("cognito-idp", partition) for partition in suffixes]
    for region in {*REGIONS, *chain.from_iterable(listed)}:
        suffix = suffixes[session.get_partition_for_region(region)]
        made = UserPool(user_pool_id=f"{region}_Ab12Cd34E", client_id="web")
        assert made.api_url == f"https://cognito-idp.{region}.{suffix}/"
