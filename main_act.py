"""ActivityNet-1.3 (or 1.2 with --dataset ActivityNet12): train ACM-Net, then FTCL-Net, evaluate.

    python main_act.py --group baseline --model_name acmnet --epochs 100
    python main_act.py --group ftcl --model_name ftcl --ftcl \\
        --checkpoint data/ActivityNet13/save/baseline/acmnet/ActivityNet13_best.pth
    python main_act.py --test \\
        --checkpoint data/ActivityNet13/save/ftcl/ftcl/ActivityNet13_best.pth

Identical to main_thu.py except for the default data set.
"""

from config.command_line import parse_flags
from config.model_config import make_config
from utils.errors import command
from utils.interrupts import interrupts_exit

PROGRAM, DATASET = "main_act.py", "ActivityNet13"
DESCRIPTION = "Weakly supervised temporal action localization on ActivityNet: trains or evaluates."


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
