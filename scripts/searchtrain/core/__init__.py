"""Errors, files, the command line, text tables: no word of the domain."""
