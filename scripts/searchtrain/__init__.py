"""SearchTrain: from a file of questions to a model that answers them by searching.

A room imports those below it (`[tool.importlinter]` in pyproject.toml); only `workflow` knows
Snakemake.
"""
