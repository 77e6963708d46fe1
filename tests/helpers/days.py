"""Simulated days of the task: the clock is the test's, everything else is what a run uses.

A stage takes as long as its allowance leaves of it, at the machine's true speed.
"""

from pathlib import Path

import yaml

from searchtrain.agent.pace import Pace
from searchtrain.config import read_config
from searchtrain.config.section import merge_values
from searchtrain.task.allowance import Spent, make_allowance
from searchtrain.task.amounts import count_kept
from searchtrain.task.plan import make_plan

ROOT = Path(__file__).parents[2]
FILES = ("config/presets/search_sft.yaml", "config/scale/h200x8.yaml")


def read_day(**changes):
    """The config of a day on the machine of the scale file."""
    values = {}
    for file in FILES:
        values = merge_values(values, yaml.safe_load((ROOT / file).read_text()))
    return read_config(merge_values(values, changes))


class Day:
    """A simulated run: `slow_from` hours on, the machine needs `slowness` hours for one."""

    def __init__(self, config, counts, slow_from=0.0, slowness=1.0):
        self.config, self.counts = config, dict(counts)
        self.slow_from, self.slowness = slow_from, slowness
        self.hours, self.spent, self.said, self.left_out = 0.0, {}, {}, []

    def work(self, planned):
        """Hours that work takes which is planned to take so many."""
        quick = min(planned, max(0.0, self.slow_from - self.hours))
        return quick + (planned - quick) * self.slowness

    def run(self):
        counts = dict(self.counts)
        for stage in make_plan(self.config, self.counts)["stages"]:
            if stage["beside"]:
                continue
            name = stage["name"]
            dropped = [each.split("/")[1] for each in self.left_out if each.endswith("checkpoint")]
            allowed = make_allowance(
                self.config, counts, name, 0.0, self.hours * 3600, self.spent, dropped
            )
            self.said[name] = allowed.said
            planned = allowed.stage_hours
            before = self.hours
            if name == "trajectories":
                planned = self.roll_out(stage["parts"], allowed.deadline)
                counts["kept"] = count_kept(self.config, self.counts)
            else:
                self.hours += self.work(planned)
            self.left_out += [name] * (planned == 0)
            self.spent[name] = Spent(stage["kind"], planned, self.hours - before)
        return self

    def roll_out(self, parts, deadline):
        """Questions one after the other, each with its later waves behind its first; returns the
        hours planned of what was done."""
        units = 500
        first = parts["first"]["hours"] / units
        later = (parts["more"]["hours"] + parts["hinted"]["hours"]) / units
        pace = Pace(units, deadline, lambda: self.hours * 3600)
        done = 0.0
        for _ in range(units):
            self.hours += self.work(first)
            pace.count(first=True)
            done += first
            if pace.allows():
                self.hours += self.work(later)
                done += later
            elif "rollouts" not in self.left_out:
                self.left_out.append("rollouts")
        return done
