"""The built-in data sets: one file and one public function each; a file with _ is a helper."""
