"""The functions without arguments: the user, the session, the devices, guards."""
