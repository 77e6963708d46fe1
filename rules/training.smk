"""Train the students: by SFT in one round or more, and further by GRPO.

Inputs: sft_dataset.json and dataset_info.json of the round, train.base (or the student of the round
before); for GRPO checkpoint/, questions.parquet, prompts/agent.jinja. Outputs: checkpoint/ (of an
earlier round rounds/<n>/checkpoint/); on demand grpo/checkpoint/, grpo/history.jsonl,
grpo/training.png.
"""


rule checkpoint:
    input:
        dataset=of_student(students.find_dataset),
        info=of_student(students.find_info),
        base=of_student(students.find_base),
    output:
        directory(f"<results>/{{student,{students.ROUND}}}checkpoint"),
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
        **stage("checkpoint"),
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
        picture="<results>/grpo/training.png",
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
        " --picture {output.picture:q}"
        " --config {params.config:q}"
        " --log {log:q}"
