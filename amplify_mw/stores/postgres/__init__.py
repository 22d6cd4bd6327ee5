"""Sessions in PostgreSQL, for many processes and machines."""

from .store import PostgresStore as PostgresStore
