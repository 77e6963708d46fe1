"""Keep the rollouts that are good enough to learn from and write them for LLaMA-Factory.

Inputs: trajectories.parquet, prompts/agent.jinja, mix.file.
Outputs: curated.parquet, curation.parquet (the funnel), sft_dataset.json, dataset_info.json,
sft_report.json; on demand defects.json.
"""


rule curate:
    input:
        "<results>/trajectories.parquet",
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
        config=settings(**config["curate"]),
        code=code("curate"),
    shell:
        "exec python scripts/curate.py"
        " --trajectories {input:q}"
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
