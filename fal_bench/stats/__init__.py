"""Statistics of the budget to target: pure NumPy and SciPy, nothing of ours."""
