"""Whether a task is worth its minutes: what it measures, how exactly, and what to change."""
