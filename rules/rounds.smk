"""SFT in rounds: the student of one round rolls out, and the next round learns from what is kept.

Inputs: questions.parquet, rounds/<n-1>/checkpoint/ (or checkpoint/), prompts/agent.jinja, the first
round's curated.parquet. Outputs, in rounds/<n>/: trajectories.parquet, shortcuts.parquet,
curated.parquet, curation.parquet, sft_dataset.json, dataset_info.json; checkpoint/ of all but the
last, which is the run's checkpoint/.
"""

ROUND = config["rounds"]


wildcard_constraints:
    round=r"\d+",


use rule trajectories as trajectories_round with:
    input:
        questions="<results>/questions.parquet",
        prompt=prompt("agent"),
        included=included("agent"),
        refine_prompt=prompt("refine") if REFINER else [],
        model=lambda wildcards: checkpoint_of(int(wildcards.round) - 1),
        teacher=lambda wildcards: service_of(f"round{wildcards.round}", student_before(wildcards)),
        search=lambda wildcards: service_of(f"round{wildcards.round}", SEARCH),
        refiner=lambda wildcards: refiner_of(f"round{wildcards.round}"),
    output:
        trajectories="<results>/rounds/{round}/trajectories.parquet",
        report="<results>/rounds/{round}/trajectories_report.json",
    log:
        "<logs>/rounds/{round}/trajectories.log",
    benchmark:
        "<benchmarks>/rounds/{round}/trajectories.tsv"
    params:
        shard=[],
        model=option("--model", "model"),
        teacher=address("student", "teacher"),
        search=address(SEARCH, "search"),
        refiner=refiner_options,
        cache=config["cache"],
        config=settings(
            rollouts=ROUND["rollouts"],
            questions=ROUND["questions"],
            seed=ROUND["seed"],
            max_failed_share=config["trajectories"]["max_failed_share"],
            limits=config["predict"]["limits"],
            adaptive=None,
            teacher=identity("student", ROUND["sampling"]),
            **searching(),
            **refining(),
        ),
        runtime=lambda wildcards, resources: runtime("student", SEARCH, *REFINER)(
            wildcards, resources
        ),
        budget="",
        code=code("trajectories"),


use rule shortcuts as shortcuts_round with:
    input:
        trajectories="<results>/rounds/{round}/trajectories.parquet",
        questions="<results>/questions.parquet",
        prompt=prompt("judge_trajectory"),
        included=included("judge_trajectory"),
        judge=lambda wildcards: service_of(f"shortcuts{wildcards.round}", "judge"),
    output:
        shortcuts="<results>/rounds/{round}/shortcuts.parquet",
        report="<results>/rounds/{round}/shortcuts_report.json",
    log:
        "<logs>/rounds/{round}/shortcuts.log",
    benchmark:
        "<benchmarks>/rounds/{round}/shortcuts.tsv"


use rule curate as curate_round with:
    input:
        trajectories="<results>/rounds/{round}/trajectories.parquet",
        questions="<results>/questions.parquet" if TREES else [],
        shortcuts="<results>/rounds/{round}/shortcuts.parquet" if REJECTING else [],
    output:
        curated="<results>/rounds/{round}/curated.parquet",
        verdicts="<results>/rounds/{round}/curation.parquet",
    log:
        "<logs>/rounds/{round}/curate.log",
    benchmark:
        "<benchmarks>/rounds/{round}/curate.tsv"
    params:
        questions=option("--questions", "questions"),
        shortcuts=option("--shortcuts", "shortcuts"),
        # A student may be too weak to add anything to what earlier rounds have.
        may_be_empty=["--may-be-empty"] * (ROUND["data"] == "all"),
        config=settings(**config["curate"]),
        code=code("curate"),


use rule sft_dataset as sft_dataset_round with:
    input:
        curated=curated_until,
        prompt=prompt("agent"),
        included=included("agent"),
        mix=config["mix"]["file"] or [],
        questions="<results>/questions.parquet" if TRACED else [],
    output:
        dataset="<results>/rounds/{round}/sft_dataset.json",
        info="<results>/rounds/{round}/dataset_info.json",
        report="<results>/rounds/{round}/sft_report.json",
    log:
        "<logs>/rounds/{round}/sft_dataset.log",
    benchmark:
        "<benchmarks>/rounds/{round}/sft_dataset.tsv"


use rule checkpoint as checkpoint_round with:
    input:
        dataset=lambda wildcards: dataset_of(int(wildcards.round)),
        info=lambda wildcards: dataset_of(int(wildcards.round), "dataset_info.json"),
        base=lambda wildcards: base_of(int(wildcards.round)),
    output:
        directory("<results>/rounds/{round}/checkpoint"),
    log:
        "<logs>/rounds/{round}/checkpoint.log",
    benchmark:
        "<benchmarks>/rounds/{round}/checkpoint.tsv"
    params:
        config=lambda wildcards: recipe_of(int(wildcards.round)),
        work=subpath(output[0], parent=True),
        budget="",
        gpus=gpus_of("train"),
        code=code("checkpoint") + code("searchtrain/training/worker"),
