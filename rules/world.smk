"""The laptop world: its passages and questions, and the tiny base model.

Outputs: world/passages.jsonl, world/train.json, world/dev.json, world/test.json,
world/test_answers.json, world/types.json, world/base/.
"""


rule world:
    output:
        passages="<results>/world/passages.jsonl",
        train="<results>/world/train.json",
        dev="<results>/world/dev.json",
        test="<results>/world/test.json",
        test_answers="<results>/world/test_answers.json",
        types="<results>/world/types.json",
    log:
        "<logs>/world.log",
    benchmark:
        "<benchmarks>/world.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("world"),
        out=subpath(output.passages, parent=True),
    shell:
        "exec python scripts/world.py"
        " --out {params.out:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule base:
    input:
        passages="<results>/world/passages.jsonl",
        train="<results>/world/train.json",
    output:
        directory("<results>/world/base"),
    log:
        "<logs>/base.log",
    benchmark:
        "<benchmarks>/base.tsv"
    conda:
        "../envs/llamafactory.yaml"
    params:
        **stage("base"),
    shell:
        "exec python scripts/base.py"
        " --passages {input.passages:q}"
        " --train {input.train:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"
