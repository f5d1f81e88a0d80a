"""Files to start from: a plugin and its test, written by ``falbench new``."""
