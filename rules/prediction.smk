"""The students' answers and their scores.

Inputs: checkpoint/, data.dev, data.test, data.test_answers, data.benchmarks, prompts/agent.jinja (of
the untrained model agent_teacher.jinja and read.jinja), prompts/judge.jinja.
Outputs: predictions.parquet, dev_predictions.json, metrics.json, scores.parquet, test.json; with benchmarks
benchmarks.json, benchmarks_report.json, benchmark_predictions.json; with a judge judgements.parquet,
judge_report.json; and browsecomp/<benchmark>/: runs/, report.json. Of the untrained model
untrained/predictions.parquet; on demand everything for another student, in grpo/ or rounds/<n>/.
"""

BENCHMARKS = "<results>/benchmarks.json" if DATA.benchmarks else []
JUDGED = CONFIG.judge.enabled


rule benchmarks:
    input:
        list(DATA.benchmarks.values()),
    output:
        questions="<results>/benchmarks.json",
        report="<results>/benchmarks_report.json",
    log:
        "<logs>/benchmarks.log",
    benchmark:
        "<benchmarks>/benchmarks.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("benchmarks"),
        names=list(DATA.benchmarks),
    shell:
        "exec python scripts/benchmarks.py"
        " --names {params.names:q}"
        " --files {input:q}"
        " --out {output.questions:q}"
        " --report {output.report:q}"
        " --log {log:q}"


rule predict:
    input:
        **servers("predict"),
        dev=DATA.dev,
        test=DATA.test,
        prompt=PROJECT.student_prompt,
        included=PROJECT.student_included,
        read_prompt=PROJECT.read_prompt,
        model=of_student(students.find_folder),
        benchmarks=BENCHMARKS,
    output:
        f"<results>/{{student,{students.STUDENT}}}predictions.parquet",
    log:
        "<logs>/{student}predict.log",
    benchmark:
        "<benchmarks>/{student}predict.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 1
    resources:
        stages=1,
    params:
        **stage(
            "predict",
            benchmarks="benchmarks",
            refine_prompt="refine_prompt",
            read_prompt="read_prompt",
        ),
        splits=of_student(students.list_splits),
        check=PROJECT.untracked(["--check-model"] * bool(CONFIG.task.teacher)),
    shell:
        "{params.before}exec python scripts/predict.py"
        " --dev {input.dev:q}"
        " --test {input.test:q}"
        " --splits {params.splits:q}"
        " --prompt {input.prompt:q}"
        " --model {input.model:q}"
        " {params.check}"
        " {params.options:q}"
        " --servers {params.servers:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule judge:
    input:
        **servers("judge"),
        predictions=of_student(students.list_predictions),
        dev=DATA.dev,
        answers=DATA.test_answers or [],
        benchmarks=BENCHMARKS,
        prompt=prompt("judge"),
        included=included("judge"),
    output:
        judgements="<results>/{student}judgements.parquet",
        report="<results>/{student}judge_report.json",
    log:
        "<logs>/{student}judge.log",
    benchmark:
        "<benchmarks>/{student}judge.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
        **stage("judge", test_answers="answers", benchmarks="benchmarks"),
    shell:
        "exec python scripts/judge.py"
        " --predictions {input.predictions:q}"
        " --dev {input.dev:q}"
        " {params.options:q}"
        " --prompt {input.prompt:q}"
        " --servers {params.servers:q}"
        " --out {output.judgements:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule metrics:
    input:
        predictions=of_student(students.list_predictions),
        dev=DATA.dev,
        test=DATA.test,
        answers=DATA.test_answers or [],
        types=DATA.types or [],
        benchmarks=BENCHMARKS,
        judgements="<results>/{student}judgements.parquet" if JUDGED else [],
        judge_report="<results>/{student}judge_report.json" if JUDGED else [],
        corpus=OWN_CORPUS,
        own_index=OWN_INDEX,
    output:
        **({"benchmarks": "<results>/{student}benchmark_predictions.json"} if BENCHMARKS else {}),
        metrics="<results>/{student}metrics.json",
        scores="<results>/{student}scores.parquet",
        dev="<results>/{student}dev_predictions.json",
        test="<results>/{student}test.json",
    log:
        "<logs>/{student}metrics.log",
    benchmark:
        "<benchmarks>/{student}metrics.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage(
            "metrics",
            test_answers="answers",
            types="types",
            benchmarks="benchmarks",
            judgements="judgements",
            judge_report="judge_report",
            corpus="corpus",
            index="own_index",
        ),
    shell:
        "exec python scripts/metrics.py"
        " --predictions {input.predictions:q}"
        " --dev {input.dev:q}"
        " --test {input.test:q}"
        " {params.options:q}"
        " --metrics {output.metrics:q}"
        " --scores {output.scores:q}"
        " --dev-predictions {output.dev:q}"
        " --out {output.test:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule browsecomp:
    input:
        predictions="<results>/predictions.parquet",
        benchmarks=BENCHMARKS,
        evidence=lambda wildcards: DATA.qrels[wildcards.name].evidence,
        gold=lambda wildcards: DATA.qrels[wildcards.name].gold or [],
    output:
        runs=directory("<results>/browsecomp/{name}/runs"),
        report="<results>/browsecomp/{name}/report.json",
    log:
        "<logs>/browsecomp/{name}.log",
    benchmark:
        "<benchmarks>/browsecomp/{name}.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("browsecomp", gold="gold"),
    shell:
        "exec python scripts/browsecomp.py"
        " --predictions {input.predictions:q}"
        " --benchmarks {input.benchmarks:q}"
        " --qrels {input.evidence:q}"
        " {params.options:q}"
        " --name {wildcards.name:q}"
        " --out {output.runs:q}"
        " --report {output.report:q}"
        " --log {log:q}"
