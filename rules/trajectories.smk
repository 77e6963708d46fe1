"""Rollouts over the questions: the teacher's, and in later rounds those of the student before.

Inputs: questions.parquet, prompts/agent_teacher.jinja (agent.jinja), prompts/refine.jinja; of a
later round the student before. Outputs: trajectories.parquet, trajectories_report.json; of several
shards, each a job with servers of its own, trajectories/<shard>.parquet and
trajectories/<shard>_report.json; and yield.json, what they came to by type of question (data.types).
A later round's are in rounds/<n>/, a pilot's in pilot/, and pilot.json is what it measured.
"""

SHARDS = CONFIG.trajectories.shards
PIECE = "{round}trajectories/{shard}" if SHARDS > 1 else "{round}trajectories"


rule trajectories:
    input:
        **servers("trajectories"),
        questions="<results>/questions.parquet",
        prompt=PROJECT.agent_prompt,
        included=PROJECT.agent_included,
        model=of_round(students.find_before),
    output:
        trajectories=f"<results>/{PIECE}.parquet",
        report=f"<results>/{PIECE}_report.json",
    log:
        f"<logs>/{PIECE}.log",
    benchmark:
        f"<benchmarks>/{PIECE}.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
        **stage(
            "trajectories",
            round="round",
            shard="shard",
            model="model",
            refine_prompt="refine_prompt",
        ),
        draw=PROJECT.draw,
    shell:
        "{params.before}exec python scripts/trajectories.py"
        " --questions {input.questions:q}"
        " --prompt {input.prompt:q}"
        " {params.draw}"
        " {params.options:q}"
        " --servers {params.servers:q}"
        " --out {output.trajectories:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --log {log:q}"


if SHARDS > 1:

    rule shards:
        input:
            questions="<results>/questions.parquet",
            tables=expand(
                f"<results>/{PIECE}.parquet", shard=range(1, SHARDS + 1), allow_missing=True
            ),
            reports=expand(
                f"<results>/{PIECE}_report.json", shard=range(1, SHARDS + 1), allow_missing=True
            ),
        output:
            trajectories="<results>/{round}trajectories.parquet",
            report="<results>/{round}trajectories_report.json",
        log:
            "<logs>/{round}shards.log",
        benchmark:
            "<benchmarks>/{round}shards.tsv"
        conda:
            "../envs/workflow.yaml"
        params:
            **stage("shards"),
            draw=PROJECT.draw,
            seed=PROJECT.untracked(CONFIG.trajectories.seed),
        shell:
            "exec python scripts/shards.py"
            " --questions {input.questions:q}"
            " {params.draw}"
            " --seed {params.seed}"
            " --tables {input.tables:q}"
            " --reports {input.reports:q}"
            " --out {output.trajectories:q}"
            " --report {output.report:q}"
            " --log {log:q}"


rule yields:
    input:
        trajectories="<results>/{round}trajectories.parquet",
        types=DATA.types or [],
        corpus=OWN_CORPUS,
        own_index=OWN_INDEX,
    output:
        "<results>/{round}yield.json",
    log:
        "<logs>/{round}yields.log",
    benchmark:
        "<benchmarks>/{round}yields.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("yields", round="round", types="types", corpus="corpus", index="own_index"),
    shell:
        "exec python scripts/yields.py"
        " --trajectories {input.trajectories:q}"
        " {params.options:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule pilot:
    input:
        trajectories="<results>/pilot/trajectories.parquet",
        report="<results>/pilot/trajectories_report.json",
    output:
        "<results>/pilot.json",
    log:
        "<logs>/pilot.log",
    benchmark:
        "<benchmarks>/pilot.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("pilot"),
        timings=PROJECT.untracked(f"{PROJECT.timings}/{students.PILOT}"),
    shell:
        "exec python scripts/pilot.py"
        " --trajectories {input.trajectories:q}"
        " --report {input.report:q}"
        " --timings {params.timings:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"
