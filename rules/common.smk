"""Load the config and make what rules say (`searchtrain.workflow`) available to them.

A rule names its stage: `**servers("tag")` are the servers among its inputs, `**stage("tag")` its
parameters, of which `settings` and `code` make it stale and the others do not.
"""

import sys

sys.path.insert(0, f"{workflow.basedir}/scripts")

from snakemake.exceptions import WorkflowError

from searchtrain.core.errors import SearchTrainError
from searchtrain.workflow import servers as serving
from searchtrain.workflow import students
from searchtrain.workflow.adapter import Run, check_version, find_library
from searchtrain.workflow.project import Project

check_version()
RUN = Run(workflow)
try:
    PROJECT = Project(RUN.folder, config)
except SearchTrainError as error:
    raise WorkflowError(str(error))
CONFIG = PROJECT.config
DATA = CONFIG.data
stage, servers = PROJECT.stage, PROJECT.servers
prompt, included = PROJECT.prompt, PROJECT.included
of_round, of_student, of_server = PROJECT.of_round, PROJECT.of_student, PROJECT.of_server


onstart:
    PROJECT.begin(RUN)


onerror:
    logger.error(
        "Once this is fixed the same command goes on; answers that were paid for are kept."
    )
    RUN.restore()


onsuccess:
    PROJECT.end(RUN)


wildcard_constraints:
    round=students.DATA,
    student=students.SCORED,
    shard=r"[1-9]\d*",
    name="|".join(DATA.qrels) or "none",
