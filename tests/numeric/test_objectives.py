"""Every loss and objective against float64 loops; which forwards are run."""

import math

import numpy as np
import pytest
import torch
from training_tools import tiny_params

from dash_repro.models.unet import UNetConfig, build_unet
from dash_repro.objectives import losses
from dash_repro.objectives.objective import (
    Batch,
    ObjectiveError,
    Targets,
    dropped_labels,
    feature_channels,
    student_objective,
)

B, T, NULL = 5, 50, 3
PARAMS = tiny_params()
STUDENT = UNetConfig(8, 1, NULL, (1, 2, 2, 2), 4, 0.0, 4, 1e-6, 8)
TEACHER = UNetConfig(16, 2, NULL, (1, 2, 2, 2), 4, 0.0, 4, 1e-6, 8)
CHANNELS = feature_channels(STUDENT, TEACHER)


def rand(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


WEIGHTS = rand(9, B).abs() + 0.1
CS, US, CT, UT, NOISE = (rand(i, B, 3, 2, 2) for i in range(5))


def loop_mse(a, b, weights):
    """Mean over the batch of weight times mean squared difference, in loops."""
    total = 0.0
    for x, y, weight in zip(a.tolist(), b.tolist(), weights.tolist(), strict=True):
        flat_x, flat_y = np.ravel(x).tolist(), np.ravel(y).tolist()
        pairs = zip(flat_x, flat_y, strict=True)
        total += weight * sum((p - q) ** 2 for p, q in pairs) / len(flat_x)
    return total / len(weights)


def guided(cond, uncond, scale):
    return [
        [w * c + (1 - w) * u for c, u in zip(cc.ravel(), uu.ravel(), strict=True)]
        for cc, uu, w in zip(cond.numpy(), uncond.numpy(), scale, strict=True)
    ]


def test_each_equation():
    equal = pytest.approx
    im, un = loop_mse(CS, CT, WEIGHTS), loop_mse(US, UT, WEIGHTS)
    an = loop_mse(CS, NOISE, WEIGHTS)
    assert losses.noise_loss(CS, NOISE, WEIGHTS).item() == equal(an, rel=1e-12)
    terms = {
        "im": losses.imitation_loss(CS, CT, WEIGHTS),
        "un": losses.unconditional_loss(US, UT, WEIGHTS),
        "an": losses.anchor_loss(CS, NOISE, WEIGHTS),
    }
    for name, wanted in (("im", im), ("un", un), ("an", an)):
        assert terms[name].item() == equal(wanted, rel=1e-12)
    dash = losses.dash_loss(terms, 1.0, 1.0, 0.1).item()
    assert dash == equal(im + un + 0.1 * an, rel=1e-12)
    other = losses.dash_loss(terms, 0.3, 0.0, 2.0).item()
    assert other == equal(0.3 * im + 2.0 * an, rel=1e-12)


def test_composite_and_gap():
    scales = [4.0, 1.5, 2.0, 3.0, 0.5]
    for scale, listed in (
        (4.0, [4.0] * B),
        (torch.tensor(scales, dtype=torch.float64)[:, None, None, None], scales),
    ):
        found = losses.composite_loss(CS, US, CT, UT, scale, WEIGHTS).item()
        pair = (guided(CS, US, listed), guided(CT, UT, listed))
        wanted = loop_mse(*map(torch.tensor, pair), WEIGHTS)
        assert found == pytest.approx(wanted, rel=1e-12)
    found = losses.gap_loss(CS, US, CT, UT, WEIGHTS).item()
    wanted = loop_mse(CS - US, CT - UT, WEIGHTS)
    assert found == pytest.approx(wanted, rel=1e-12)


def test_feature_loss_is_the_mean_over_maps_of_any_size():
    maps = {"a": rand(20, B, 4, 4, 4), "b": rand(21, B, 2, 1, 1)}
    targets = {"a": rand(22, B, 4, 4, 4), "b": rand(23, B, 2, 1, 1)}
    found = losses.feature_loss(maps, targets, WEIGHTS).item()
    each = [loop_mse(maps[name], targets[name], WEIGHTS) for name in ("a", "b")]
    assert found == pytest.approx(sum(each) / 2, rel=1e-12)


class Recorder(torch.nn.Module):
    """Stands in for a student: eps is a lookup by label; keeps the labels asked for."""

    null_token = NULL

    def __init__(self):
        super().__init__()
        self.table = rand(30, NULL + 1, 3, 8, 8)
        self.asked = []

    def forward(self, x, t, y, features=False):
        self.asked.append(y.tolist())
        eps = self.table[y] + 0.1 * x
        maps = {
            name: rand(40 + i, len(y), pair[0], 2, 2)
            for i, (name, pair) in enumerate(CHANNELS.items())
        }
        return (eps, maps) if features else eps


def make_batch(coins=None):
    labels = torch.tensor([0, 1, 2, 0, 1])
    t = torch.tensor([0, 10, 20, 30, 49])
    x_t, noise = rand(50, B, 3, 8, 8), rand(51, B, 3, 8, 8)
    coins = torch.ones(B + 1) if coins is None else coins
    return Batch(x_t, t, labels, noise, coins, x_t)


def make_targets():
    maps = {
        name: rand(60 + i, B, pair[1], 2, 2)
        for i, (name, pair) in enumerate(CHANNELS.items())
    }
    return Targets(rand(52, B, 3, 8, 8), rand(53, B, 3, 8, 8), maps)


def objective_of(name, **changes):
    block = {**PARAMS["students"][name], **changes}
    channels = CHANNELS if block["objective"] == "features" else {}
    return student_objective(block, "sample", T, PARAMS["tag"], channels).double()


def expected(name, batch, targets, objective):
    """The block's loss from the student's two branches, in loops."""
    model = Recorder()
    y = model.table[batch.labels] + 0.1 * batch.x_t
    null = model.table[NULL] + 0.1 * batch.x_t
    block = PARAMS["students"][name]
    total = block["lambda_im"] * loop_mse(y, targets.eps_cond, WEIGHTS)
    total += block["lambda_un"] * loop_mse(null, targets.eps_uncond, WEIGHTS)
    total += block["lambda_an"] * loop_mse(y, batch.noise, WEIGHTS)
    if name == "composite":
        pair = (
            guided(y, null, [4.0] * B),
            guided(targets.eps_cond, targets.eps_uncond, [4.0] * B),
        )
        total += loop_mse(*map(torch.tensor, pair), WEIGHTS)
    if name == "gap_match":
        gap_t = targets.eps_cond - targets.eps_uncond
        total += loop_mse(y - null, gap_t, WEIGHTS)
    if name == "fitnets":
        _, maps = model(batch.x_t, batch.t, batch.labels, features=True)
        each = []
        for key, projection in objective.projections.items():
            weight = projection.weight.detach()[:, :, 0, 0].numpy()
            value = np.einsum("oc,bchw->bohw", weight, maps[key].numpy())
            value += projection.bias.detach().numpy()[:, None, None]
            each.append(loop_mse(torch.tensor(value), targets.features[key], WEIGHTS))
        total += sum(each) / 8
    return total


@pytest.mark.parametrize(
    ("name", "branches"),
    [
        ("dash", "yn"),
        ("scratch", "y"),
        ("cond_only", "y"),
        ("composite", "yn"),
        ("fitnets", "y"),
        ("gap_match", "yn"),
        ("no_un", "y"),
        ("no_im", "yn"),
        ("no_an", "yn"),
        ("dash_an050", "yn"),
    ],
)
def test_students_of_the_paper(name, branches):
    objective, model = objective_of(name), Recorder()
    batch, targets = make_batch(), make_targets()
    used = targets if objective.needs_teacher else None
    loss = objective(model, batch, used, WEIGHTS)
    wanted = expected(name, batch, targets, objective)
    assert loss.item() == pytest.approx(wanted, rel=1e-12)
    labels = batch.labels.tolist()
    assert model.asked == [labels + [NULL] * B if branches == "yn" else labels]


def test_unconditional_term_alone_runs_the_null_branch_alone():
    objective, model = objective_of("dash", lambda_im=0.0, lambda_an=0.0), Recorder()
    objective(model, make_batch(), make_targets(), WEIGHTS)
    assert model.asked == [[NULL] * B]


def test_composite_under_tag():
    objective = objective_of("composite", guidance="tag", guidance_scale=4.0)
    model, batch, targets = Recorder(), make_batch(), make_targets()
    scales = [
        1.0 + 3.0 / (1.0 + math.exp(-5.0 * (0.5 - t / T))) for t in batch.t.tolist()
    ]
    y = model.table[batch.labels] + 0.1 * batch.x_t
    null = model.table[NULL] + 0.1 * batch.x_t
    pair = (
        guided(y, null, scales),
        guided(targets.eps_cond, targets.eps_uncond, scales),
    )
    wanted = loop_mse(*map(torch.tensor, pair), WEIGHTS)
    found = objective(model, batch, targets, WEIGHTS).item()
    assert found == pytest.approx(wanted, rel=1e-6)  # w(t) is float32


@pytest.mark.parametrize("coin", [0.0, 0.25, 1.0])
def test_composite_with_one_random_w_a_batch(coin):
    """The batch's own coin, from 1.5 to 5; the coins of single images do not count."""
    objective, model = objective_of("multi_w_composite"), Recorder()
    coins = torch.tensor([0.9, 0.1, 0.8, 0.3, 0.6, coin], dtype=torch.float64)
    batch, targets = make_batch(coins), make_targets()
    y = model.table[batch.labels] + 0.1 * batch.x_t
    null = model.table[NULL] + 0.1 * batch.x_t
    scales = [1.5 + 3.5 * coin] * B
    pair = (
        guided(y, null, scales),
        guided(targets.eps_cond, targets.eps_uncond, scales),
    )
    wanted = loop_mse(*map(torch.tensor, pair), WEIGHTS)
    found = objective(model, batch, targets, WEIGHTS).item()
    assert found == pytest.approx(wanted, rel=1e-12)


def test_single_head_learns_the_guided_noise_with_one_forward():
    objective, model = objective_of("single_head_no_cfg"), Recorder()
    batch, targets = make_batch(), make_targets()
    found = objective(model, batch, targets, WEIGHTS).item()
    assert model.asked == [batch.labels.tolist()]
    target = guided(targets.eps_cond, targets.eps_uncond, [4.0] * B)
    y = model.table[batch.labels] + 0.1 * batch.x_t
    wanted = loop_mse(y, torch.tensor(target), WEIGHTS)
    assert found == pytest.approx(wanted, rel=1e-12)


def test_scratch_drops_labels_sample_by_sample():
    coins = torch.tensor([0.05, 0.5, 0.09, 0.11, 0.95, 0.0])
    model = Recorder()
    objective_of("scratch")(model, make_batch(coins), None, WEIGHTS)
    assert model.asked == [[NULL, 1, NULL, 0, 1]]


def test_dropped_labels_take_the_teachers_null_branch_as_target():
    coins = torch.tensor([0.0, 0.9, 0.9, 0.0, 0.9, 0.9])
    objective, model = objective_of("cond_only", label_dropout=0.1), Recorder()
    batch, targets = make_batch(coins), make_targets()
    found = objective(model, batch, targets, WEIGHTS).item()
    assert model.asked == [[NULL, 1, 2, NULL, 1]]
    eps = model.table[torch.tensor(model.asked[0])] + 0.1 * batch.x_t
    wanted_t = targets.eps_cond.clone()
    wanted_t[[0, 3]] = targets.eps_uncond[[0, 3]]
    assert found == pytest.approx(loop_mse(eps, wanted_t, WEIGHTS), rel=1e-12)


def test_label_dropout_rates():
    generator = torch.Generator().manual_seed(1)
    samples, batches = [], []
    for _ in range(2000):
        coins = torch.rand(9, generator=generator)
        samples.append(dropped_labels(coins, 0.1, "sample").tolist())
        batches.append(dropped_labels(coins, 0.1, "batch").tolist())
    for rows in (samples, batches):  # 16,000 coins: sd 0.0024; 2,000: sd 0.0067
        assert np.mean(rows) == pytest.approx(0.1, abs=0.025)
    assert {len(set(row)) for row in batches} == {1}
    mixed = np.mean([len(set(row)) == 2 for row in samples])
    assert mixed == pytest.approx(1 - 0.9**8 - 0.1**8, abs=0.05)
    with pytest.raises(ObjectiveError, match="sample or batch"):
        dropped_labels(coins, 0.1, "image")


def test_contradictory_blocks():
    with pytest.raises(ObjectiveError, match="nothing to learn"):
        objective_of("cond_only", lambda_im=0.0)
    with pytest.raises(ObjectiveError, match="noise uses lambda_an alone"):
        objective_of("scratch", lambda_un=1.0)
    with pytest.raises(ObjectiveError, match="label_dropout has no meaning"):
        objective_of("gap_match", label_dropout=0.1)
    with pytest.raises(ObjectiveError, match="'cfg' is not known"):
        objective_of("composite", guidance="cfg")
    with pytest.raises(ObjectiveError, match="'dash' is not known"):
        objective_of("dash", objective="dash")


def test_feature_channels_match_the_networks_maps():
    nets = [build_unet(config, 0) for config in (STUDENT, TEACHER)]
    x, t = torch.randn(1, 3, 8, 8), torch.tensor([1])
    with torch.no_grad():
        maps = [net(x, t, t, features=True)[1] for net in nets]
    assert list(CHANNELS) == [f"{w}_{s}" for w in ("enc", "dec") for s in (8, 4, 2, 1)]
    for name, pair in CHANNELS.items():
        assert tuple(found[name].shape[1] for found in maps) == pair
        assert maps[0][name].shape[2:] == maps[1][name].shape[2:]
