"""The student's answers and their scores.

Inputs: checkpoint/, data.dev, data.test, data.test_answers, data.benchmarks, prompts/agent.jinja,
prompts/judge.jinja.
Outputs: predictions.parquet, predictions_untrained.parquet, dev_predictions.json, metrics.json,
test.json; with benchmarks benchmarks.json, benchmarks_report.json, benchmark_predictions.json;
with a judge judgements.parquet, judge_report.json. On demand the same for another stage of the
student's training, in grpo/ or rounds/<n>/, and browsecomp/<benchmark>/: runs/, report.json.
"""

ANSWERS_KNOWN = config["data"]["test_answers"] is not None
UNTRAINED = (
    ANSWERS_KNOWN and config["predict"]["untrained"] and not config["models"]["student"]["endpoint"]
)
PREDICTIONS = ["<results>/predictions.parquet"] + [
    "<results>/predictions_untrained.parquet"
] * UNTRAINED
BENCHMARK_FILE = "<results>/benchmarks.json" if BENCHMARKS else []
JUDGED = config["judge"]["enabled"]
STUDENT = identity("student", config["models"]["student"]["sampling"])
SHORT = ("max_answer_words", "max_long_share")
PREDICT = settings(
    **{k: v for k, v in config["predict"].items() if k not in ("untrained", *SHORT)},
    student=STUDENT,
    **searching(),
    **refining(),
)


rule benchmarks:
    input:
        list(BENCHMARKS.values()),
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
        names=list(BENCHMARKS),
        code=code("benchmarks"),
    shell:
        "exec python scripts/benchmarks.py"
        " --names {params.names:q}"
        " --files {input:q}"
        " --out {output.questions:q}"
        " --report {output.report:q}"
        " --log {log:q}"


rule predict:
    input:
        dev=config["data"]["dev"],
        test=config["data"]["test"],
        prompt=prompt("agent"),
        included=included("agent"),
        model="<results>/checkpoint",
        refine_prompt=prompt("refine") if REFINER else [],
        benchmarks=BENCHMARK_FILE,
        student=service_of("predict", "student"),
        search=service_of("predict", SEARCH),
        refiner=refiner_of("predict"),
    output:
        "<results>/predictions.parquet",
    log:
        "<logs>/predict.log",
    benchmark:
        "<benchmarks>/predict.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 1
    resources:
        stages=1,
    params:
        splits=["dev", "test"]
        + ["test_closed_book"] * ANSWERS_KNOWN
        + ["benchmarks"] * bool(BENCHMARKS),
        student=address("student"),
        search=address(SEARCH, "search"),
        refiner=refiner_options,
        benchmarks=option("--benchmarks", "benchmarks"),
        cache=config["cache"],
        config=PREDICT,
        runtime=runtime("student", SEARCH, *REFINER),
        without_secrets=without_secrets,
        budget=within_budget("predict"),
        code=code("predict"),
    shell:
        "{params.budget}{params.without_secrets}exec python scripts/predict.py"
        " --dev {input.dev:q}"
        " --test {input.test:q}"
        " --splits {params.splits:q}"
        " --prompt {input.prompt:q}"
        " --model {input.model:q}"
        " --student {params.student:q}"
        " --search {params.search:q}"
        " {params.refiner:q}"
        " {params.benchmarks:q}"
        " --cache {params.cache:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --runtime {params.runtime:q}"
        " --log {log:q}"


use rule predict as predict_untrained with:
    input:
        dev=config["data"]["dev"],
        test=config["data"]["test"],
        prompt=prompt("agent"),
        included=included("agent"),
        model=config["train"]["base"],
        refine_prompt=prompt("refine") if REFINER else [],
        benchmarks=[],
        student=service_of("untrained", "base"),
        search=service_of("untrained", SEARCH),
        refiner=refiner_of("untrained"),
    output:
        "<results>/predictions_untrained.parquet",
    log:
        "<logs>/predict_untrained.log",
    benchmark:
        "<benchmarks>/predict_untrained.tsv"
    params:
        splits=["test_untrained"],
        student=address("student"),
        search=address(SEARCH, "search"),
        refiner=refiner_options,
        benchmarks=option("--benchmarks", "benchmarks"),
        cache=config["cache"],
        config=PREDICT,
        runtime=runtime("student", SEARCH, *REFINER),
        without_secrets=without_secrets,
        budget=within_budget("predict_untrained"),
        code=code("predict"),


wildcard_constraints:
    student=r"grpo|rounds/\d+",
    name="|".join(QRELS) or "none",


use rule predict as predict_student with:
    input:
        dev=config["data"]["dev"],
        test=config["data"]["test"],
        prompt=prompt("agent"),
        included=included("agent"),
        model=lambda wildcards: STUDENTS[served_as(wildcards)],
        refine_prompt=prompt("refine") if REFINER else [],
        benchmarks=BENCHMARK_FILE,
        student=lambda wildcards: service_of(
            f"predict_{served_as(wildcards)}", served_as(wildcards)
        ),
        search=lambda wildcards: service_of(f"predict_{served_as(wildcards)}", SEARCH),
        refiner=lambda wildcards: refiner_of(f"predict_{served_as(wildcards)}"),
    output:
        "<results>/{student}/predictions.parquet",
    log:
        "<logs>/{student}/predict.log",
    benchmark:
        "<benchmarks>/{student}/predict.tsv"
    params:
        splits=["dev", "test"] + ["benchmarks"] * bool(BENCHMARKS),
        student=address("student"),
        search=address(SEARCH, "search"),
        refiner=refiner_options,
        benchmarks=option("--benchmarks", "benchmarks"),
        cache=config["cache"],
        config=PREDICT,
        runtime=runtime("student", SEARCH, *REFINER),
        without_secrets=without_secrets,
        budget="",
        code=code("predict"),


