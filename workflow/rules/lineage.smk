# What the records need of Snakemake: code fingerprints, fetching, several instances a process, targets.
TOOL = verbatim(f"PYTHONPATH={LEDGER.code}/runledger/src {PYTHON} -m runledger")


rule fingerprint_code:
    input:
        unpack(LEDGER.needs("fingerprint_code")),
    output:
        in_git("results/code/{stage}.json"),
    log:
        "results/logs/fingerprint_code/{stage}.out",
    benchmark:
        "results/benchmarks/fingerprint_code/{stage}.tsv"
    wildcard_constraints:
        stage="[a-z_]+",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of("fingerprint_code"),
    params:
        run=RUN,
    shell:
        "{params.run}/fingerprint_code.py --recipe {input.recipe:q} > {log:q} 2>&1"


# A valid file that a stale job needs and that is absent (or has wrong bytes) comes from its record, the
# cache or the remote; the head does it, for cluster jobs run no DVC code.
rule fetch:
    input:
        LEDGER.ticket,
    output:
        "{path}",
    log:
        "results/logs/fetch/{path}.out",
    benchmark:
        "results/benchmarks/fetch/{path}.tsv"
    wildcard_constraints:
        path=LEDGER.fetchable(),
    localrule: True
    conda:
        ENVIRONMENT
    params:
        tool=TOOL,
    shell:
        "{params.tool} fetch {input:q} > {log:q} 2>&1"


workflow.ruleorder("fetch", *LEDGER.stages)


# What a cluster job of an earlier head (killed since) is still to make: waited for, not submitted again.
for waiting in LEDGER.waiting:

    rule:
        name:
            waiting.name
        input:
            recipe=LEDGER.bundle_recipes(waiting),
        output:
            LEDGER.bundle_outputs(waiting),
        log:
            f"results/logs/await/{waiting.name}.out",
        benchmark:
            f"results/benchmarks/await/{waiting.name}.tsv"
        localrule: True
        conda:
            ENVIRONMENT
        params:
            tool=TOOL,
            job=waiting.job,
        shell:
            "{params.tool} await {params.job} {input.recipe:q}" " > {log:q} 2>&1"


for bundle in LEDGER.bundles:

    rule:
        name:
            bundle.name
        input:
            files=LEDGER.bundle_inputs(bundle),
            recipe=LEDGER.bundle_recipes(bundle),
        output:
            LEDGER.bundle_outputs(bundle),
        log:
            f"results/logs/{bundle.stage}/{bundle.name}.log",
        benchmark:
            f"results/benchmarks/{bundle.stage}/{bundle.name}.tsv"
        localrule: bundle.stage == "fingerprint_code"
        conda:
            ENVIRONMENT
        resources:
            **RESOURCES.of_bundle(bundle),
        params:
            run=RUN,
            program=bundle.stage,
        shell:
            "{params.run}/{params.program}.py --recipe {input.recipe:q} > {log:q} 2>&1"
