# Included last by a Snakefile whose rules are all recorded: `include: runledger.rules()`.
from runledger.workflows.hooks import attach

RUNLEDGER = attach(workflow)

# A valid file that a job needs, or a target asks for, and that is absent or has wrong
# bytes comes from its record, from the cache or the remote.
if RUNLEDGER:

    rule runledger_fetch:
        input:
            RUNLEDGER.ticket,
        output:
            "{path}",
        wildcard_constraints:
            path=RUNLEDGER.fetchable(),
        localrule: True
        params:
            tool=RUNLEDGER.tool,
        shell:
            "{params.tool} fetch {input:q}"

    rule runledger_fetch_folder:
        input:
            RUNLEDGER.ticket,
        output:
            directory("{path}"),
        wildcard_constraints:
            path=RUNLEDGER.fetchable(folders=True),
        localrule: True
        params:
            tool=RUNLEDGER.tool,
        shell:
            "{params.tool} fetch {input:q}"

    RUNLEDGER.order(workflow)
