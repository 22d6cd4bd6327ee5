"""What an app calls in a request, without handing it over: user, session, devices, guards."""
