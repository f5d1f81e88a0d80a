"""Running code that may hang, die or leave things behind."""
