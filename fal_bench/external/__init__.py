"""Learning curves measured elsewhere: by another code base, or on another machine."""
