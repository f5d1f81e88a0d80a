"""Publishing results with all that is needed to compute them again, and verifying that."""
