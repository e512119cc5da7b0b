SAMPLES = "{dataset}-{label}-s{seed}-{sampler}"
PART = f"results/.state/parts/generate_samples/{SAMPLES}/{{part}}-of-{{parts}}"


rule generate_samples:
    input:
        unpack(
            LEDGER.needs(
                "generate_samples",
                fields=PLAN.sampled,
                # of train_teacher or train_student, as the label says
                model="{model_path}",
                parts=LEDGER.parts("generate_samples", PART),
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
        **RESOURCES.of(
            "generate_samples", COUNTER.generate_samples, gpu=True, shards="shards"
        ),
    params:
        run=RUN,
        counted=["diffusion", "generate_samples", "tag.w_min", "tag.beta"],
    shell:
        "{params.run}/generate_samples.py --recipe {input.recipe:q} > {log:q} 2>&1"


# With shards: N in the profile, N jobs make the chunks of one sample set; the rule above then only joins them.
rule generate_part:
    input:
        unpack(
            LEDGER.needs(
                "generate_samples",
                fields=PLAN.sampled,
                model="{model_path}",
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
        **RESOURCES.of("generate_samples", share=True),
    params:
        run=RUN,
    shell:
        "{params.run}/generate_samples.py --recipe {input.recipe:q} --part {wildcards.part}/{wildcards.parts} > {log:q} 2>&1"
