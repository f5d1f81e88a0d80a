"""The models that ship with falbench, one a file."""
