"""The teacher's rollouts over the questions.

Inputs: questions.parquet, prompts/agent_teacher.jinja, prompts/refine.jinja.
Outputs: trajectories.parquet, trajectories_report.json.
"""

ADAPTIVE = config["trajectories"]["accepted"] and {
    "accepted": config["trajectories"]["accepted"],
    "rules": config["curate"]["rules"],
    "code": code("searchtrain/curation"),
}


rule trajectories:
    input:
        questions="<results>/questions.parquet",
        prompt=prompt("agent_teacher"),
        included=included("agent_teacher"),
        refine_prompt=prompt("refine") if REFINER else [],
        model=[],
        teacher=service_of("trajectories", "teacher"),
        search=service_of("trajectories", SEARCH),
        refiner=refiner_of("trajectories"),
    output:
        trajectories="<results>/trajectories.parquet",
        report="<results>/trajectories_report.json",
    log:
        "<logs>/trajectories.log",
    benchmark:
        "<benchmarks>/trajectories.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
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
        " --search {params.search:q}"
        " {params.refiner:q}"
        " --cache {params.cache:q}"
        " --out {output.trajectories:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --runtime {params.runtime:q}"
        " --log {log:q}"