rule judge:
    input:
        predictions=PREDICTIONS,
        dev=config["data"]["dev"],
        answers=config["data"]["test_answers"] or [],
        benchmarks=BENCHMARK_FILE,
        prompt=prompt("judge"),
        included=included("judge"),
        judge=service_of("judge", "judge") if JUDGED else [],
    output:
        judgements="<results>/judgements.parquet",
        report="<results>/judge_report.json",
    log:
        "<logs>/judge.log",
    benchmark:
        "<benchmarks>/judge.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
        answers=option("--test-answers", "answers"),
        benchmarks=option("--benchmarks", "benchmarks"),
        judge=address("judge"),
        cache=config["cache"],
        config=settings(
            seed=config["judge"]["seed"],
            max_failed_share=config["judge"]["max_failed_share"],
            judge=identity("judge", config["judge"]["sampling"]),
        ),
        runtime=runtime("judge"),
        code=code("judge"),
    shell:
        "exec python scripts/judge.py"
        " --predictions {input.predictions:q}"
        " --dev {input.dev:q}"
        " {params.answers:q}"
        " {params.benchmarks:q}"
        " --prompt {input.prompt:q}"
        " --judge {params.judge:q}"
        " --cache {params.cache:q}"
        " --out {output.judgements:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --runtime {params.runtime:q}"
        " --log {log:q}"


rule metrics:
    input:
        predictions=PREDICTIONS,
        dev=config["data"]["dev"],
        test=config["data"]["test"],
        answers=config["data"]["test_answers"] or [],
        types=config["data"]["types"] or [],
        benchmarks=BENCHMARK_FILE,
        judgements="<results>/judgements.parquet" if JUDGED else [],
        judge_report="<results>/judge_report.json" if JUDGED else [],
    output:
        **({"benchmarks": "<results>/benchmark_predictions.json"} if BENCHMARKS else {}),
        metrics="<results>/metrics.json",
        dev="<results>/dev_predictions.json",
        test="<results>/test.json",
    log:
        "<logs>/metrics.log",
    benchmark:
        "<benchmarks>/metrics.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        answers=option("--test-answers", "answers"),
        types=option("--types", "types"),
        benchmarks=option("--benchmarks", "benchmarks"),
        benchmark_predictions=lambda wildcards, output: (
            ["--benchmark-predictions", output.benchmarks] if BENCHMARKS else []
        ),
        judgements=option("--judgements", "judgements"),
        judge_report=option("--judge-report", "judge_report"),
        config=settings(**{key: config["predict"][key] for key in SHORT}),
        code=code("metrics"),
    shell:
        "exec python scripts/metrics.py"
        " --predictions {input.predictions:q}"
        " --dev {input.dev:q}"
        " --test {input.test:q}"
        " {params.answers:q}"
        " {params.types:q}"
        " {params.benchmarks:q}"
        " {params.benchmark_predictions:q}"
        " {params.judgements:q}"
        " {params.judge_report:q}"
        " --metrics {output.metrics:q}"
        " --dev-predictions {output.dev:q}"
        " --out {output.test:q}"
        " --config {params.config:q}"
        " --log {log:q}"


use rule metrics as metrics_student with:
    input:
        predictions="<results>/{student}/predictions.parquet",
        dev=config["data"]["dev"],
        test=config["data"]["test"],
        answers=config["data"]["test_answers"] or [],
        types=config["data"]["types"] or [],
        benchmarks=BENCHMARK_FILE,
        judgements=[],
        judge_report=[],
    output:
        **({"benchmarks": "<results>/{student}/benchmark_predictions.json"} if BENCHMARKS else {}),
        metrics="<results>/{student}/metrics.json",
        dev="<results>/{student}/dev_predictions.json",
        test="<results>/{student}/test.json",
    log:
        "<logs>/{student}/metrics.log",
    benchmark:
        "<benchmarks>/{student}/metrics.tsv"


rule browsecomp:
    input:
        predictions="<results>/predictions.parquet",
        benchmarks=BENCHMARK_FILE,
        evidence=lambda wildcards: QRELS[wildcards.name]["evidence"],
        gold=lambda wildcards: QRELS[wildcards.name].get("gold") or [],
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
        gold=option("--gold", "gold"),
        code=code("browsecomp"),
    shell:
        "exec python scripts/browsecomp.py"
        " --predictions {input.predictions:q}"
        " --benchmarks {input.benchmarks:q}"
        " --qrels {input.evidence:q}"
        " {params.gold:q}"
        " --name {wildcards.name:q}"
        " --out {output.runs:q}"
        " --report {output.report:q}"
        " --log {log:q}"
