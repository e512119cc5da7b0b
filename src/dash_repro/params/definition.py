"""Every key of params.yaml: type, range, default, unit, source, text; see `keys`.

A class is a section, and a line a key. The default is the paper's value.
Sources are of arXiv:2606.00798v1, or "choice" where the paper is silent.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dash_repro.data.sources import SOURCES
from dash_repro.evaluation.extractors import EXTRACTORS
from dash_repro.objectives.kinds import OBJECTIVES
from dash_repro.params.keys import (
    Between01,
    Colour,
    Count,
    Counts,
    Decimals,
    Name,
    Names,
    NotNegative,
    Number,
    Numbers,
    Numerics,
    OneOrThree,
    Positive,
    Section,
    Seed,
    Seeds,
    Share,
    TwoOrMore,
    UpToOne,
    ZeroOrOne,
    blocks,
    key,
)

A1, A2 = "Table A1", "Table A2"

# fmt: off

class Dataset(Section):
    """the images that one dataset is made from"""
    source: Literal[tuple(SOURCES)] = key(
        ..., "torchvision: CIFAR; folder: train/CLASS/, test/CLASS/; others are built in", "")
    name: str = key("", "torchvision's class, CIFAR10 or CIFAR100; otherwise empty", "")
    path: str = key("", "folder of the archives or of train/ and test/; built in: empty", "")
    image_size: Annotated[int, Field(ge=8)] = key(
        32, "side of an image; others are resized", "Section 4.1", unit="pixels")
    channels: OneOrThree = key(3, "grey or RGB, in data, noise and networks", "Section 4.1")
    max_train: Count | None = key(None, "most training images, balanced over classes; null: all", "Section 4.1")
    max_test: Count | None = key(None, "most test images, likewise", "Section 4.1")

class Diffusion(Section):
    """the forward process (Section 3.1)"""
    timesteps: TwoOrMore = key(1000, "T, the number of noise levels", "Section 3.1")
    schedule: Literal["cosine"] = key("cosine", "that of Nichol & Dhariwal", "Section 3.1")
    cosine_s: NotNegative = key(0.008, "its offset s", "Nichol & Dhariwal (2021)")
    beta_min: Between01 = key(1e-4, "lower bound of every beta")
    beta_max: Between01 = key(0.9999, "upper bound of every beta")

class Network(Section):
    """the U-Net, of teacher and students (Sections 3.3, 3.4)"""
    channel_mult: Annotated[list[Count], Field(min_length=1)] = key(
        [1, 2, 2, 2], "width multiplier of each resolution", A1)
    attention_resolution: Count = key(
        16, "size with self-attention after every block; the middle has it too", A1, unit="pixels")
    dropout: Share = key(0.1, "dropout rate in residual blocks")
    norm_groups: Counts = key([32, 24], "groups of GroupNorm: the first that divides the width")
    norm_eps: Positive = key(1e-6, "epsilon of GroupNorm")

class Training(Section):
    """what trainings of teachers and students share"""
    blocks: Count = key(..., "residual blocks a level", A1, protocol=True)
    iterations: Count = key(..., "training steps", A1, protocol=True)
    batch_size: Count = key(64, "batch of one training step", A1, unit="images")
    optimizer: Literal["adam", "adamw"] = key("adam", "the update rule", "Appendix A", code="adamw")
    weight_decay: NotNegative = key(..., "weight decay of adamw", "Appendix A")
    betas: Annotated[list[Share], Field(min_length=2, max_length=2)] = key(
        [0.9, 0.999], "decay of Adam's two averages", "Appendix A")
    learning_rate: Positive = key(..., "learning rate at the start", A1)
    lr_schedule: Literal["cosine", "cosine_epoch", "constant"] = key(
        "cosine", "annealed by step, by epoch, or never", "Appendix A", code="cosine_epoch")
    lr_epoch: Count = key(782, "length of an epoch, for cosine_epoch", A1, unit="steps", code=704)
    lr_min: NotNegative = key(0.0, "learning rate where annealing ends", code=1e-6)
    grad_clip: Positive = key(1.0, "largest norm of the gradient", "Appendix A")
    grad_clip_lambda: bool = key(True, "lambda's gradient is part of that norm", code=False)
    ema_decay: Share = key(..., "tau, decay of the exponential average of the weights", A1)
    label_dropout_mode: Literal["sample", "batch"] = key(
        "sample", "a coin for each image, or one for the batch", "usual", code="batch")
    holdout: Share = key(0.0, "share of the training images left out", "Section 4.1", code=0.1)
    numerics: Numerics = key("fp16", "precision; fp16 is mixed, as in the released code; slow on a CPU")

class TrainTeacher(Training):
    """the teachers' training (Table A1)"""
    width: Count = key(128, "base channels", A1, protocol=True)
    blocks: Count = key(2, "residual blocks a level", A1, protocol=True)
    iterations: Count = key(391_000, "training steps", "Table A1: 500 epochs of 782", code=352_000, protocol=True)
    weight_decay: NotNegative = key(0.0, "weight decay of adamw", "Appendix A", code=0.01)
    learning_rate: Positive = key(2e-4, "learning rate at the start", A1)
    ema_decay: Share = key(0.9999, "tau, decay of the exponential average of the weights", A1)
    label_dropout: Share = key(0.1, "share of labels replaced by the null token", A1)
    snapshots: TwoOrMore = key(40, "lambda and omega_hat are recorded at this many log-spaced steps")
    monitor_batch: Count = key(64, "batch of the loss by timestep in the last snapshot", unit="images")

