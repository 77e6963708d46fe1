"""Train the student.

Inputs: sft_dataset.json and dataset_info.json (of the last round), train.base (or the student of
the round before). Outputs: checkpoint/.
"""


def dataset_of(number, file="sft_dataset.json"):
    """What the SFT round `number` learns from; the first round's is the teacher's."""
    return f"<results>/{file}" if number == 1 else f"<results>/rounds/{number}/{file}"


def base_of(number):
    """The model that an SFT round starts from."""
    first = number == 1 or config["rounds"]["base"] == "first"
    return config["train"]["base"] if first else checkpoint_of(number - 1)


def recipe_of(number):
    """How an SFT round trains."""
    train = {k: v for k, v in config["train"].items() if k not in ("base", "gpu", "threads")}
    changes = config["rounds"]["args"] if number > 1 else {}
    return settings(**{**train, "args": {**train["args"], **changes}})


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
        code=code("checkpoint"),
    shell:
        "exec python scripts/checkpoint.py"
        " --dataset {input.dataset:q}"
        " --info {input.info:q}"
        " --base {input.base:q}"
        " --work {params.work:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"
