"""Amplify JS's own cookies, shared with a front end."""
