"""The one generic service rule: each stage gets each server that it needs, for itself alone.

Snakemake starts a service and its consumer together and ends them together, so a server has one
consumer. Outputs: .serve/<job>-<server>.json, the endpoint file, gone when the job is done.
"""


rule serve:
    input:
        of_server(serving.list_served_files),
    output:
        service("<results>/.serve/{job}-{server}.json"),
    log:
        "<logs>/serve-{job}-{server}.log",
    conda:
        of_server(serving.name_environment)
    threads: 0
    resources:
        gpu=of_server(serving.count_gpus),
    params:
        identity=of_server(serving.identify_server),
        spec=PROJECT.launch,
    shell:
        "exec python scripts/serve.py"
        " --server {wildcards.server:q}"
        " --spec {params.spec:q}"
        " --endpoint {output:q}"
        " --log {log:q}"
