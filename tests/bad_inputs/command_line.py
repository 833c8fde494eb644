"""Mistakes on the command line."""

from functools import partial

from tests.bad_inputs.case import DETECTION, RESUME, TEST, BadInput

Scoring = partial(BadInput, program=DETECTION)

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
    BadInput("`--group a/b`, which would leave its folder", "--group a/b"),
    BadInput("`--model_name ..`, likewise", "--model_name .."),
    BadInput("`--start_epoch 5 --epochs 5`", "--start_epoch 5 --epochs 5"),
    BadInput("`--test` without a checkpoint", "--test"),
    BadInput("`--report` while training", "--report"),
    BadInput("`--seeds 1 1`", "--seeds 1 1"),
    BadInput("`--seeds 1 2 --test`", TEST + " --seeds 1 2"),
    BadInput("`--checkpoint` in the folder of the run itself", "--checkpoint run/THUMOS_best.pth"),
    BadInput("`--test --resume`", TEST + " --resume"),
    BadInput("`--resume` in a folder without a run", "--resume"),
    BadInput("`--resume` with other settings", RESUME + " --lr 0.5"),
    BadInput("`--lr 1e30`: the training diverges", "--lr 1e30", leaves=("run/config.json",)),
]

SCORING = [
    Scoring("`--ap coco`", "--ap coco"),
    Scoring("`--error_tiou high`", "--error_tiou high"),
    Scoring("`--tiou high`", "--tiou high"),
    Scoring("`--tiou 0.9:0.1:0.1`, a range that goes down", "--tiou 0.9:0.1:0.1"),
    Scoring("`--error_tiou 0.1`, not above `--background_tiou`", "--error_tiou 0.1"),
    Scoring("`--length_edges 5 5`", "--length_edges 5 5"),
    Scoring("`--length_edges nan`", "--length_edges nan"),
    Scoring("`--subset val`, which the annotations do not have", "--subset val"),
    Scoring("`--classes Surfing`, likewise", "--classes Surfing"),
    Scoring("`--videos nowhere.txt`", "--videos nowhere.txt"),
    Scoring("`--csv data`, a folder", "--csv data"),
    Scoring("`--json /dev/null`, a device", "--json /dev/null"),
]
