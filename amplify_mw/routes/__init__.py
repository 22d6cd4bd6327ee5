"""Sign-in routes that the middleware serves itself: hosted sign-in, and the way back."""
