"""The page "Many machines": its rights are enough on a real cluster, and its log lines are ours."""

import hashlib
import re
import time
from pathlib import Path
from typing import Any

import pytest

from amplify_mw.sessions.record import Record
from amplify_mw.stores import RedisStore
from amplify_mw.stores.base import StoreUnavailable
from tests.docs.pages import DOCS, PAGES
from tests.valkey import Node, ValkeyCluster
from tests.valkey import own_valkey_cluster as own_valkey_cluster

PAGE = PAGES["many-machines"]
LINES = [line.split() for line in PAGE.splitlines() if line.startswith("ACL SETUSER")]
LEAST, IN_CLUSTER, LOCAL = (
    [word for word in line[3:] if word not in ("on", ">a-secret")] for line in LINES
)
MORE = {
    row[1]: row[2].replace("\\", "").split()
    for row in re.finditer(r"^\| ([^|]+?) \| `(\+[^`]+)` \|$", PAGE, re.MULTILINE)
}
LOCAL_IN_CLUSTER = IN_CLUSTER[-1:]  # "the last one for `local_cache`"
CLUSTER = [*LEAST, *IN_CLUSTER[:-1]]
KEYS = [hashlib.sha256(bytes([number])).digest() for number in range(12)]


def store_of(cluster: ValkeyCluster, rights: list[str], **options: Any) -> RedisStore:
    """A store of a user with these rights on each node."""
    for node in cluster.nodes:
        assert isinstance(node, Node)
        node.do("ACL", "SETUSER", "web", "reset", "on", ">a-secret", *rights)
    url = cluster.url.replace("//", "//web:a-secret@")
    return RedisStore(url, cluster=True, timeout=60, **options)


def live(store: RedisStore) -> None:
    """The lives of some sessions, on several nodes."""
    record = Record(b"sealed", 1, time.time() + 3600, "ada")
    for key in KEYS:
        assert store.create(key, record)
        fence, found = store.acquire_and_load(key, 60)
        assert fence is not None
        assert found == record
        assert store.reload(key, found) is found
        assert store.renew(key, fence, 60)
        assert store.replace_and_release(key, record, fence)
    assert len(store.of_user("ada")) == len(KEYS)
    assert store.end(KEYS[0]) == record
    assert store.end(KEYS[1], True) == record
    assert store.delete(KEYS[2])
    assert sorted(store.end_of_user("ada")) == sorted(KEYS[3:])
    store.close()


@pytest.mark.parametrize(
    ("rights", "options"),
    [
        (CLUSTER, {}),
        ([*CLUSTER, *MORE["`replicas=`"]], {"replicas": 1}),
        ([*CLUSTER, *LOCAL_IN_CLUSTER, *LOCAL], {"local_cache": 30}),
    ],
    ids=["least", "replicas", "local cache"],
)
def test_the_rights_are_enough_on_a_cluster(
    own_valkey_cluster: ValkeyCluster, rights: list[str], options: dict[str, Any]
) -> None:
    live(store_of(own_valkey_cluster, rights, **options))


def test_what_a_cluster_needs_more_is_missed_by_its_name(own_valkey_cluster: ValkeyCluster) -> None:
    with pytest.raises(StoreUnavailable, match=r"cluster\|slots"):
        live(store_of(own_valkey_cluster, LEAST))


def test_replicas_need_their_right(own_valkey_cluster: ValkeyCluster) -> None:
    with pytest.raises(StoreUnavailable, match="wait"):
        live(store_of(own_valkey_cluster, CLUSTER, replicas=1))


def test_what_the_log_is_said_to_say_is_what_we_say() -> None:
    """By the sentences that the stores' errors are made of."""
    stores = DOCS.parent / "amplify_mw" / "stores"
    ours = " ".join(
        Path(path).read_text().replace("\n", " ") for path in sorted(stores.glob("*/errors.py"))
    )
    table = PAGE.partition("| fault |")[2].partition("\n\n")[0]
    cells = [line.split(" | ")[2] for line in table.splitlines()[2:]]
    said = [phrase for cell in cells for phrase in re.findall(r"`([^`]+)`", cell)]
    unknown = [
        part
        for phrase in said
        for part in phrase.removesuffix(" write ...").split(": ")
        if part.rstrip(":") not in ours and not part.endswith("Error")
    ]

    assert len(said) > 8
    assert unknown == []
