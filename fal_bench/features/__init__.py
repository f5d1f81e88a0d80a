"""Frozen features: what a fixed network makes of images, computed once; a head is federated."""
