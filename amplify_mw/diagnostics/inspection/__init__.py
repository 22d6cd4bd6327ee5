"""`amplify-mw inspect`: a credential is recognised, explained, judged and printed."""
