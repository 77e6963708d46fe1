"""One run at a time, and a run that fails leaves earlier results as they were.

Snakemake deletes the outputs of a rule before the rule starts, so a fault in an input or a server
that does not answer would cost the result of the last good run. What is about to be rebuilt is
therefore kept aside as hard links, and put back, with Snakemake's record of how it was made, when
its rule failed: it is as stale as before, and still there.
"""

import fcntl
import shutil

from searchtrain.core.files import link_tree

LOCK = Path(".snakemake/searchtrain.lock")
EARLIER = Path(".snakemake/earlier")
held, earlier, services = [], {}, []


onstart:
    # Snakemake's own lock outlives a run that was killed; the kernel gives this one back.
    # It is kept open, and so held, for as long as this process lives.
    held.append(LOCK.open("w"))
    try:
        fcntl.flock(held[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise WorkflowError(f"another run works in {Path.cwd()} ({LOCK} is held): wait for it")
    # Not when the workflow is read: plan.md and dry runs of a plan that is too long must work.
    check_hours(workflow.dag.needrun_jobs())
    check_gpus(workflow.dag.needrun_jobs())
    shutil.rmtree(EARLIER, ignore_errors=True)
    for job in workflow.dag.needrun_jobs():
        for file in job.output:
            record = workflow.persistence.metadata(file)
            if record is not None and Path(file).exists():
                earlier[file] = (EARLIER / str(len(earlier)), record)
                link_tree(Path(file), earlier[file][0])
            elif record is not None:
                # A service's file is gone; its record is as old as what its consumers made.
                consumers = [out for user in workflow.dag.depending[job] for out in user.output]
                services.append((file, record, consumers))


onerror:
    logger.error(
        "Once this is mended the same command goes on; answers that were bought are kept."
    )
    lost = {file for file in earlier if not Path(file).exists()}
    for file in lost:
        kept, record = earlier[file]
        link_tree(kept, Path(file))
        workflow.persistence._write_record(str(file), record)
    for file, record, consumers in services:
        if lost.intersection(consumers):
            workflow.persistence._write_record(str(file), record)


onsuccess:
    shutil.rmtree(EARLIER, ignore_errors=True)
