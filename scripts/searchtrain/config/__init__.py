"""The typed settings: the only source of names, types, ranges, defaults and descriptions."""
