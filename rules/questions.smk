"""From seed questions to the questions that the teacher answers.

Inputs: data.train, data.dev, data.test, prompts/tag.jinja; with trees tree_questions.parquet.
Outputs: seeds.parquet, tagged.parquet, sampled.parquet, sampling.png, sampling_report.json,
questions.parquet, questions_report.json.
"""


rule seeds:
    input:
        train=config["data"]["train"],
        dev=config["data"]["dev"],
        test=config["data"]["test"],
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
        config=settings(**config["seeds"]),
        code=code("seeds"),
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
        seeds="<results>/seeds.parquet",
        prompt=prompt("tag"),
        included=included("tag"),
        teacher=service_of("tag", "teacher"),
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
        teacher=address("teacher"),
        cache=config["cache"],
        config=settings(
            **split_sampling(config["tag"]),
            teacher=identity("teacher", config["tag"]["sampling"]),
        ),
        runtime=runtime("teacher"),
        budget=within_budget("tag"),
        code=code("tag"),
    shell:
        "{params.budget}exec python scripts/tag.py"
        " --seeds {input.seeds:q}"
        " --prompt {input.prompt:q}"
        " --teacher {params.teacher:q}"
        " --cache {params.cache:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --runtime {params.runtime:q}"
        " --log {log:q}"


rule sample:
    input:
        "<results>/tagged.parquet",
    output:
        sampled="<results>/sampled.parquet",
        picture="<results>/sampling.png",
        report="<results>/sampling_report.json",
    log:
        "<logs>/sample.log",
    benchmark:
        "<benchmarks>/sample.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        config=settings(**config["sample"]),
        code=code("sample"),
    shell:
        "exec python scripts/sample.py"
        " --tagged {input:q}"
        " --out {output.sampled:q}"
        " --picture {output.picture:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule questions:
    input:
        sampled="<results>/sampled.parquet",
        trees="<results>/tree_questions.parquet" if TREES else [],
        dev=config["data"]["dev"],
        test=config["data"]["test"],
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
        trees=option("--trees", "trees"),
        most=(
            []
            if config["trees"]["train_questions"] is None
            else ["--most-trees", config["trees"]["train_questions"]]
        ),
        config=settings(**config["seeds"]),
        code=code("questions"),
    shell:
        "exec python scripts/questions.py"
        " --sampled {input.sampled:q}"
        " {params.trees:q}"
        " {params.most:q}"
        " --dev {input.dev:q}"
        " --test {input.test:q}"
        " --out {output.questions:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --log {log:q}"
