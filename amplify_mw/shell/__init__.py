"""What the two middlewares share."""
