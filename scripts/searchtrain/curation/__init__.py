"""Which rollouts a student learns from: rules, rejection sampling, the choice."""
