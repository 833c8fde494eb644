"""Mistakes on the command line."""

from functools import partial
from pathlib import Path

from eval.scores_file import read_scores, write_scores
from tests.bad_inputs.case import DETECTION, REPORT, RESUME, TEST, BadInput, cut

Evaluated = partial(BadInput, program=DETECTION)
Reported = partial(BadInput, program=REPORT)


def scores_of_another_video() -> None:
    """Renames the first video in the file of scores and leaves out the others."""
    path = Path("scores.npz")
    classes, videos = read_scores(path)
    write_scores(path, [videos[0]._replace(name="another")], classes, 0.0)


TRAINING = [
    BadInput("`--epoch 3`, a flag that does not exist", "--epoch 3"),
    BadInput("`--epochs many`", "--epochs many"),
    BadInput("`--batch_size 2.5`", "--batch_size 2.5"),
    BadInput("`--dataset UCF`", "--dataset UCF"),
    BadInput("`--lcs_len -3`", "--lcs_len -3"),
    BadInput("`--fc_dim 7`", "--ftcl --fc_dim 7"),
    BadInput("`--epochs 10000000000`", "--epochs 10000000000"),
    BadInput("`--lr 0`", "--lr 0"),
    BadInput("`--lr nan`", "--lr nan"),
    BadInput("`--dropout 1`", "--dropout 1"),
    BadInput("`--seed -1`", "--seed -1"),
    BadInput("`--num_workers 0`", "--num_workers 0"),
    BadInput("`--tiou 0.5 1.5`", "--tiou 0.5 1.5"),
    BadInput("`--tiou` without a value", "--tiou"),
    BadInput("`--nms_offset 0.5`", "--nms_offset 0.5"),
    BadInput("`--objective mine`", "--objective mine"),
    BadInput("`--device tpu`", "--device tpu"),
    BadInput("`--precision fp16`", "--precision fp16"),
    BadInput("`--group a/b`, which is a path", "--group a/b"),
    BadInput("`--model_name ..`, which is a path", "--model_name .."),
    BadInput("`--start_epoch 5 --epochs 5`", "--start_epoch 5 --epochs 5"),
    BadInput("`--test` without a checkpoint", "--test"),
    BadInput("`--report` while training", "--report"),
    BadInput("`--wandb_test` while training", "--wandb_test"),
    BadInput("`--wandb_artifacts` with `--without_wandb`", "--wandb_artifacts"),
    BadInput("`--wandb_tags` with an empty tag", "--wandb_tags ''"),
    BadInput("`--wandb_videos nowhere`, which is no test video", "--wandb_videos nowhere"),
    BadInput("`--seeds 1 1`", "--seeds 1 1"),
    BadInput("`--seeds 1 2 --test`", TEST + " --seeds 1 2"),
    BadInput(
        "`--checkpoint` in the directory of the run itself", "--checkpoint run/THUMOS_best.pth"
    ),
    BadInput("`--test --resume`", TEST + " --resume"),
    BadInput("`--resume` in a directory without a run", "--resume"),
    BadInput("`--resume` with other settings", RESUME + " --lr 0.5"),
    BadInput("`--lr 1e30`, with which training diverges", "--lr 1e30", leaves=("run/config.json",)),
]

EVALUATION = [
    Evaluated("`--ap coco`", "--ap coco"),
    Evaluated("`--protocol coco`", "--protocol coco"),
    Evaluated("`--ap activitynet --protocol thumos-kit`", "--ap activitynet --protocol thumos-kit"),
    Evaluated("`--convert predictions.mat`", "--convert predictions.mat"),
    Evaluated("`--ground_truth data`, a data directory", "--ground_truth data"),
    Evaluated("`--ground_truth data/test`, a folder of other files", "--ground_truth data/test"),
    Evaluated("`--dataset UCF101`", "--dataset UCF101"),
    Evaluated("`--error_tiou high`", "--error_tiou high"),
    Evaluated("`--tiou high`", "--tiou high"),
    Evaluated("`--tiou 0.9:0.1:0.1`, a descending range", "--tiou 0.9:0.1:0.1"),
    Evaluated("`--error_tiou 0.1`, which is not above `--background_tiou`", "--error_tiou 0.1"),
    Evaluated("`--length_edges 5 5`", "--length_edges 5 5"),
    Evaluated("`--length_edges nan`", "--length_edges nan"),
    Evaluated("`--subset val`, which is not in the annotations", "--subset val"),
    Evaluated("`--classes Surfing`, which is not in the annotations", "--classes Surfing"),
    Evaluated("`--videos nowhere.txt`, which does not exist", "--videos nowhere.txt"),
    Evaluated("`--label_aliases other`, which is no pair", "--label_aliases other"),
    Evaluated("`--class_names nowhere.txt`, which does not exist", "--class_names nowhere.txt"),
    Evaluated("`--csv data`, a folder", "--csv data"),
    Evaluated("`--json /dev/null`, a device", "--json /dev/null"),
]

REPORTING = [
    Reported("no `--predictions`", "--predictions"),
    Reported("`--scores nowhere.npz`, which does not exist", "--scores nowhere.npz"),
    Reported("`--scores gt.json`, another file", "--scores data/gt.json"),
    Reported(
        "scores of other videos",
        "--scores scores.npz",
        spoil=scores_of_another_video,
    ),
    Reported(
        "`--scores scores.npz`, truncated", "--scores scores.npz", spoil=cut("scores.npz", 99)
    ),
    Reported("`--videos nowhere`, which does not exist", "--videos nowhere"),
    Reported("`--videos data`, a folder without videos", "--videos data"),
    Reported("`--output data/gt.json`, a file", "--output data/gt.json"),
    Reported("`--figure nothing`, no video", "--figure nothing"),
    Reported("`--alignment data/gt.json`, no image", "--alignment data/gt.json"),
    Reported("`--runs data`, a folder without predictions", "--runs data"),
    Reported("`--runs nowhere`, which does not exist", "--runs nowhere"),
    Reported("`--names A B` for one file", "--names A B"),
    Reported(
        "`--scores` with two prediction files",
        "--predictions pred.json pred.json --scores scores.npz",
    ),
    Reported("`--evaluate nowhere.txt`, which does not exist", "--evaluate nowhere.txt"),
]
