"""The command line: what it accepts, what it says of a wrong value, what --help shows."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from config.command_line import flags_table, parse_flags
from config.model_config import Config, make_config, settings_of
from config.setting import flag_of
from utils.errors import UserError

RELEASED_FLAGS = """--seed 3 --model_name m --group g --checkpoint f.pth --start_epoch 2 --gpu 0
--num_workers 2 --dataset THUMOS --batch_size 8 --epochs 9 --start_test_epoch 1 --loss_lamb_lcs 0.2
--loss_lamb_fsd 0.3 --thres 0.5 --lcs_len 7 --fsd_len 4 --fc_dim 64 --without_wandb --test --ftcl
--without_lcs --without_fsd"""


def parse(line: str) -> Config:
    return make_config(**parse_flags("main_thu.py", "", line.split()))


def test_every_flag_of_the_release_works() -> None:
    config = parse(RELEASED_FLAGS)
    words = RELEASED_FLAGS.split()
    for flag, value in zip(words, [*words[1:], "--end"], strict=True):
        if flag.startswith("--"):
            given = True if value.startswith("--") else value
            assert str(config.as_dict()[flag[2:]]) == str(given)


def test_defaults_are_those_of_the_papers_on_thumos14() -> None:
    config = parse("")
    assert (config.epochs, config.batch_size, config.num_snippets) == (500, 16, 750)
    assert (config.ins_topk_seg, config.con_topk_seg, config.bak_topk_seg) == (8, 3, 3)
    assert config.attention_thresholds[0] == 0.15
    assert config.attention_thresholds[-1] == 0.95
    assert len(config.attention_thresholds) == 17
    assert config.tiou == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    assert config.snippet_seconds == 0.64
    assert parse("--ftcl").epochs == 25
    assert parse("--dataset THUMOS14").dataset == "THUMOS"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--lcs_len -3", "--lcs_len -3: must be >= 1"),
        ("--ftcl --fsd_len 0", "--fsd_len 0: must be >= 1"),
        ("--dataset UCF", "--dataset: unknown data set 'UCF'; known are THUMOS, THUMOS14"),
        ("--epochs many", "--epochs: invalid int value: 'many'"),
        ("--epoch 3", "unrecognized arguments: --epoch 3"),
        ("--test", "--test needs --checkpoint"),
        ("--group a/b", "--group 'a/b': wanted a plain name"),
        ("--model_name ..", "--model_name '..': wanted a plain name"),
        ("--lr nan", "--lr nan: wanted a finite number"),
        ("--lr 0", "--lr 0.0: must be > 0"),
        ("--dropout 1", "--dropout 1.0: must be >= 0, < 1"),
        ("--tiou 0.5 1.5", "--tiou 1.5: must be > 0, <= 1"),
        ("--tiou", "--tiou: expected at least one argument"),
        ("--fc_dim 7", "--fc_dim 7: must be even"),
        ("--nms_offset 0.5", "--nms_offset 0.5: unknown; known are 0.0, 1.0"),
        ("--start_epoch 5 --epochs 5", "--start_epoch (5) must be less than --epochs (5)"),
        ("--device tpu", "--device tpu: unknown; known are auto, cpu, cuda"),
        ("--seed -1", "--seed -1: must be >= 0"),
    ],
)
def test_a_wrong_value_is_one_clear_line(line: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        parse(line)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_help_shows_every_flag_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse("--help")
    assert raised.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for setting in fields(Config):
        assert f"--{flag_of(setting)} " in text
        assert " ".join(setting.metadata["comment"].split()) in text
    assert "[500, with --ftcl 25; >= 1]" in text


def test_settings_survive_json_and_those_that_scores_depend_on_come_back() -> None:
    trained = parse("--num_snippets 99 --tiou 0.5 --lr 0.5 --group g --ins_topk_seg 4")
    stored = json.loads(json.dumps({"config": trained.as_dict()}))
    found = settings_of(stored)
    assert found["num_snippets"] == 99
    assert found["tiou"] == (0.5,)
    assert found["ins_topk_seg"] == 4
    assert "lr" not in found
    assert "group" not in found
    assert make_config(**found).num_snippets == 99


@pytest.mark.parametrize("value", ["x", None, [1], True, 0])
def test_settings_of_a_doctored_checkpoint_are_checked(value: object) -> None:
    with pytest.raises(UserError, match="--num_snippets"):
        make_config(**settings_of({"config": {"num_snippets": value}}))


def test_the_page_of_flags_is_up_to_date() -> None:
    page = Path(__file__).parents[1] / "docs" / "FLAGS.md"
    assert page.read_text() == flags_table(), "run python -m config.command_line > docs/FLAGS.md"
