"""What strategies compute with: scores of uncertainty, distances, clusters, covers.

What several selection strategies share. Memory is linear in the number of points everywhere:
distances are computed in blocks. All of it is NumPy; k-means and neighbours are scikit-learn's.
"""
