"""The trainers that ship with falbench, one a file."""
