"""What a run will take, what it took, how the submissions compare, and its data for others.

Inputs: the config, data.train, data.dev, data.test, pilot.json where it is there; test.json; the
folders of task.submissions; trajectories.parquet, curated.parquet, curation.parquet.
Outputs: doctor.md; plan.json, plan.md, proposal.yaml; hours.json, hours.md; submissions.json,
submissions.md; export/ (of a later round rounds/<n>/export/).
"""


rule doctor:
    output:
        "<results>/doctor.md",
    log:
        "<logs>/doctor.log",
    benchmark:
        "<benchmarks>/doctor.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("doctor"),
        asked=PROJECT.list_doctor_arguments(),
    shell:
        "exec python scripts/doctor.py {params.asked:q} --out {output:q} --log {log:q}"


rule plan:
    input:
        train=DATA.train,
        dev=DATA.dev,
        test=DATA.test,
        pilot=PROJECT.list_measured(),
    output:
        plan="<results>/plan.json",
        text="<results>/plan.md",
        proposal="<results>/proposal.yaml",
    log:
        "<logs>/plan.log",
    benchmark:
        "<benchmarks>/plan.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("plan", pilot="pilot"),
        results=subpath(output.plan, parent=True),
    shell:
        "exec python scripts/plan.py"
        " --config {params.config:q}"
        " --results {params.results:q}"
        " {params.options:q}"
        " --out {output.plan:q}"
        " --text {output.text:q}"
        " --proposal {output.proposal:q}"
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
        **stage("hours"),
        timings=PROJECT.timings,
        results=subpath(output.hours, parent=True),
    shell:
        "exec python scripts/hours.py"
        " --plan {input.plan:q}"
        " --results {params.results:q}"
        " --timings {params.timings:q}"
        " --out {output.hours:q}"
        " --text {output.text:q}"
        " --log {log:q}"


rule submissions:
    input:
        PROJECT.list_submitted(),
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
        **stage("submissions"),
        commands=PROJECT.list_commands(RUN),
    shell:
        "exec python scripts/submissions.py"
        " --commands {params.commands:q}"
        " --out {output.submissions:q}"
        " --text {output.text:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule export:
    input:
        trajectories="<results>/{round}trajectories.parquet",
        curated="<results>/{round}curated.parquet",
        verdicts="<results>/{round}curation.parquet",
        questions="<results>/questions.parquet",
        seeds="<results>/seeds_report.json",
        sampling="<results>/sampling_report.json",
        prompt=prompt("agent"),
        included=included("agent"),
    output:
        directory("<results>/{round}export"),
    log:
        "<logs>/{round}export.log",
    benchmark:
        "<benchmarks>/{round}export.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("export"),
    shell:
        "exec python scripts/export.py"
        " --trajectories {input.trajectories:q}"
        " --curated {input.curated:q}"
        " --verdicts {input.verdicts:q}"
        " --questions {input.questions:q}"
        " --seeds {input.seeds:q}"
        " --sampling {input.sampling:q}"
        " --prompt {input.prompt:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"
