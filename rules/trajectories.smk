"""The teacher's rollouts over the questions.

Inputs: questions.parquet, prompts/agent_teacher.jinja, prompts/refine.jinja.
Outputs: trajectories.parquet, trajectories_report.json; of several shards, each a job with servers
of its own, trajectories/<shard>.parquet and trajectories/<shard>_report.json.
"""

SHARDS = config["trajectories"]["shards"]
PLACE = "trajectories/{shard}" if SHARDS > 1 else "trajectories"

ADAPTIVE = config["trajectories"]["accepted"] and {
    "accepted": config["trajectories"]["accepted"],
    "rules": config["curate"]["rules"],
    "code": code("searchtrain/curation/choice"),
}


wildcard_constraints:
    shard=r"[1-9]\d*",


rule trajectories:
    input:
        questions="<results>/questions.parquet",
        prompt=prompt("agent_teacher"),
        included=included("agent_teacher"),
        refine_prompt=prompt("refine") if REFINER else [],
        model=[],
        teacher=shard_service("teacher"),
        search=shard_service(SEARCH),
        refiner=shard_service("refiner") if REFINER else [],
    output:
        trajectories=f"<results>/{PLACE}.parquet",
        report=f"<results>/{PLACE}_report.json",
    log:
        f"<logs>/{PLACE}.log",
    benchmark:
        f"<benchmarks>/{PLACE}.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
        shard=["--shard", f"{{shard}}/{SHARDS}"] if SHARDS > 1 else [],
        model=option("--model", "model"),
        teacher=address("teacher"),
        search=address(SEARCH, "search"),
        refiner=refiner_options,
        cache=config["cache"],
        config=settings(
            rollouts=config["trajectories"]["rollouts"],
            questions=None,
            seed=config["trajectories"]["seed"],
            max_failed_share=config["trajectories"]["max_failed_share"],
            limits=config["trajectories"]["limits"],
            adaptive=ADAPTIVE,
            teacher=identity("teacher", config["trajectories"]["sampling"]),
            **searching(),
            **refining(),
        ),
        runtime=runtime("teacher", SEARCH, *REFINER),
        budget=within_budget("trajectories"),
        code=code("trajectories"),
    shell:
        "{params.budget}exec python scripts/trajectories.py"
        " --questions {input.questions:q}"
        " --prompt {input.prompt:q}"
        " --teacher {params.teacher:q}"
        " {params.model:q}"
        " {params.shard:q}"
        " --search {params.search:q}"
        " {params.refiner:q}"
        " --cache {params.cache:q}"
        " --out {output.trajectories:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --runtime {params.runtime:q}"
        " --log {log:q}"


if SHARDS > 1:

    include: "shards.smk"
