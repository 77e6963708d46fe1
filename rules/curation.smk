"""Keep the rollouts that are good enough to learn from and write them for LLaMA-Factory.

Inputs: trajectories.parquet, prompts/agent.jinja, mix.file; with trees questions.parquet, with
rejection sampling prompts/judge_trajectory.jinja.
Outputs: curated.parquet, curation.parquet (the funnel), sft_dataset.json, dataset_info.json,
sft_report.json; with rejection sampling shortcuts.parquet, shortcuts_report.json; on demand
defects.json.
"""

REJECTING = config["shortcuts"]["enabled"]


rule shortcuts:
    input:
        trajectories="<results>/trajectories.parquet",
        questions="<results>/questions.parquet",
        prompt=prompt("judge_trajectory"),
        included=included("judge_trajectory"),
        judge=service_of("shortcuts", "judge") if REJECTING else [],
    output:
        shortcuts="<results>/shortcuts.parquet",
        report="<results>/shortcuts_report.json",
    log:
        "<logs>/shortcuts.log",
    benchmark:
        "<benchmarks>/shortcuts.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
        judge=address("judge"),
        cache=config["cache"],
        config=settings(
            **split_sampling(config["shortcuts"]),
            judge=identity("judge", config["shortcuts"]["sampling"]),
        ),
        runtime=runtime("judge"),
        code=code("shortcuts"),
    shell:
        "exec python scripts/shortcuts.py"
        " --trajectories {input.trajectories:q}"
        " --questions {input.questions:q}"
        " --prompt {input.prompt:q}"
        " --judge {params.judge:q}"
        " --cache {params.cache:q}"
        " --out {output.shortcuts:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --runtime {params.runtime:q}"
        " --log {log:q}"


rule curate:
    input:
        trajectories="<results>/trajectories.parquet",
        questions="<results>/questions.parquet" if TREES else [],
        shortcuts="<results>/shortcuts.parquet" if REJECTING else [],
    output:
        curated="<results>/curated.parquet",
        verdicts="<results>/curation.parquet",
    log:
        "<logs>/curate.log",
    benchmark:
        "<benchmarks>/curate.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 2
    params:
        questions=option("--questions", "questions"),
        shortcuts=option("--shortcuts", "shortcuts"),
        may_be_empty=[],
        config=settings(**config["curate"]),
        code=code("curate"),
    shell:
        "exec python scripts/curate.py"
        " --trajectories {input.trajectories:q}"
        " {params.questions:q}"
        " {params.shortcuts:q}"
        " {params.may_be_empty:q}"
        " --out {output.curated:q}"
        " --verdicts {output.verdicts:q}"
        " --workers {threads}"
        " --config {params.config:q}"
        " --log {log:q}"


rule sft_dataset:
    input:
        curated="<results>/curated.parquet",
        prompt=prompt("agent"),
        included=included("agent"),
        mix=config["mix"]["file"] or [],
        questions="<results>/questions.parquet" if TRACED else [],
    output:
        dataset="<results>/sft_dataset.json",
        info="<results>/dataset_info.json",
        report="<results>/sft_report.json",
    log:
        "<logs>/sft_dataset.log",
    benchmark:
        "<benchmarks>/sft_dataset.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        mix=option("--mix", "mix"),
        task=task_options,
        config=settings(
            limits=describe_limits(Limits(**config["predict"]["limits"])),
            **({"mix": config["mix"]} if config["mix"]["file"] else {}),
        ),
        code=code("sft_dataset"),
    shell:
        "exec python scripts/sft_dataset.py"
        " --curated {input.curated:q}"
        " --prompt {input.prompt:q}"
        " --out {output.dataset:q}"
        " --info {output.info:q}"
        " --report {output.report:q}"
        " {params.mix:q}"
        " {params.task:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule defects:
    input:
        trajectories="<results>/trajectories.parquet",
        verdicts="<results>/curation.parquet",
    output:
        "<results>/defects.json",
    log:
        "<logs>/defects.log",
    benchmark:
        "<benchmarks>/defects.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        config=settings(rates=config["models"]["teacher"]["scripted"]),
        code=code("defects"),
    shell:
        "exec python scripts/defects.py"
        " --trajectories {input.trajectories:q}"
        " --verdicts {input.verdicts:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"
