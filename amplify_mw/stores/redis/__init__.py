"""Sessions in Redis or Valkey, for several machines."""

from .store import RedisStore as RedisStore
