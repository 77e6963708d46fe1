"""Reinforcement learning on top of SFT: GRPO by TRL, with the agent's own rollouts.

Inputs: checkpoint/, questions.parquet, prompts/agent.jinja. Outputs: grpo/checkpoint/,
grpo/history.jsonl, grpo/training.png; rules predict_student and metrics_student write grpo/test.json.
"""


rule grpo:
    input:
        checkpoint="<results>/checkpoint",
        questions="<results>/questions.parquet",
        prompt=prompt("agent"),
        included=included("agent"),
        refine_prompt=prompt("refine") if REFINER else [],
        search=service_of("grpo", SEARCH),
        refiner=refiner_of("grpo"),
    output:
        checkpoint=directory("<results>/grpo/checkpoint"),
        history="<results>/grpo/history.jsonl",
        picture="<results>/grpo/training.png",
    log:
        "<logs>/grpo.log",
    benchmark:
        "<benchmarks>/grpo.tsv"
    conda:
        "../envs/trl.yaml"
    threads: config["grpo"]["threads"]
    resources:
        gpu=config["grpo"]["gpu"],
        stages=1,
    params:
        python=config["grpo"]["python"],
        search=address(SEARCH, "search"),
        refiner=refiner_options,
        cache=config["cache"],
        work=subpath(output.checkpoint, parent=True),
        config=settings(
            **{
                key: value
                for key, value in config["grpo"].items()
                if key not in ("threads", "gpu", "python")
            },
            **searching(),
            **refining(),
        ),
        runtime=runtime(SEARCH, *REFINER),
        gpus=gpus_of("grpo"),
        code=code("grpo"),
    shell:
        "exec {params.python:q} scripts/grpo.py"
        " --checkpoint {input.checkpoint:q}"
        " --questions {input.questions:q}"
        " --prompt {input.prompt:q}"
        " --search {params.search:q}"
        " {params.refiner:q}"
        " --cache {params.cache:q}"
        " --gpus {params.gpus}"
        " --work {params.work:q}"
        " --out {output.checkpoint:q}"
        " --history {output.history:q}"
        " --picture {output.picture:q}"
        " --config {params.config:q}"
        " --runtime {params.runtime:q}"
        " --log {log:q}"
