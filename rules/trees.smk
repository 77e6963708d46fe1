"""Research trees: questions that the corpus itself asks (InfoSeek).

Inputs: corpus.jsonl, index/, seeds.parquet, data.dev, data.test, prompts/plan.jinja, browse.jinja,
write_question.jinja, solve.jinja, verify.jinja.
Outputs: trees.parquet, trees_report.json, written_trees.parquet, written_trees_report.json,
tree_questions.parquet, tree_questions_report.json, tree_test.json.
"""

NOT_GROWTH = ("enabled", "sampling", "train_questions")
"""Settings of trees that do not change how they grow."""


rule trees:
    input:
        corpus="<shared>/corpus.jsonl",
        seeds="<results>/seeds.parquet",
        dev=config["data"]["dev"],
        test=config["data"]["test"],
        plan_prompt=prompt("plan"),
        browse_prompt=prompt("browse"),
        included=included("plan") + included("browse"),
        planner=service_of("trees", "planner") if TREES else [],
        browser=service_of("trees", "browser") if TREES else [],
        retriever=service_of("trees", "retriever") if TREES else [],
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
        planner=address("planner"),
        browser=address("browser"),
        search=address("retriever"),
        cache=config["cache"],
        config=settings(
            **{key: value for key, value in config["trees"].items() if key not in NOT_GROWTH},
            planner=identity("planner", config["trees"]["sampling"]["planner"]),
            browser=identity("browser", config["trees"]["sampling"]["browser"]),
            search={},
        ),
        runtime=runtime("planner", "browser", "retriever"),
        code=code("trees"),
    shell:
        "exec python scripts/trees.py"
        " --corpus {input.corpus:q}"
        " --seeds {input.seeds:q}"
        " --dev {input.dev:q}"
        " --test {input.test:q}"
        " --search {params.search:q}"
        " --plan-prompt {input.plan_prompt:q}"
        " --browse-prompt {input.browse_prompt:q}"
        " --planner {params.planner:q}"
        " --browser {params.browser:q}"
        " --cache {params.cache:q}"
        " --out {output.trees:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --runtime {params.runtime:q}"
        " --log {log:q}"


rule tree_questions:
    input:
        trees="<results>/trees.parquet",
        corpus="<shared>/corpus.jsonl",
        prompt=prompt("write_question"),
        included=included("write_question"),
        writer=service_of("tree_questions", "writer") if TREES else [],
    output:
        trees="<results>/written_trees.parquet",
        report="<results>/written_trees_report.json",
    log:
        "<logs>/tree_questions.log",
    benchmark:
        "<benchmarks>/tree_questions.tsv"
    conda:
        "../envs/workflow.yaml"
    threads: 0
    resources:
        stages=1,
    params:
        writer=address("writer"),
        cache=config["cache"],
        config=settings(
            attempts=config["trees"]["attempts"],
            seed=config["trees"]["seed"],
            max_failed_share=config["trees"]["max_failed_share"],
            writer=identity("writer", config["trees"]["sampling"]["writer"]),
        ),
        runtime=runtime("writer"),
        code=code("tree_questions"),
    shell:
        "exec python scripts/tree_questions.py"
        " --trees {input.trees:q}"
        " --corpus {input.corpus:q}"
        " --write-prompt {input.prompt:q}"
        " --writer {params.writer:q}"
        " --cache {params.cache:q}"
        " --out {output.trees:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --runtime {params.runtime:q}"
        " --log {log:q}"


rule verify:
    input:
        trees="<results>/written_trees.parquet",
        corpus="<shared>/corpus.jsonl",
        solve_prompt=prompt("solve"),
        verify_prompt=prompt("verify"),
        included=included("solve") + included("verify"),
        solver=service_of("verify", "solver") if TREES else [],
        verifier=service_of("verify", "verifier") if TREES else [],
        retriever=service_of("verify", "retriever") if TREES else [],
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
        solver=address("solver"),
        verifier=address("verifier"),
        search=address("retriever"),
        cache=config["cache"],
        config=settings(
            **split_sampling(config["verify"]),
            solver=identity("solver", config["verify"]["sampling"]["solver"]),
            verifier=identity("verifier", config["verify"]["sampling"]["verifier"]),
            search={},
        ),
        runtime=runtime("solver", "verifier", "retriever"),
        code=code("verify"),
    shell:
        "exec python scripts/verify.py"
        " --trees {input.trees:q}"
        " --corpus {input.corpus:q}"
        " --search {params.search:q}"
        " --solve-prompt {input.solve_prompt:q}"
        " --verify-prompt {input.verify_prompt:q}"
        " --solver {params.solver:q}"
        " --verifier {params.verifier:q}"
        " --cache {params.cache:q}"
        " --out {output.questions:q}"
        " --held-out {output.held_out:q}"
        " --report {output.report:q}"
        " --config {params.config:q}"
        " --runtime {params.runtime:q}"
        " --log {log:q}"
