"""The user pool: requests out, responses in (`api`), and its users' `attributes`."""
