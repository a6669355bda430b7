"""Other libraries, one a file, each imported by whoever uses it only."""
