TEACHER = "{dataset}-{teacher}-s{seed}"


rule train_teacher:
    input:
        unpack(
            LEDGER.needs(
                "train_teacher",
                TEACHER,
                data="results/prepare_data/{dataset}/images.npz",
            )
        ),
    output:
        model=f"results/train_teacher/{TEACHER}/model.safetensors",
        history=f"results/train_teacher/{TEACHER}/history.csv",
        curriculum=f"results/train_teacher/{TEACHER}/curriculum.npz",
        cost=f"results/train_teacher/{TEACHER}/cost.json",
    log:
        f"results/logs/train_teacher/{TEACHER}.out",
    benchmark:
        f"results/benchmarks/train_teacher/{TEACHER}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("train_teacher", TEACHER),
    params:
        run=RUN,
    shell:
        "{params.run}/train_teacher.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule export_tirt:
    input:
        unpack(
            LEDGER.needs(
                "export_tirt",
                TEACHER,
                teacher=f"results/train_teacher/{TEACHER}/model.safetensors",
            )
        ),
    output:
        f"results/export_tirt/{TEACHER}/tirt.safetensors",
    log:
        f"results/logs/export_tirt/{TEACHER}.out",
    benchmark:
        f"results/benchmarks/export_tirt/{TEACHER}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("export_tirt", TEACHER),
    params:
        run=RUN,
    shell:
        "{params.run}/export_tirt.py --recipe {input.recipe:q} > {log:q} 2>&1"
