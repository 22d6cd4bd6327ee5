"""What the cookie means: verdicts (`base`), and the kinds of session that reach them."""
