"""Keep the rollouts that are good enough to learn from and write them for LLaMA-Factory.

Inputs: trajectories.parquet, prompts/agent.jinja, mix.file; with reader rows prompts/read.jinja,
with trees questions.parquet, with rejection sampling prompts/judge_trajectory.jinja, with a judge of
answers prompts/judge.jinja.
Outputs: curated.parquet, curation.parquet (the funnel), sft_dataset.json, dataset_info.json,
sft_report.json; with rejection sampling shortcuts.parquet, shortcuts_report.json, with a judge of
answers equivalents.parquet, equivalents_report.json; on demand
defects.json, and of all rollouts preferences/: preference_dataset.json, dataset_info.json,
preferences_report.json. A later round's are in rounds/<n>/.
"""


rule shortcuts:
    input:
        **servers("shortcuts"),
        trajectories="<results>/{round}trajectories.parquet",
        questions="<results>/questions.parquet",
        prompt=prompt("judge_trajectory"),
        included=included("judge_trajectory"),
    output:
        shortcuts="<results>/{round}shortcuts.parquet",
        report="<results>/{round}shortcuts_report.json",
    log:
        "<logs>/{round}shortcuts.log",
    benchmark:
        "<benchmarks>/{round}shortcuts.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
        **stage("shortcuts"),
    shell:
        "exec python scripts/shortcuts.py"
        " --trajectories {input.trajectories:q}"
        " --questions {input.questions:q}"
        " --prompt {input.prompt:q}"
        " --servers {params.servers:q}"
        " --out {output.shortcuts:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule equivalents:
    input:
        **servers("equivalents"),
        trajectories="<results>/{round}trajectories.parquet",
        prompt=prompt("judge"),
        included=included("judge"),
    output:
        equivalents="<results>/{round}equivalents.parquet",
        report="<results>/{round}equivalents_report.json",
    log:
        "<logs>/{round}equivalents.log",
    benchmark:
        "<benchmarks>/{round}equivalents.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
        **stage("equivalents"),
    shell:
        "exec python scripts/equivalents.py"
        " --trajectories {input.trajectories:q}"
        " --prompt {input.prompt:q}"
        " --servers {params.servers:q}"
        " --out {output.equivalents:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule curate:
    input:
        trajectories="<results>/{round}trajectories.parquet",
        questions="<results>/questions.parquet" if CONFIG.trees.enabled else [],
        shortcuts="<results>/{round}shortcuts.parquet" if CONFIG.shortcuts.enabled else [],
        equivalents=("<results>/{round}equivalents.parquet" if CONFIG.curate.answers.judge else []),
    output:
        curated="<results>/{round}curated.parquet",
        verdicts="<results>/{round}curation.parquet",
    log:
        "<logs>/{round}curate.log",
    benchmark:
        "<benchmarks>/{round}curate.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 2
    params:
        **stage(
            "curate",
            round="round",
            questions="questions",
            shortcuts="shortcuts",
            equivalents="equivalents",
        ),
    shell:
        "exec python scripts/curate.py"
        " --trajectories {input.trajectories:q}"
        " {params.options:q}"
        " --out {output.curated:q}"
        " --verdicts {output.verdicts:q}"
        " --workers {threads}"
        " --config {params.config:q}"
        " --log {log:q}"


rule sft_dataset:
    input:
        curated=of_round(students.list_curated),
        prompt=prompt("agent"),
        included=PROJECT.dataset_included,
        mix=CONFIG.mix.file or [],
        questions="<results>/questions.parquet" if PROJECT.traced else [],
        read_prompt=PROJECT.reader_prompt,
    output:
        dataset="<results>/{round}sft_dataset.json",
        info="<results>/{round}dataset_info.json",
        report="<results>/{round}sft_report.json",
    log:
        "<logs>/{round}sft_dataset.log",
    benchmark:
        "<benchmarks>/{round}sft_dataset.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage(
            "sft_dataset",
            mix="mix",
            questions="questions",
            read_prompt="read_prompt",
            place="round",
        ),
    shell:
        "exec python scripts/sft_dataset.py"
        " --curated {input.curated:q}"
        " --prompt {input.prompt:q}"
        " --out {output.dataset:q}"
        " --info {output.info:q}"
        " --report {output.report:q}"
        " {params.options:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule preferences:
    input:
        trajectories="<results>/trajectories.parquet",
        prompt=prompt("agent"),
        included=included("agent"),
        questions="<results>/questions.parquet" if PROJECT.traced else [],
    output:
        dataset="<results>/preferences/preference_dataset.json",
        info="<results>/preferences/dataset_info.json",
        report="<results>/preferences/preferences_report.json",
    log:
        "<logs>/preferences.log",
    benchmark:
        "<benchmarks>/preferences.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("preferences", questions="questions"),
    shell:
        "exec python scripts/preferences.py"
        " --trajectories {input.trajectories:q}"
        " --prompt {input.prompt:q}"
        " --out {output.dataset:q}"
        " --info {output.info:q}"
        " --report {output.report:q}"
        " {params.options:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule defects:
    input:
        trajectories="<results>/trajectories.parquet",
        verdicts="<results>/curation.parquet",
    output:
        "<results>/defects.json",
    log:
        "<logs>/defects.log",
    benchmark:
        "<benchmarks>/defects.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("defects"),
    shell:
        "exec python scripts/defects.py"
        " --trajectories {input.trajectories:q}"
        " --verdicts {input.verdicts:q}"
        " --out {output:q}"
        " --config {params.config:q}"
        " --log {log:q}"
