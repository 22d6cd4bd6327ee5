"""Examining a configuration: `amplify-mw doctor`."""
