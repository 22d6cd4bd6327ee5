"""Explaining a credential, and examining a configuration: `amplify-mw inspect` and `doctor`."""
