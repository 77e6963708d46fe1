"""Which roles shape training data; the task's constraints hold for these."""

from searchtrain.config.config import Config

TREE_ROLES = ("planner", "browser", "writer", "solver", "verifier")


def list_writers(config: Config) -> dict[str, str]:
    """The roles that shape training data, and the setting that makes each of them do so."""
    writers = {"teacher": "the teacher's role"}
    if config.refine.enabled:
        writers["refiner"] = "refine.enabled"
    if config.shortcuts.enabled:
        writers["judge"] = "shortcuts.enabled"
    if config.curate.answers.judge:
        writers["judge"] = "curate.answers.judge"
    if config.trees.enabled:
        writers |= dict.fromkeys(TREE_ROLES, "trees.enabled")
    return writers


def find_only(config: Config, role: str) -> str:
    """The one model that may answer for a role, by the task; empty: any."""
    return (config.task.teacher or "") if role in list_writers(config) else ""
