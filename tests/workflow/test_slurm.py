"""The small build on a real Slurm: one node on this machine, with two GPUs that are none.

A shard dies in the middle as on a node that dies; the next run goes on where it stood. Needs root
and apt (Debian's slurm-wlm and munge), which machines for development may lack.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from helpers.checkout import SMALL, TARGET, copy_repository
from helpers.processes import find_processes, wait_until
from searchtrain.agent.shards import take_shard
from searchtrain.core.files import read_json
from searchtrain.data import schemas

LEDGER = "out/cache/scripted_teacher.ledger"
OVERLAY = "tests/workflow/small_slurm.yaml"
STOP_S = 60


class Cluster:
    """A controller and a node in a folder of their own, on ports of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: list[subprocess.Popen] = []
        self.builds: list[subprocess.Popen] = []
        self.conf = folder / "slurm.conf"
        for name in ("state", "spool", "bin"):
            (folder / name).mkdir()
        host, key = socket.gethostname(), folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.munge = [
            "munged", "--foreground", f"--key-file={key}", f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munge.seed",
        ]  # fmt: skip
        controller, node = find_ports(2)
        # More cores and memory than there are: the profile asks for what a real build needs.
        self.conf.write_text(f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MailProg=/bin/true
MinJobAge=3600
KillWait=2
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=1000000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
""")
        (folder / "gres.conf").write_text(
            "AutoDetect=off\n"
            f"NodeName={host} Name=gpu File=/dev/null\n"
            f"NodeName={host} Name=gpu File=/dev/zero\n"
        )
        # Snakemake's step executor takes SLURM_CONF out of srun's environment.
        srun = folder / "bin/srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.conf} exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)

    def start(self) -> None:
        """Start the daemons; returns once the node takes jobs."""
        for command in (self.munge, ["slurmctld", "-D"], ["slurmd", "-D"]):
            with (self.folder / f"{command[0]}.out").open("w") as out:
                self.daemons.append(
                    subprocess.Popen(
                        command, env=self.environment(), stdout=out, stderr=subprocess.STDOUT
                    )
                )
            if command is self.munge:
                self.wait_for(lambda: (self.folder / "munge.socket").exists())
        self.wait_for(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%t"))

    def wait_for(self, condition) -> None:
        """Wait until the daemons have done something, or show what they say."""
        try:
            wait_until(condition, seconds=120)
        except AssertionError:
            said = {file.name: file.read_text()[-1000:] for file in self.folder.glob("*.out")}
            pytest.fail(f"Slurm does not start: {said}")

    def stop(self) -> None:
        """End builds, jobs and daemons."""
        for run in self.builds:
            run.kill()
            run.wait()
        self.ask("scancel", "--user=root")
        try:
            self.wait_for(lambda: not self.ask("squeue", "--noheader").strip())
        finally:
            for daemon in reversed(self.daemons):
                daemon.terminate()
                daemon.wait(timeout=STOP_S)

    def environment(self) -> dict[str, str]:
        """The environment in which Slurm's commands find this cluster."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "SLURM_CONF": str(self.conf)}

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints."""
        return subprocess.run(
            command, env=self.environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ).stdout  # fmt: skip

    def list_jobs(self) -> list[dict[str, str]]:
        """Every job so far, with the fields of `scontrol show job`."""
        lines = self.ask("scontrol", "--details", "--oneliner", "show", "job").splitlines()
        return [dict(re.findall(r"([\w:/]+)=(\S*)", line)) for line in lines]

    def count_gpus(self, rule: str) -> set[int]:
        """How many GPUs the jobs of a rule had, alone or with its servers in one group."""
        # The folder of a job's log names its rule, or all rules of its group.
        named = re.compile(rf"_{rule}(_|$)")
        jobs = [job for job in self.list_jobs() if named.search(Path(job["StdOut"]).parent.name)]
        return {int(job["JOB_GRES"].removeprefix("gpu:").replace("(null)", "0")) for job in jobs}


@pytest.fixture(scope="module")
def cluster():
    if not shutil.which("slurmctld"):
        if os.name != "posix" or os.getuid() != 0 or not shutil.which("apt-get"):
            pytest.skip("Slurm is not here, and to install it takes root and apt")
        install = ["apt-get", "install", "--yes", "--no-install-recommends", "slurm-wlm", "munge"]
        for command in (["apt-get", "update"], install):
            ended = subprocess.run(
                command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            if ended.returncode:
                pytest.skip(f"Slurm cannot be installed: {ended.stdout.strip()[-300:]}")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        Path(folder).chmod(0o755)  # munge wants its socket to be reached by everybody
        cluster = Cluster(Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return copy_repository(tmp_path_factory.mktemp("nodes"))


def build(cluster, checkout, target):
    """Start a build whose jobs Slurm runs; its output goes to `run.txt`."""
    environment = {**checkout.environment(), "SLURM_CONF": str(cluster.conf)}
    environment["PATH"] = f"{cluster.folder / 'bin'}{os.pathsep}{environment['PATH']}"
    with (checkout.path / "run.txt").open("w") as out:
        run = subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", target),
                *("--workflow-profile", "profiles/slurm", "--configfile", SMALL, OVERLAY),
                # Only to be quick: short stages go together, and Slurm is asked often.
                *("--groups", "corpus=index", "index=index", "sample=sample", "questions=sample"),
                *("shards=export", "curate=export", "sft_dataset=export"),
                *("--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10"),
            ],
            cwd=checkout.path, env=environment, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    cluster.builds.append(run)
    return run


def test_a_shard_that_dies_with_its_node_costs_nothing_but_itself(cluster, checkout):
    """Snakemake says so, the other shard's result stays."""
    run = build(cluster, checkout, "out/results/trajectories.parquet")
    log = checkout.path / "out/cache/trajectories-1-of-2.sqlite-wal"
    wait_until(lambda: run.poll() is not None or size(log) > 40_000, seconds=900)
    assert run.poll() is None, (checkout.path / "run.txt").read_text()[-4000:]
    for process in find_job(1):
        process.kill()
    assert run.wait(timeout=600) == 1
    output = (checkout.path / "run.txt").read_text()
    assert "Error in group" in output and "Error in rule trajectories:" in output, output[-4000:]
    assert "out/logs/trajectories/1.log (check log file(s)" in output
    assert "the same command goes on" in output
    results = checkout.path / "out/results"
    assert (results / "trajectories/2.parquet").exists()
    assert not (results / "trajectories/1.parquet").exists()
    assert not (results / "trajectories.parquet").exists()
    wait_until(lambda: not find_processes(checkout.path))


def test_the_next_run_goes_on_and_builds_everything(cluster, checkout):
    kept = (checkout.path / "out/results/trajectories/2.parquet").stat().st_mtime_ns
    paid = (checkout.path / LEDGER).read_text().splitlines()
    run = build(cluster, checkout, TARGET)
    assert run.wait(timeout=1500) == 0, (checkout.path / "run.txt").read_text()[-6000:]
    results = checkout.path / "out/results"
    assert (results / "trajectories/2.parquet").stat().st_mtime_ns == kept
    ledger = (checkout.path / LEDGER).read_text().splitlines()
    assert len(ledger) > len(paid), "the shard had ended before it was killed"
    # One at most: with concurrency 1 so many are on their way to a process that is killed.
    assert len(ledger) - len(set(ledger)) <= 1, "an answer was paid for twice"
    questions = schemas.read_table(results / "questions.parquet", schemas.Questions)
    rows = schemas.read_table(results / "trajectories.parquet", schemas.Trajectories)
    assert rows["question_id"].to_list() == questions["id"].to_list()
    shard = schemas.read_table(results / "trajectories/1.parquet", schemas.Trajectories)
    assert shard["question_id"].to_list() == take_shard(questions, 1, 2)["id"].to_list()
    asked, answers = read_json(results / "world/test.json"), read_json(results / "test.json")
    assert [row["id"] for row in answers] == [row["id"] for row in asked]
    assert checkout.left_machine() == ""
    wait_until(lambda: not find_processes(checkout.path))
    assert not list((results / ".serve").glob("*.json"))


def test_every_stage_was_a_job_and_had_the_gpus_that_it_asked_for(cluster, checkout):
    jobs = cluster.list_jobs()
    assert {job["NumNodes"] for job in jobs} == {"1"}
    for rule, count in {"tag": 1, "trajectories": 1, "checkpoint": 1, "predict": 2}.items():
        assert cluster.count_gpus(rule) == {count}, rule
    assert cluster.count_gpus("metrics") == {0}
    for stage, seen in (("predict-student", "0,1"), ("trajectories.2-teacher", None)):
        log = (checkout.path / f"out/logs/serve-{stage}.log").read_text()
        taken = re.search(r"takes GPU (\S+) of (\S+)", log)
        assert taken and taken[1] == taken[2] == (seen or taken[1])


def find_job(shard: int) -> list[psutil.Process]:
    """Every process of the Slurm job in which a shard's rollouts run now."""
    jobs: dict[str, list[psutil.Process]] = {}
    wanted = ""
    for process in psutil.process_iter():
        try:
            number, command = process.environ().get("SLURM_JOB_ID", ""), process.cmdline()
        except psutil.Error:
            continue
        jobs.setdefault(number, []).append(process)
        if f"--shard {shard} " in " ".join(command) and "scripts/trajectories.py" in command:
            wanted = number
    assert wanted, f"shard {shard} does not run"
    return jobs[wanted]


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def find_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