class Teacher(Section):
    """weighting of a teacher's loss over timesteps"""
    weighting: Literal["learned", "min_snr"] = key("learned", "with lambda (TIRT), or without it", "Eq. 2")
    gamma: Positive = key(5.0, "gamma, cap of the SNR", A1)
    base: Literal["min_snr_over_snr", "min_snr"] = key(
        "min_snr_over_snr", "min(SNR, gamma) / SNR, or not divided", "Eq. 2", code="min_snr")
    normalizer: Literal["timesteps", "batch"] = key(
        "timesteps", "omega's mean is over all timesteps or the batch", "Eq. 2", code="batch")
    normalizer_gradient: Literal["differentiated", "detached"] = key(
        "differentiated", "the gradient goes through that mean, or not")
    lambda_init: Number = key(0.0, "lambda of every timestep at the start", "Section 3.3")
    lambda_lr: Positive = key(2e-4, "learning rate of lambda; the network's own")

class TrainStudent(Training):
    """the students' training (Table A1)"""
    blocks: Count = key(1, "residual blocks a level", A1, protocol=True)
    iterations: Count = key(234_000, "training steps", "Table A1: 300 epochs of 782", code=190_080, protocol=True)
    weight_decay: NotNegative = key(0.0, "weight decay of adamw", "Appendix A", code=0.001)
    learning_rate: Positive = key(1e-4, "learning rate at the start", A1, code=2e-4)
    ema_decay: Share = key(0.999, "tau, decay of the exponential average of the weights", A1, code=0.9995)
    monitor_every: Count = key(1000, "distance of records of rho and branch errors, for Figure 5a", unit="steps")
    monitor_batch: Count = key(64, "batch of such a record", unit="images")

class Student(Section):
    """an objective, its weights and its teacher"""
    objective: Literal[tuple(OBJECTIVES)] = key(
        "branches", "branches: Eqs. 5-8; composite: guided noise; features: FitNets; guided: one branch for it", "Section 4.3")
    lambda_im: NotNegative = key(1.0, "weight of |eps_S^y - eps_T^y|^2, Eq. 5", A1)
    lambda_un: NotNegative = key(1.0, "weight of |eps_S^0 - eps_T^0|^2, Eq. 6", A1)
    lambda_an: NotNegative = key(0.1, "weight of |eps_S^y - eps|^2, Eq. 7", A1)
    guidance: Literal["constant", "tag", "uniform"] = key(
        "constant", "guidance that composite and guided learn: w, TAG, or w drawn for each batch", "Section 4.1")
    guidance_scale: Number = key(4.0, "its w (with TAG: w_max; drawn: the largest)", A2)
    guidance_min: Number = key(1.0, "its w_min of Eq. 3, with TAG; drawn: the smallest", A1)
    guidance_beta: Number = key(5.0, "its beta of Eq. 3, with TAG", A1)
    teacher: Name = key("tirt", "a block of teachers, of the same training seed")
    weighting: Literal["transfer", "min_snr", "learned"] = key(
        "transfer", "the teacher's, frozen; fixed; lambda learned from 0", "Eq. 10")
    normalizer: Literal["timesteps", "batch"] = key(
        "timesteps", "mean of frozen weights is over all timesteps or the batch", "Eq. 10", code="batch")
    lambda_lr: Positive = key(1e-4, "learning rate of lambda, if learned; the network's own")
    label_dropout: Share = key(0.0, "share of null labels; only for noise and branches", A1)
    null_init_std: NotNegative = key(1.0, "standard deviation of the null token's first embedding")
    init: Literal["random", "pruned"] = key("random", "first weights: drawn, or the teacher's largest channels")
    blocks: Count | None = key(None, "residual blocks a level; null: those of train_student", A1)

