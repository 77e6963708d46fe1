"""Train the student.

Inputs: sft_dataset.json and dataset_info.json (of the last round), train.base (or the student of
the round before). Outputs: checkpoint/.
"""


rule checkpoint:
    input:
        dataset=dataset_of(ROUNDS),
        info=dataset_of(ROUNDS, "dataset_info.json"),
        base=base_of(ROUNDS),
    output:
        directory("<results>/checkpoint"),
    log:
        "<logs>/checkpoint.log",
    benchmark:
        "<benchmarks>/checkpoint.tsv"
    conda:
        "../envs/llamafactory.yaml"
    threads: config["train"]["threads"]
    resources:
        gpu=config["train"]["gpu"],
    params:
        config=recipe_of(ROUNDS),
        work=subpath(output[0], parent=True),
        budget=within_budget("checkpoint"),
        gpus=gpus_of("train"),
        code=code("checkpoint") + code("searchtrain/training/worker"),
    shell:
        "{params.budget}exec python scripts/checkpoint.py"
        " --dataset {input.dataset:q}"
        " --info {input.info:q}"
        " --base {input.base:q}"
        " --gpus {params.gpus}"
        " --work {params.work:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"
