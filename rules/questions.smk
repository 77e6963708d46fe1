"""From seed questions to the questions that the teacher answers.

Inputs: data.train, data.dev, data.test, prompts/tag.jinja; with trees tree_questions.parquet.
Outputs: seeds.parquet, tagged.parquet, sampled.parquet, sampling_report.json, questions.parquet,
questions_report.json.
"""


rule seeds:
    input:
        train=DATA.train,
        dev=DATA.dev,
        test=DATA.test,
    output:
        seeds="<results>/seeds.parquet",
        report="<results>/seeds_report.json",
    log:
        "<logs>/seeds.log",
    benchmark:
        "<benchmarks>/seeds.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("seeds"),
    shell:
        "exec python scripts/seeds.py"
        " --train {input.train:q}"
        " --dev {input.dev:q}"
        " --test {input.test:q}"
        " --out {output.seeds:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule tag:
    input:
        **servers("tag"),
        seeds="<results>/seeds.parquet",
        prompt=prompt("tag"),
        included=included("tag"),
    output:
        "<results>/tagged.parquet",
    log:
        "<logs>/tag.log",
    benchmark:
        "<benchmarks>/tag.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
        **stage("tag"),
    shell:
        "{params.before}exec python scripts/tag.py"
        " --seeds {input.seeds:q}"
        " --prompt {input.prompt:q}"
        " --servers {params.servers:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule sample:
    input:
        "<results>/tagged.parquet",
    output:
        sampled="<results>/sampled.parquet",
        report="<results>/sampling_report.json",
    log:
        "<logs>/sample.log",
    benchmark:
        "<benchmarks>/sample.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("sample"),
    shell:
        "exec python scripts/sample.py"
        " --tagged {input:q}"
        " --out {output.sampled:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule questions:
    input:
        sampled="<results>/sampled.parquet",
        trees="<results>/tree_questions.parquet" if CONFIG.trees.enabled else [],
        dev=DATA.dev,
        test=DATA.test,
    output:
        questions="<results>/questions.parquet",
        report="<results>/questions_report.json",
    log:
        "<logs>/questions.log",
    benchmark:
        "<benchmarks>/questions.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("questions", trees="trees"),
    shell:
        "exec python scripts/questions.py"
        " --sampled {input.sampled:q}"
        " {params.options:q}"
        " --dev {input.dev:q}"
        " --test {input.test:q}"
        " --out {output.questions:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --log {log:q}"
