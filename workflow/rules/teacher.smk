TEACHER = "{dataset}-{teacher}-s{seed}"


rule train_teacher:
    input:
        unpack(
            LEDGER.needs(
                "train_teacher",
                data="results/prepare_data/{dataset}/images.npz",
            )
        ),
    output:
        model=f"results/train_teacher/{TEACHER}/model.safetensors",
        history=curves(
            f"results/train_teacher/{TEACHER}/history.csv",
            x="step",
            y=("loss",),
            by=("dataset", "seed"),
        ),
        curriculum=f"results/train_teacher/{TEACHER}/curriculum.npz",
        cost=in_git(f"results/train_teacher/{TEACHER}/cost.json"),
    log:
        f"results/logs/train_teacher/{TEACHER}.out",
    benchmark:
        f"results/benchmarks/train_teacher/{TEACHER}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of(
            "train_teacher",
            COUNTER.train_teacher,
            gpu=True,
            kind="training",
            bundle="",
        ),
    params:
        run=RUN,
        counted=["diffusion", "network", "train_teacher", "teachers.{teacher}"],
    shell:
        "{params.run}/train_teacher.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule export_tirt:
    input:
        unpack(
            LEDGER.needs(
                "export_tirt",
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
        **RESOURCES.of("export_tirt"),
    params:
        run=RUN,
        counted=["teachers.{teacher}"],
    shell:
        "{params.run}/export_tirt.py --recipe {input.recipe:q} > {log:q} 2>&1"
