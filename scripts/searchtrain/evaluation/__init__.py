"""Scores: metrics, the judge, published benchmarks."""
