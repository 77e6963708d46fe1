"""The shards' rollouts as one table, as a single job would have written it.

Inputs: questions.parquet, trajectories/<shard>.parquet, trajectories/<shard>_report.json.
Outputs: trajectories.parquet, trajectories_report.json.
"""


rule shards:
    input:
        questions="<results>/questions.parquet",
        tables=expand("<results>/trajectories/{shard}.parquet", shard=range(1, SHARDS + 1)),
        reports=expand("<results>/trajectories/{shard}_report.json", shard=range(1, SHARDS + 1)),
    output:
        trajectories="<results>/trajectories.parquet",
        report="<results>/trajectories_report.json",
    log:
        "<logs>/shards.log",
    benchmark:
        "<benchmarks>/shards.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        code=code("shards"),
    shell:
        "exec python scripts/shards.py"
        " --questions {input.questions:q}"
        " --tables {input.tables:q}"
        " --reports {input.reports:q}"
        " --out {output.trajectories:q}"
        " --report {output.report:q}"
        " --log {log:q}"
