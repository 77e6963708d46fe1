"""Reinforcement learning of the student: GRPO over the rollouts of `agent`.

Only `trainer` and `colocated` need TRL's environment (requirements-trl.txt); the rest runs in
both. Invariant: a rollout is trained on the token ids that the model read and wrote.
"""
