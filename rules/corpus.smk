"""The passages that searches return, and their index.

Inputs: data.corpus. Outputs: corpus.jsonl, index/.
"""

ENCODER = serving.list_encoder(CONFIG)
# What searches go through where the run serves it itself; scores say so. (No input may be called
# `index`, which every list has.)
OWN = CONFIG.search == "retriever" and not CONFIG.retriever.endpoint
OWN_CORPUS = "<shared>/corpus.jsonl" if OWN else []
OWN_INDEX = "<shared>/index" if OWN else []


rule corpus:
    input:
        DATA.corpus or [],
    output:
        "<shared>/corpus.jsonl",
    log:
        "<logs>/corpus.log",
    benchmark:
        "<benchmarks>/corpus.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("corpus"),
    shell:
        "exec python scripts/corpus.py" " --source {input:q}" " --out {output:q}" " --log {log:q}"


rule index:
    input:
        corpus="<shared>/corpus.jsonl",
        encoder=ENCODER,
        faiss=serving.list_faiss(CONFIG),
    output:
        directory("<shared>/index"),
    log:
        "<logs>/index.log",
    benchmark:
        "<benchmarks>/index.tsv"
    conda:
        "../envs/retriever.yaml"
    resources:
        gpu=serving.count_own_gpus(CONFIG, "index"),
        mem_mb=PROJECT.estimate_index_memory(),
    params:
        **stage("index", encoder="encoder", faiss="faiss"),
        work=subpath(output[0], parent=True),
    shell:
        "exec python scripts/index.py"
        " --corpus {input.corpus:q}"
        " {params.options:q}"
        " --work {params.work:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"