class TrainClassifier(Section):
    """the network that tells the classes of samples apart"""
    width: Count = key(32, "channels at full resolution; doubled where images are halved")
    iterations: Count = key(20_000, "training steps; some dozen passes over the images")
    batch_size: Count = key(128, "batch of one training step", unit="images")
    learning_rate: Positive = key(0.003, "largest learning rate of AdamW; it rises, then falls to zero")
    weight_decay: NotNegative = key(0.05, "weight decay of AdamW")
    flip: bool = key(True, "half of the images are turned left to right; not for letters and digits")
    seed: Seed = key(0, "seed of its start, of the order and the shifts of the images")

class DistillSteps(Section):
    """students distilled to fewer sampling steps (Appendix F); else as train_student"""
    iterations: Count = key(50_000, "training steps", "Salimans & Ho (2022)")
    guidance_scale: Number = key(4.0, "w of the path that is followed", A2)
    pairs: Count = key(1000, "triples (x_t, t, y) of test images, to compare the gap")

class Tag(Section):
    """timestep-adaptive guidance, at sampling only (Eq. 3)"""
    w_min: Number = key(1.0, "guidance at high noise", A1)
    w_max: Number = key(4.0, "guidance at low noise", A1)
    beta: Number = key(5.0, "steepness of the sigmoid", A1)

class GenerateSamples(Section):
    """a set of generated images (Table A2)"""
    num_samples: Count = key(50_000, "size of a set", A2, unit="images", protocol=True)
    eta: UpToOne = key(0.0, "noise that DDIM adds", A2)
    clip_x0: bool = key(True, "x0 kept in [-1, 1] at each step")
    use_clipped_model_output: bool = key(False, "eps is then recomputed from that x0 (docs/sampling.md)")
    chunk_size: Count = key(500, "batch, on which the last bits depend", unit="images")
    numerics: Numerics = key("fp16", "precision of the network; the state is fp32")

class Extractor(Section):
    """features for FID, IS and KID"""
    name: Literal[tuple(EXTRACTORS)] = key(
        "inception", "only inception gives FID; effnetlite0 and 2 need no download, classifier is that of train_classifier, dinov2 and clip need timm and a file of weights", A2, protocol=True)
    mode: Literal["legacy_tensorflow", "clean"] = key(
        "legacy_tensorflow", "resizing of clean-fid; papers on CIFAR use the first")
    weights_url: str = key(
        "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt", "where Inception is published", "StyleGAN2-ADA")
    weights_path: str = key("data/inception-2015-12-05.pt", "file of its weights (inception, dinov2, clip); downloaded to there if absent", "")
    weights_sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = key(
        "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4", "what its bytes must hash to", "")

class ExtractReference(Section):
    """what samples are compared with"""
    split: Literal["train", "test"] = key("train", "images that samples are compared with", "usual for CIFAR")
    floor_split: Literal["train", "test"] = key("test", "real images, measured as if they were samples")
    floor_sets: Count = key(10, "random subsets of those, each as large as a set of samples")

class ComputeMetrics(Section):
    """FID, IS and KID of a set of samples"""
    is_splits: Count = key(10, "splits of the Inception score", "Salimans et al. (2016)")
    kid_subsets: Count = key(100, "random subsets that KID is a mean of")
    kid_subset_size: TwoOrMore = key(1000, "size of each", unit="images")
    infinity_points: TwoOrMore = key(15, "sizes of subsets through which FID at infinity is a line", "Chong & Forsyth (2020)")
    infinity_least: TwoOrMore = key(5000, "the smallest of them", "Chong & Forsyth (2020)", unit="images")
    precision_k: Count = key(3, "a ball of precision and recall reaches to this neighbour", "Kynkäänniemi et al. (2019)")
    precision_images: Count = key(10_000, "most samples and most real images that they are measured on", unit="images")
    closest_pairs: Count = key(10, "pairs of a sample and its nearest training image that are shown")
    shuffle_seed: Seed = key(0, "seed of the order before the splits, and of the subsets")

class MeasureCalibration(Section):
    """the guidance gap of student and teacher (Section 4.1)"""
    pairs: Count = key(10_000, "triples (x_t, t, y) of test images", A2, protocol=True)
    bins: Count = key(20, "bins of rho(t)")
    seed: Seed = key(0, "seed of t, which is uniform, and of the noise")
    batch_size: Count = key(250, "batch, on which the last bits depend", unit="pairs")
    cos_undefined_below: NotNegative = key(0.1, "rho below which cos is a dash", "Table 3")
    numerics: Numerics = key("fp32", "precision; half of it would blur the gap")

class ProfileModel(Section):
    """the efficiency table of the released code's README"""
    batch_size: Count = key(64, "batch of a forward pass", unit="images")
    steps: Count = key(50, "guided DDIM steps counted", A2)
    repeats: Count = key(10, "timed forward passes; their median is reported")

class Experiment(Section):
    """runs of one table"""
    datasets: Names = key(..., "blocks of prepare_data", "Section 4.1")
    seeds: Seeds = key(..., "seeds of training", A1)

