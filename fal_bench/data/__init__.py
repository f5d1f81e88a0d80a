"""Data sets, partitions over clients, and the shares of each client's data."""
