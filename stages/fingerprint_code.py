"""Write the fingerprint of the code that one stage runs."""

import _path  # noqa: F401
from runledger import write_code_file
from runledger.job import Job, main


def run(job: Job) -> None:
    """Write results/code/<stage>.json."""
    write_code_file(
        job.root, job.context.code_root, job.id, job.output(f"{job.id}.json")
    )


if __name__ == "__main__":
    main("fingerprint_code", run)
