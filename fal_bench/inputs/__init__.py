"""What users write: selectors, parameters and arguments, and what is wrong with them."""
