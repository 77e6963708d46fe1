"""What a run made in the formats of others: data sets, trajectories, logs of a viewer."""
