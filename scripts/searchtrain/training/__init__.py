"""Supervised fine-tuning: records, mixing, recipe, trainer, attention."""
