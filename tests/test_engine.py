"""The loops over data: steps that are not finite, prediction in batches."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from build import build_batches, build_criterion, build_optimizer, loss_weights, try_step
from config.datasets import THUMOS14
from config.model_config import make_config
from dataset.batches import Batch, VideoBatches
from dataset.dataset import Split
from dataset.layouts import read_dataset
from dataset.timing import SnippetTiming
from engine import EpochReport, predict, train_one_epoch
from models.acmnet import ACMNet, ACMOutput
from models.criteria import ACMCriterion
from models.ftclnet import FTCLNet
from models.terms import Terms
from tests.data_folder import make_data
from utils.device import Device, choose_device
from utils.errors import UserError
from utils.seed import random_state, restore_random_state, seed_everything

CPU = choose_device("cpu", "0", "fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "d", train=9, test=7)


@pytest.fixture(scope="module")
def splits(folder: Path) -> dict[str, Split]:
    return read_splits(folder, CPU)


def read_splits(folder: Path, device: Device) -> dict[str, Split]:
    data = read_dataset(
        folder, THUMOS14.classes, timing=SnippetTiming(16, 25), row_type=device.storage_dtype
    )
    return data.splits


class Trainer:
    """A small network in training whose loss can be spoilt in chosen steps."""

    def __init__(self, split: Split, bad_steps: set[int], spoilt: str = "guide") -> None:
        torch.manual_seed(0)
        self.net = ACMNet(16, 20)
        self.split = split
        self.bad_steps = bad_steps
        self.spoilt = spoilt
        self.step = 0
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)
        generator = torch.Generator().manual_seed(1)
        self.batches = VideoBatches(split.features.lengths, 20, 3, generator, torch.device("cpu"))

    def criterion(
        self,
        output: ACMOutput,
        labels: Tensor,
        rows: Tensor,
        batch_labels: Tensor | None = None,
    ) -> Terms:
        terms = ACMCriterion()(output, labels, rows, batch_labels)
        if self.step in self.bad_steps:
            terms.losses[self.spoilt] = terms.losses[self.spoilt] * torch.nan
        self.step += 1
        return terms

    def epoch(self, batches: list[Batch] | None = None) -> EpochReport:
        return train_one_epoch(
            self.net,
            self.criterion,
            loss_weights(make_config()),
            self.batches if batches is None else batches,
            self.split,
            self.optimizer,
            CPU,
            lambda: None,
        )

    def weights(self) -> list[Tensor]:
        return [p.detach().clone() for p in self.net.parameters()]


def test_training_lowers_the_loss(splits: dict[str, Split]) -> None:
    trainer = Trainer(splits["train"], set())
    first = trainer.epoch().losses["total"]
    for _ in range(20):
        last = trainer.epoch().losses["total"]
    assert last < first * 0.9


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(
    splits: dict[str, Split],
) -> None:
    trainer = Trainer(splits["train"], {0, 1, 2})
    before = trainer.weights()
    report = trainer.epoch()
    assert report.skipped == {"guide": 3}
    assert all(a.equal(b) for a, b in zip(before, trainer.weights(), strict=True))
    report = trainer.epoch()
    assert report.skipped == {}
    assert not all(a.equal(b) for a, b in zip(before, trainer.weights(), strict=True))
    assert all(torch.isfinite(w).all() for w in trainer.weights())


def test_skipped_steps_leave_no_trace_in_weights_or_means(splits: dict[str, Split]) -> None:
    clean, spoilt = Trainer(splits["train"], set()), Trainer(splits["train"], {1})
    clean.net.eval()  # dropout would draw different masks
    batches = list(clean.batches)
    for trainer in (clean, spoilt):
        for layer in (trainer.net.snippet_dropout, trainer.net.channel_dropout):
            layer.p = 0.0
    kept = clean.epoch([batches[0], batches[2]])
    skipped = spoilt.epoch(batches)
    assert skipped.losses == pytest.approx(kept.losses)
    for a, b in zip(clean.weights(), spoilt.weights(), strict=True):
        torch.testing.assert_close(a, b)


def test_ten_in_a_row_stop_the_run_and_name_the_term(splits: dict[str, Split]) -> None:
    trainer = Trainer(splits["train"], set(range(1, 11)), spoilt="feature")
    batches = [batch for _ in range(5) for batch in trainer.batches]
    after_first: list[list[Tensor]] = []
    hook = trainer.optimizer.register_step_post_hook(
        lambda *_: after_first.append(trainer.weights())
    )
    with pytest.raises(UserError, match=r"10 consecutive steps .*: 'feature' \(10 times\)"):
        trainer.epoch(batches)
    hook.remove()
    # nothing moved after the tenth, though the later steps were finite again
    assert all(a.equal(b) for a, b in zip(after_first[0], trainer.weights(), strict=True))


def test_batches_cover_all_videos_once_and_follow_the_generator(splits: dict[str, Split]) -> None:
    lengths = splits["train"].features.lengths

    def epochs(seed: int) -> list[Batch]:
        generator = torch.Generator().manual_seed(seed)
        batches = VideoBatches(lengths, 20, 4, generator, torch.device("cpu"))
        assert len(batches) == 3
        return [*batches, *batches]

    first, again, other = epochs(0), epochs(0), epochs(1)
    for part in (first[:3], first[3:]):
        assert sorted(torch.cat([b.videos for b in part]).tolist()) == list(range(9))
        assert [len(b.videos) for b in part] == [4, 4, 1]
    for batch, same in zip(first, again, strict=True):
        assert batch.videos.equal(same.videos)
        assert batch.rows.equal(same.rows)
        assert (batch.rows < lengths[batch.videos][:, None]).all()
    assert not all(a.rows.equal(b.rows) for a, b in zip(first, other, strict=True))
    assert not first[0].rows.equal(first[3].rows)


@pytest.mark.parametrize("batch_snippets", [1, 50, 6000])
def test_prediction_in_batches_equals_one_video_at_a_time(
    splits: dict[str, Split], batch_snippets: int
) -> None:
    torch.manual_seed(0)
    net, split = ACMNet(16, 20), splits["test"]
    done: list[int] = []
    scores = predict(net, split, 30, CPU, done.append, batch_snippets)
    assert sum(done) == len(scores) == 7
    for video, score in zip(split.videos, scores, strict=True):
        i = split.videos.index(video)
        n = int(split.features.lengths[i])
        rows = [0, 0] if n == 1 else [k * n // 30 for k in range(30)] if n > 30 else list(range(n))
        features = split.features.gather(torch.tensor([i]), torch.tensor([rows]))
        with torch.inference_mode():
            output = net(features)
        assert (score.name, score.snippets) == (video.name, n)
        torch.testing.assert_close(torch.from_numpy(score.cas), output.branch_cas(0)[0])
        torch.testing.assert_close(torch.from_numpy(score.attention), output.attention[0, :, 0])
        expected = output.video_logits[0, 0].softmax(dim=-1)
        torch.testing.assert_close(torch.from_numpy(score.class_scores), expected)


def test_bfloat16_trains_as_float32_does_to_its_digits(folder: Path) -> None:
    """Losses of twenty steps without dropout; float32 and bfloat16 have 24 and 8 bits."""

    def losses(precision: str) -> list[float]:
        device = Device(torch.device("cpu"), precision)
        split = read_splits(folder, device)["train"]
        torch.manual_seed(0)
        config = make_config(lr=1e-3, num_snippets=20, batch_size=3)
        net = ACMNet(16, 20, dropout=0.0)
        batches = build_batches(config, split, torch.Generator().manual_seed(1), device.device)
        optimizer, criterion = build_optimizer(config, net), build_criterion(config, net)
        train = partial(train_one_epoch, net, criterion, loss_weights(config))
        several = [batch for _ in range(20) for batch in batches][:20]
        found = [
            train([batch], split, optimizer, device, lambda: None).losses["total"]
            for batch in several
        ]
        assert all(p.dtype == torch.float32 for p in net.parameters())
        return found

    expected, found = losses("fp32"), losses("bf16")
    assert found != expected
    assert found == pytest.approx(expected, rel=0.02)
    assert expected[-1] < 0.99 * expected[0]


@pytest.mark.cuda
@pytest.mark.parametrize("ftcl", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_training_step_never_waits_for_the_gpu(folder: Path, precision: str, ftcl: bool) -> None:
    device = choose_device("cuda", "0", precision)
    split = read_splits(folder, device)["train"].to(device.device)
    config = make_config(ftcl=ftcl, num_snippets=20, batch_size=3, fc_dim=8)
    net = (FTCLNet(16, 20, fc_dim=8) if ftcl else ACMNet(16, 20)).to(device.device)
    optimizer, criterion = build_optimizer(config, net), build_criterion(config, net)
    batches = list(build_batches(config, split, torch.Generator(), device.device))
    done = 0

    def after_step() -> None:
        # The first step sets up libraries, the report after the last one waits; any wait between
        # is an error.
        nonlocal done
        done += 1
        torch.cuda.set_sync_debug_mode("default" if done == len(batches) else "error")

    assert len(batches) >= 3
    step = partial(
        train_one_epoch, net, criterion, loss_weights(config), batches, split, optimizer, device
    )
    try:
        report = step(after_step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert done == len(batches)
    assert report.skipped == {}


@pytest.mark.cuda
def test_cuda_and_cpu_give_the_same_scores(splits: dict[str, Split]) -> None:
    torch.manual_seed(0)
    net = ACMNet(16, 20)
    expected = predict(net, splits["test"], 30, CPU)
    device = choose_device("cuda", "0", "fp32")
    found = predict(net.to(device.device), splits["test"].to(device.device), 30, device)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(torch.from_numpy(a.cas), torch.from_numpy(b.cas))


@pytest.mark.cuda
def test_the_gpu_draws_on_from_a_saved_state_and_sums_in_float32() -> None:
    device = choose_device("cuda", "0", "bf16").device
    assert not torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    generator = seed_everything(0)
    torch.rand(3, device=device)
    state = random_state(generator)
    expected = torch.rand(3, device=device)
    restore_random_state([state], generator)
    assert torch.rand(3, device=device).equal(expected)


def test_a_run_on_the_cpu_leaves_the_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: object) -> Tensor:
        raise AssertionError("the GPU is asked for its state")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_rng_state", touched)
    monkeypatch.setattr(torch.cuda, "set_rng_state", touched)
    generator = torch.Generator()
    state = random_state(generator)
    assert "cuda" not in state
    restore_random_state([{**state, "cuda": torch.get_rng_state()}], generator)


def test_a_device_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--gpu 'first'"):
        choose_device("auto", "first", "auto")
    with pytest.raises(UserError, match="tf32 exists only on CUDA"):
        choose_device("cpu", "0", "tf32")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="CUDA device"):
            choose_device("cuda", "0", "auto")


@pytest.mark.parametrize(
    ("flags", "named", "warned"),
    [
        ({"fpu", "amx_bf16", "avx512_bf16"}, "AMX bf16, AVX512 bf16", False),
        ({"fp", "bf16"}, "bf16", False),
        ({"fpu", "avx2"}, "", True),
        (set(), "", False),  # the system does not say
    ],
)
def test_the_instructions_are_said_and_bfloat16_without_any_is_replaced(
    flags: set[str],
    named: str,
    warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("utils.device._processor_flags", lambda: flags)
    vectors = torch.backends.cpu.get_cpu_capability()
    found = str(choose_device("cpu", "0", "bf16"))
    assert found.endswith("fp32" if warned else "bf16")
    assert f"CPU ({', '.join([vectors, named]) if named else vectors})" in found
    assert ("no bfloat16 instructions" in capsys.readouterr().out) == warned
    choose_device("cpu", "0", "fp32")
    assert not capsys.readouterr().out


@pytest.mark.parametrize("flags", [{}, {"ftcl": True, "fc_dim": 8}])
def test_the_step_that_is_tried_after_running_out_of_memory_is_a_training_step(
    splits: dict[str, Split], flags: dict[str, Any]
) -> None:
    config = make_config(batch_size=3, num_snippets=20, **flags)
    net = FTCLNet(16, 20, fc_dim=8) if config.ftcl else ACMNet(16, 20)
    before = net.snippet_cls.weight.detach().clone()
    try_step(config, net, splits["train"], build_optimizer(config, net), CPU)
    assert not net.snippet_cls.weight.equal(before)
