STUDENT = "{dataset}-{student}-w{width}-s{seed}"


def teacher_of(pattern):
    """The teacher that a student names in params.yaml, of the same dataset and seed."""
    name = LEDGER.item("train_student", STUDENT, "teacher")
    return lambda wildcards: pattern.format(
        dataset=wildcards.dataset, teacher=name(wildcards), seed=wildcards.seed
    )


rule train_student:
    input:
        unpack(
            LEDGER.needs(
                "train_student",
                STUDENT,
                data="results/prepare_data/{dataset}/images.npz",
                teacher=teacher_of(
                    "results/train_teacher/{dataset}-{teacher}-s{seed}/model.safetensors",
                ),
                tirt=teacher_of(
                    "results/export_tirt/{dataset}-{teacher}-s{seed}/tirt.safetensors",
                ),
            )
        ),
    output:
        model=f"results/train_student/{STUDENT}/model.safetensors",
        history=f"results/train_student/{STUDENT}/history.csv",
        cost=f"results/train_student/{STUDENT}/cost.json",
    log:
        f"results/logs/train_student/{STUDENT}.out",
    benchmark:
        f"results/benchmarks/train_student/{STUDENT}.tsv"
    resources:
        **ASK.of("train_student", STUDENT),
    shell:
        "{RUN}/train_student.py --recipe {input.recipe:q} > {log:q} 2>&1"
