"""What a run will take, what it took, and how the submissions compare.

Inputs: the config, data.train, data.dev, data.test; test.json; the folders of task.submissions.
Outputs: plan.json, plan.md; hours.json, hours.md; submissions.json, submissions.md.
"""


rule plan:
    input:
        train=config["data"]["train"],
        dev=config["data"]["dev"],
        test=config["data"]["test"],
    output:
        plan="<results>/plan.json",
        text="<results>/plan.md",
    log:
        "<logs>/plan.log",
    benchmark:
        "<benchmarks>/plan.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        config=PLANNED,
        results=subpath(output.plan, parent=True),
        code=code("plan"),
    shell:
        "exec python scripts/plan.py"
        " --config {params.config:q}"
        " --results {params.results:q}"
        " --out {output.plan:q}"
        " --text {output.text:q}"
        " --log {log:q}"


rule hours:
    input:
        plan="<results>/plan.json",
        test="<results>/test.json",
    output:
        hours="<results>/hours.json",
        text="<results>/hours.md",
    log:
        "<logs>/hours.log",
    benchmark:
        "<benchmarks>/hours.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        folder=BENCHMARKS_FOLDER,
        code=code("hours"),
    shell:
        "exec python scripts/hours.py"
        " --plan {input.plan:q}"
        " --timings {params.folder:q}"
        " --out {output.hours:q}"
        " --text {output.text:q}"
        " --log {log:q}"


rule submissions:
    input:
        built_submissions,
    output:
        submissions="<results>/submissions.json",
        text="<results>/submissions.md",
    log:
        "<logs>/submissions.log",
    benchmark:
        "<benchmarks>/submissions.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        folders=settings(**TASK["submissions"]),
        commands=submission_commands,
        code=code("submissions"),
    shell:
        "exec python scripts/submissions.py"
        " --folders {params.folders:q}"
        " --commands {params.commands:q}"
        " --out {output.submissions:q}"
        " --text {output.text:q}"
        " --log {log:q}"
