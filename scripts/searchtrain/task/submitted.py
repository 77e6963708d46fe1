"""What a submission's folder of results must hold.

A module of its own, as Snakemake reads it at each start and has no use for the comparison.
"""

FILES = ("metrics.json", "scores.parquet", "test.json", "sft_dataset.json")
