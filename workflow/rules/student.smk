STUDENT = "{dataset}-{student}-w{width}-s{seed}"
STEPPED = "{dataset}-{origin}_k{steps}-w{width}-s{seed}"
# {teacher} is the block of `teachers` that the student's block names
OF_TEACHER = "{dataset}-{teacher}-s{seed}"


rule train_student:
    input:
        unpack(
            LEDGER.needs(
                "train_student",
                fields=PLAN.teacher,
                data="results/prepare_data/{dataset}/images.npz",
                teacher=f"results/train_teacher/{OF_TEACHER}/model.safetensors",
                tirt=f"results/export_tirt/{OF_TEACHER}/tirt.safetensors",
            )
        ),
    output:
        model=f"results/train_student/{STUDENT}/model.safetensors",
        history=curves(
            f"results/train_student/{STUDENT}/history.csv",
            x="step",
            y=("rho", "loss"),
            by=("dataset", "width", "seed"),
        ),
        cost=in_git(f"results/train_student/{STUDENT}/cost.json"),
    log:
        f"results/logs/train_student/{STUDENT}.out",
    benchmark:
        f"results/benchmarks/train_student/{STUDENT}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of(
            "train_student",
            COUNTER.train_student,
            gpu=True,
            kind="training",
            bundle="pack",
            by=("dataset", "teacher", "seed"),
            together=COUNTER.packed,
        ),
    params:
        run=RUN,
        counted=["diffusion", "network", "train_student", "students.{student}"],
    shell:
        "{params.run}/train_student.py --recipe {input.recipe:q} > {log:q} 2>&1"


# A student of fewer sampling steps starts from one of more: {start_path} of train_student, or of this stage.
rule distill_steps:
    input:
        unpack(
            LEDGER.needs(
                "distill_steps",
                fields=PLAN.distilled,
                data="results/prepare_data/{dataset}/images.npz",
                teacher=f"results/train_teacher/{OF_TEACHER}/model.safetensors",
                tirt=f"results/export_tirt/{OF_TEACHER}/tirt.safetensors",
                start="{start_path}",
            )
        ),
    output:
        model=f"results/distill_steps/{STEPPED}/model.safetensors",
        history=curves(
            f"results/distill_steps/{STEPPED}/history.csv",
            x="step",
            y=("rho", "loss"),
            by=("dataset", "width", "seed"),
        ),
        gap=in_git(f"results/distill_steps/{STEPPED}/gap.json"),
        cost=in_git(f"results/distill_steps/{STEPPED}/cost.json"),
    log:
        f"results/logs/distill_steps/{STEPPED}.out",
    benchmark:
        f"results/benchmarks/distill_steps/{STEPPED}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of(
            "distill_steps",
            COUNTER.distill_steps,
            gpu=True,
            kind="training",
            # no chain within a process
            by=("steps",),
        ),
    params:
        run=RUN,
        counted=["diffusion", "train_student", "distill_steps", "students.{origin}"],
    shell:
        "{params.run}/distill_steps.py --recipe {input.recipe:q} > {log:q} 2>&1"
