"""Floor 0: errors, files, seeds. Imports nothing but the standard library."""
