"""The story of one question, rollout, record, tree or answer, and of a rollout as it happens."""
