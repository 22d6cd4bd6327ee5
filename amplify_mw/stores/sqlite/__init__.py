"""Sessions in an SQLite file, for one machine."""

from .store import SQLiteStore as SQLiteStore
