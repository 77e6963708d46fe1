"""SearchTrain: questions -> tagged -> trajectories -> curated -> sft_dataset.json -> checkpoint -> test.json.

Every knob stands in config/config.yaml; rules/ holds one chapter per file, in pipeline order.
"""

from snakemake.utils import min_version

min_version("9.27.1")


configfile: "config/config.yaml"


pathvars:
    # Where corpus and index are; runs over the same passages may share them.
    shared="<results>",


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/world.smk"
include: "rules/corpus.smk"
include: "rules/trees.smk"
include: "rules/questions.smk"
include: "rules/trajectories.smk"
include: "rules/curation.smk"
include: "rules/training.smk"
include: "rules/prediction.smk"
include: "rules/serving.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        "<results>/test.json",
        "<results>/metrics.json",
        "<results>/yield.json",
        "<results>/figures/overview.html",
        ["<results>/trees/gallery.html"] if CONFIG.trees.enabled else [],
