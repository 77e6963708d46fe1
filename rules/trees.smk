"""Research trees: questions that the corpus itself asks (InfoSeek).

Inputs: corpus.jsonl, index/, seeds.parquet, data.dev, data.test, prompts/plan.jinja, browse.jinja,
write_question.jinja, solve.jinja, verify.jinja.
Outputs: trees.parquet, trees_report.json, written_trees.parquet, written_trees_report.json,
tree_questions.parquet, tree_questions_report.json, tree_test.json; trees/gallery.html.
"""


rule trees:
    input:
        **servers("trees"),
        corpus="<shared>/corpus.jsonl",
        seeds="<results>/seeds.parquet",
        dev=DATA.dev,
        test=DATA.test,
        plan_prompt=prompt("plan"),
        browse_prompt=prompt("browse"),
        included=included("plan", "browse"),
    output:
        trees="<results>/trees.parquet",
        report="<results>/trees_report.json",
    log:
        "<logs>/trees.log",
    benchmark:
        "<benchmarks>/trees.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
        **stage("trees"),
    shell:
        "exec python scripts/trees.py"
        " --corpus {input.corpus:q}"
        " --seeds {input.seeds:q}"
        " --dev {input.dev:q}"
        " --test {input.test:q}"
        " --plan-prompt {input.plan_prompt:q}"
        " --browse-prompt {input.browse_prompt:q}"
        " --servers {params.servers:q}"
        " --out {output.trees:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule written_trees:
    input:
        **servers("written_trees"),
        trees="<results>/trees.parquet",
        corpus="<shared>/corpus.jsonl",
        prompt=prompt("write_question"),
        included=included("write_question"),
    output:
        trees="<results>/written_trees.parquet",
        report="<results>/written_trees_report.json",
    log:
        "<logs>/written_trees.log",
    benchmark:
        "<benchmarks>/written_trees.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
        **stage("written_trees"),
    shell:
        "exec python scripts/written_trees.py"
        " --trees {input.trees:q}"
        " --corpus {input.corpus:q}"
        " --prompt {input.prompt:q}"
        " --servers {params.servers:q}"
        " --out {output.trees:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule verify:
    input:
        **servers("verify"),
        trees="<results>/written_trees.parquet",
        corpus="<shared>/corpus.jsonl",
        solve_prompt=prompt("solve"),
        verify_prompt=prompt("verify"),
        included=included("solve", "verify"),
    output:
        questions="<results>/tree_questions.parquet",
        held_out="<results>/tree_test.json",
        report="<results>/tree_questions_report.json",
    log:
        "<logs>/verify.log",
    benchmark:
        "<benchmarks>/verify.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
        **stage("verify"),
    shell:
        "exec python scripts/verify.py"
        " --trees {input.trees:q}"
        " --corpus {input.corpus:q}"
        " --solve-prompt {input.solve_prompt:q}"
        " --verify-prompt {input.verify_prompt:q}"
        " --servers {params.servers:q}"
        " --out {output.questions:q}"
        " --held-out {output.held_out:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --log {log:q}"


rule tree_gallery:
    input:
        trees="<results>/trees.parquet",
        questions="<results>/tree_questions.parquet",
        template="report/gallery.html.jinja",
    output:
        report(
            "<results>/trees/gallery.html",
            caption="../report/captions/trees.rst",
            category="Research trees",
            labels={"figures": "Gallery"},
        ),
    log:
        "<logs>/tree_gallery.log",
    benchmark:
        "<benchmarks>/tree_gallery.tsv"
    conda:
        "../envs/workflow.yaml"
    params:
        **stage("tree_gallery"),
    shell:
        "exec python scripts/tree_gallery.py"
        " --trees {input.trees:q}"
        " --questions {input.questions:q}"
        " --template {input.template:q}"
        " --out {output:q}"
        " --log {log:q}"
