"""The parts of the two middlewares."""
