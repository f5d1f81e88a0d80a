"""Files to start from: a strategy and its test, written by ``falbench new strategy``."""
