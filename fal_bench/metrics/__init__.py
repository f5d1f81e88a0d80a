"""The metrics that ship with falbench; a new one is one decorated function in a file here."""
