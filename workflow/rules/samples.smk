SAMPLES = "{dataset}-{model}-s{seed}-{sampler}"
PART = f"results/.state/parts/generate_samples/{SAMPLES}/{{part}}-of-{{parts}}"


rule generate_samples:
    input:
        unpack(
            LEDGER.needs(
                "generate_samples",
                SAMPLES,
                model=LEDGER.item("generate_samples", SAMPLES, "model_path"),
                parts=LEDGER.parts("generate_samples", SAMPLES, PART),
            )
        ),
    output:
        f"results/generate_samples/{SAMPLES}/samples.npz",
    log:
        f"results/logs/generate_samples/{SAMPLES}.out",
    benchmark:
        f"results/benchmarks/generate_samples/{SAMPLES}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("generate_samples", SAMPLES),
    params:
        run=RUN,
    shell:
        "{params.run}/generate_samples.py --recipe {input.recipe:q} > {log:q} 2>&1"


# With shards: N in the profile, N jobs make the chunks of one sample set; the rule above then only joins them.
rule generate_part:
    input:
        unpack(
            LEDGER.needs(
                "generate_samples",
                SAMPLES,
                model=LEDGER.item("generate_samples", SAMPLES, "model_path"),
            )
        ),
    output:
        temp(touch(PART)),
    log:
        f"results/logs/generate_samples/{SAMPLES}.{{part}}-of-{{parts}}.out",
    benchmark:
        f"results/benchmarks/generate_samples/{SAMPLES}.{{part}}-of-{{parts}}.tsv"
    wildcard_constraints:
        part=r"\d+",
        parts=r"\d+",
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("generate_samples", SAMPLES, share=True),
    params:
        run=RUN,
    shell:
        "{params.run}/generate_samples.py --recipe {input.recipe:q} --part {wildcards.part}/{wildcards.parts} > {log:q} 2>&1"
