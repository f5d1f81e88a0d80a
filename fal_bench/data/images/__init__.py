"""Image data sets: published ones, and anyone's own; prepared once, then mapped into memory."""