class OneWidth(Experiment):
    """runs of one table, of students of one width"""
    width: Count = key(..., "base channels of the students", A1)

class Table2(Experiment):
    """teacher components"""
    guidance_scale: Number = key(..., "w of min_snr and tirt_only", "Table 2")

class StudentTable(OneWidth):
    """students side by side"""
    students: Names = key(..., "blocks of students, a row each", "Tables 3 and 4")

class TableC5(OneWidth):
    """sampling steps"""
    student: Name = key(..., "a block of students", "Table C5")
    steps: Counts = key(..., "numbers of DDIM steps", "Table C5")

class TableC6(Experiment):
    """student widths"""
    widths: Counts = key(..., "base channels of the students", "Table C6")
    students: Names = key(..., "blocks of students, a row each", "Tables 3 and 4")

class TableC7(OneWidth):
    """guidance scales"""
    student: Name = key(..., "a block of students", "Table C7")
    guidance_scales: Numbers = key(..., "constant w of the student, w_max of the teacher's TAG", "Table C7")
    beside: list[Name] = key([], "more blocks of students, for Figure S6 alone")

class Stepwise(OneWidth):
    """students distilled to fewer sampling steps"""
    student: Name = key(..., "a block of students", "Appendix F")
    steps: Counts = key(..., "numbers of DDIM steps: the student's own, then those it is distilled to", "Table C5")

class Weightings(Experiment):
    """teachers side by side, by how they weight timesteps; the paper has none of this"""
    teachers: Names = key(..., "blocks of teachers, a panel each")

class Sampling(Section):
    """shared by all experiments"""
    steps: Count = key(50, "K, DDIM steps", A2, protocol=True)
    guidance_scale: Number = key(4.0, "w of classifier-free guidance", A2)
    student_guidance: Literal["constant", "tag"] = key("constant", "guidance of students", "Section 4.1", code="tag")
    sampling_seeds: Seeds = key([0], "seeds of the sets of samples that each training gets", code=[0, 1, 2])

class Experiments(Section):
    """which runs make which table; seeds are training seeds; all but table3 may be left out"""
    table2: Table2 = None
    table3: StudentTable
    table4: StudentTable = None
    tableC5: TableC5 = None
    tableC6: TableC6 = None
    tableC7: TableC7 = None
    anchor: StudentTable = None
    released: StudentTable = None
    stepwise: Stepwise = None
    weightings: Weightings = None
    sampling: Sampling

class MakeTable(Section):
    """how numbers are printed"""
    decimals: Decimals = key(2, "most decimals of FID and IS", "Table 3")
    calibration_decimals: Decimals = key(2, "most decimals of rho and cos", "Table 3")
    gap_decimals: Decimals = key(3, "most decimals of the gap MSE", "Table 3")
    ddof: ZeroOrOne = key(1, "n or n - 1 in the standard deviation over seeds")

class PlotFigure(Section):
    """how figures look"""
    dpi: Annotated[int, Field(ge=50, le=600)] = key(200, "resolution of the PNG", unit="dots an inch")
    font_size: Positive = key(9.0, "size of text", unit="points")
    width: Positive = key(5.5, "width of a figure over the whole page", unit="inches")
    palette: dict[str, Colour] = key(..., "a colour for each line", "Okabe & Ito: safe for the colour-blind")

class RankPairs(Section):
    """the pairs of Figures D6 and D7"""
    pool: Count = key(300, "matched pairs, ranked by the distance of their features", "Figure D6")
    shown: Count = key(10, "how many of the worst", "Figure D6", unit="pairs")

class Params(Section):
    """The settings: as committed they are the paper (arXiv:2606.00798v1)."""
    scale: Literal["paper", "demo", "study", "own"] = key(
        ..., "paper: its lengths, data and metric; demo: a toy, marked so; study: the paper's comparisons on other data and sizes, marked so; own: own data or settings, no comparison with the paper", "")
    prepare_data: dict[Name, Dataset] = blocks("one block for each dataset")
    diffusion: Diffusion
    network: Network
    train_teacher: TrainTeacher
    teachers: dict[Name, Teacher] = blocks("how a teacher weights timesteps")
    train_student: TrainStudent
    distill_steps: DistillSteps
    student_defaults: Student
    students: dict[Name, Student] = blocks(
        "one block for each student; its name in an experiment makes it a row", inherits="student_defaults")
    train_classifier: TrainClassifier
    tag: Tag
    generate_samples: GenerateSamples
    extractor: Extractor
    extract_reference: ExtractReference
    compute_metrics: ComputeMetrics
    measure_calibration: MeasureCalibration
    profile_model: ProfileModel
    experiments: Experiments
    make_table: MakeTable
    plot_figure: PlotFigure
    rank_pairs: RankPairs
