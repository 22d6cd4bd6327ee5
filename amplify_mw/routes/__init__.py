"""Sign-in routes of the middleware's own: to the pool's sign-in page, and back."""
