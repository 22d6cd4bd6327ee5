"""`SignedInClients`: the test clients of frameworks, signed in through an app's own middleware."""
