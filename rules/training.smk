"""Train the students: by SFT in one round or more, and further by GRPO.

Inputs: sft_dataset.json and dataset_info.json of the round, train.base (or the student of the round
before); for GRPO checkpoint/, questions.parquet, prompts/agent.jinja. Outputs: checkpoint/ (of an
earlier round rounds/<n>/checkpoint/); on demand grpo/checkpoint/, grpo/history.jsonl.
"""

CANDIDATES = students.list_candidates(CONFIG)


rule checkpoint:
    input:
        dataset=of_student(students.find_dataset),
        info=of_student(students.find_info),
        base=of_student(students.find_base),
    output:
        directory(f"<results>/{{student,{students.find_trained(CONFIG)}}}checkpoint"),
    log:
        "<logs>/{student}checkpoint.log",
    benchmark:
        "<benchmarks>/{student}checkpoint.tsv"
    conda:
        "../envs/llamafactory.yaml"
    threads: CONFIG.train.threads
    resources:
        gpu=serving.count_own_gpus(CONFIG, "checkpoint"),
    params:
        **stage("checkpoint", place="student"),
        work=subpath(output[0], parent=True),
        number=of_student(students.round_of),
    shell:
        "{params.before}exec python scripts/checkpoint.py"
        " --dataset {input.dataset:q}"
        " --info {input.info:q}"
        " --base {input.base:q}"
        " --round {params.number}"
        " --work {params.work:q}"
        " {params.options:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"


if CONFIG.trials.average:

    rule average:
        input:
            model=f"<results>/{students.find_first(CONFIG)}checkpoint",
        output:
            directory("<results>/trials/average/checkpoint"),
        log:
            "<logs>/trials/average/average.log",
        benchmark:
            "<benchmarks>/trials/average/average.tsv"
        conda:
            "../envs/llamafactory.yaml"
        params:
            **stage("average"),
            work=subpath(input.model, parent=True),
        shell:
            "exec python scripts/average.py"
            " --model {input.model:q}"
            " --work {params.work:q}"
            " --out {output:q}"
            " --config {params.config:q}"
            " --log {log:q}"


if CANDIDATES:

    rule choice:
        input:
            checkpoints=expand("<results>/trials/{name}/checkpoint", name=CANDIDATES),
            predictions=expand("<results>/trials/{name}/predictions.parquet", name=CANDIDATES),
            dev=DATA.dev,
        output:
            checkpoint=directory("<results>/checkpoint"),
            report="<results>/trials.json",
            text="<results>/trials.md",
        log:
            "<logs>/choice.log",
        benchmark:
            "<benchmarks>/choice.tsv"
        conda:
            "../envs/workflow.yaml"
        params:
            **stage("choice"),
            names=CANDIDATES,
        shell:
            "exec python scripts/choice.py"
            " --names {params.names:q}"
            " --checkpoints {input.checkpoints:q}"
            " --predictions {input.predictions:q}"
            " --dev {input.dev:q}"
            " --out {output.checkpoint:q}"
            " --report {output.report:q}"
            " --text {output.text:q}"
            " --config {params.config:q}"
            " --log {log:q}"


rule grpo:
    input:
        **servers("grpo"),
        checkpoint="<results>/checkpoint",
        questions="<results>/questions.parquet",
        prompt=prompt("agent"),
        included=included("agent"),
    output:
        checkpoint=directory("<results>/grpo/checkpoint"),
        history="<results>/grpo/history.jsonl",
    log:
        "<logs>/grpo.log",
    benchmark:
        "<benchmarks>/grpo.tsv"
    conda:
        "../envs/trl.yaml"
    threads: CONFIG.grpo.threads
    resources:
        gpu=serving.count_own_gpus(CONFIG, "grpo"),
        stages=1,
    params:
        **stage("grpo", refine_prompt="refine_prompt"),
        python=PROJECT.untracked(CONFIG.grpo.python),
        work=subpath(output.checkpoint, parent=True),
    shell:
        "exec {params.python:q} scripts/grpo.py"
        " --checkpoint {input.checkpoint:q}"
        " --questions {input.questions:q}"
        " --prompt {input.prompt:q}"
        " {params.options:q}"
        " --servers {params.servers:q}"
        " --work {params.work:q}"
        " --out {output.checkpoint:q}"
        " --history {output.history:q}"
        " --config {params.config:q}"
        " --log {log:q}"
