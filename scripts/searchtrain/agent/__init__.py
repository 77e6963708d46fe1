"""The turn grammar, one rollout and its limits, the refiner, shards."""
