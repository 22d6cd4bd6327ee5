"""The table's migrations."""
