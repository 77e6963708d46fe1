"""The passages that searches return, and their index.

Inputs: data.corpus. Outputs: corpus.jsonl, index/.
"""


rule corpus:
    input:
        config["data"]["corpus"],
    output:
        "<shared>/corpus.jsonl",
    log:
        "<logs>/corpus.log",
    benchmark:
        "<benchmarks>/corpus.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        config=settings(),
        code=code("corpus"),
    shell:
        "exec python scripts/corpus.py"
        " --source {input:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule index:
    input:
        corpus="<shared>/corpus.jsonl",
        encoder=encoder(),
    output:
        directory("<shared>/index"),
    log:
        "<logs>/index.log",
    benchmark:
        "<benchmarks>/index.tsv"
    conda:
        "../envs/retriever.yaml"
    resources:
        gpu=ENCODER_GPUS,
        mem_mb=index_memory,
    params:
        encoder=encoder_options,
        work=subpath(output[0], parent=True),
        config=indexing(),
        code=code("index"),
    shell:
        "exec python scripts/index.py"
        " --corpus {input.corpus:q}"
        " {params.encoder:q}"
        " --work {params.work:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"
