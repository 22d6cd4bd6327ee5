"""What the stores' tests share: real servers."""

from tests.valkey import own_valkey as own_valkey
from tests.valkey import redis_url as redis_url
