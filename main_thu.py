"""THUMOS14: train ACM-Net, train FTCL-Net from it, evaluate a checkpoint.

    python main_thu.py --group baseline --model_name acmnet --epochs 500
    python main_thu.py --group ftcl --model_name ftcl --ftcl \\
        --checkpoint data/THUMOS14/save/baseline/acmnet/THUMOS_best.pth
    python main_thu.py --test --checkpoint data/THUMOS14/save/ftcl/ftcl/THUMOS_best.pth

Several GPUs or machines (docs/DISTRIBUTED.md): torchrun --nproc_per_node N main_thu.py ...
"""

from config.command_line import parse_flags
from config.model_config import make_config
from utils.errors import command
from utils.interrupts import interrupts_exit

PROGRAM, DATASET = "main_thu.py", "THUMOS"
DESCRIPTION = "Weakly supervised temporal action localization on THUMOS14: trains or evaluates."


@command(PROGRAM)
def main() -> None:
    """Checks the flags, then runs the experiment."""
    flags = parse_flags(PROGRAM, DESCRIPTION)
    make_config(**{"dataset": DATASET, **flags})  # reports wrong values
    with interrupts_exit(PROGRAM):
        import experiment  # not above: torch takes seconds, and flags are checked without it

    experiment.main(flags, default_dataset=DATASET)


if __name__ == "__main__":
    main()
