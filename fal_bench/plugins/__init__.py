"""Finding plugins: installed ones by entry point, others by file or folder."""
