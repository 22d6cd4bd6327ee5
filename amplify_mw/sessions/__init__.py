"""Sessions: verdicts on a credential (`verdicts`), and the kinds of session behind it (`base`)."""
