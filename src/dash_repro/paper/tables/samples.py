"""Table S3: what else is known of the samples of Table 3."""

from __future__ import annotations

from dash_repro.paper.columns import Spread, known
from dash_repro.paper.measures import EXTRA, quality
from dash_repro.paper.needs import STUDENTS, TEACHER
from dash_repro.paper.protocol import SPREAD
from dash_repro.paper.results import View, results_table, teacher_and_students


class Extra(Spread):
    """Mean and standard deviation of the metrics that the paper does not have."""

    def names(self, view: View) -> list[str]:
        return known(view.context, quality(EXTRA))


results_table(
    "tableS3",
    title="Further metrics of samples",
    experiment="table3",
    models=(TEACHER, STUDENTS),
    rows=teacher_and_students,
    columns=(Extra(),),
    params=("compute_metrics",),
    corner="Model",
    caption="Further metrics of the samples of Table 3.",
    after=SPREAD,
    notes=(
        "FD∞: the Fréchet distance at infinitely many samples, from a line over 1/N "
        "(Chong and Forsyth, 2020); of large sets its interval is over seeds alone. "
        "Precision: the share of samples among real images; recall: the share of real"
        " images among samples (Kynkäänniemi et al., 2019), of as many of either. NN "
        "ratio: the median distance of samples to the nearest training image over "
        "that of held-out images; near 1 samples are as new as these, near 0 copies. "
        "Class accuracy: the share of samples in which a classifier of the training "
        "images sees the class that was asked for; of held-out images it is the "
        "classifier’s own.",
    ),
)
