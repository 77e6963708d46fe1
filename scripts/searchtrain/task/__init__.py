"""The search-augmented task: constraints, plan, budget, submissions."""
