"""Built-in aggregations, one file each: what clients add to their steps, what the server does."""
