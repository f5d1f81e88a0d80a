"""Publishing results with all that is needed to compute them anew, and verifying that."""
