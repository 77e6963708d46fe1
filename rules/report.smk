"""What a run will take, what it took, its rollouts to look at, and how the submissions compare.

Inputs: the config, data.train, data.dev, data.test, pilot.json where it is there; test.json; the
folders of task.submissions; the tables of rollouts.
Outputs: doctor.md; plan.json, plan.md, proposal.yaml; hours.json, hours.md; submissions.json,
submissions.md; transcripts/.
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


rule transcripts:
    input:
        tables=PROJECT.list_rollouts(),
        types=PROJECT.list_existing(DATA.types),
        answers=PROJECT.list_existing(DATA.test_answers),
    output:
        directory("<results>/transcripts"),
    log:
        "<logs>/transcripts.log",
    benchmark:
        "<benchmarks>/transcripts.tsv"
    conda:
        "../envs/view.yaml"
    params:
        **stage("transcripts", types="types", answers="answers"),
        python=PROJECT.untracked(CONFIG.view.python),
    shell:
        "exec {params.python:q} scripts/transcripts.py"
        " --tables {input.tables:q}"
        " {params.options:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"
