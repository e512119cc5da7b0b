# What the records need of Snakemake: code fingerprints, fetching, several instances a process, targets.


rule fingerprint_code:
    input:
        unpack(LEDGER.needs("fingerprint_code", "{stage}")),
    output:
        "results/code/{stage}.json",
    log:
        "results/logs/fingerprint_code/{stage}.log",
    benchmark:
        "results/benchmarks/fingerprint_code/{stage}.tsv"
    wildcard_constraints:
        stage="[a-z_]+",
    shell:
        "{RUN}/fingerprint_code.py --recipe {input.recipe:q}"


# A valid file that a stale job needs and that is absent (or has wrong bytes) comes from its record, the
# cache or the remote; the head does it, for cluster jobs run no DVC code.
rule fetch:
    input:
        LEDGER.ticket,
    output:
        "{path}",
    log:
        "results/logs/fetch/{path}.log",
    benchmark:
        "results/benchmarks/fetch/{path}.tsv"
    wildcard_constraints:
        path=LEDGER.fetchable(),
    localrule: True
    shell:
        "PYTHONPATH={LEDGER.code}/src {sys.executable} -m runledger fetch {input:q} > {log:q} 2>&1"


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
        params:
            program=bundle.stage,
        shell:
            "{RUN}/{params.program}.py --recipe {input.recipe:q} > {log:q} 2>&1"


for target in LEDGER.aliases.keys() - {"all"}:

    rule:
        name:
            target
        input:
            "params.yaml",
            LEDGER.targets(target, workflow),
        localrule: True
