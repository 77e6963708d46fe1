"""Snakemake's logger plugin `searchtrain` (`searchtrain.workflow.live`), found by its name."""

from searchtrain.workflow.live import LogHandler

__all__ = ["LogHandler"]
