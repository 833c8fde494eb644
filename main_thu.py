"""THUMOS14: train ACM-Net, train FTCL-Net from it, evaluate a checkpoint.

    python main_thu.py --group baseline --model_name acmnet --epochs 500
    python main_thu.py --group ftcl --model_name ftcl --ftcl \\
        --checkpoint data/THUMOS14/save/baseline/acmnet/THUMOS_best.pth
    python main_thu.py --test --checkpoint data/THUMOS14/save/ftcl/ftcl/THUMOS_best.pth

Several GPUs or machines (docs/DISTRIBUTED.md): torchrun --nproc_per_node N main_thu.py ...
"""

from pathlib import Path

from config.class_names import CLASS_NAMES
from config.command_line import parse_flags
from config.model_config import make_config, settings_of
from dataset.layouts import read_dataset
from experiment import test, train
from record.checkpoint import read_checkpoint
from record.summary import as_text, spread, summary
from utils.device import choose_device, explain_out_of_memory
from utils.distributed import Processes, all_processes
from utils.errors import command

DESCRIPTION = "Weakly supervised temporal action localization on THUMOS14: trains or evaluates."


@command("main_thu.py")
def main() -> None:
    with all_processes() as processes:
        run(processes)


def run(processes: Processes) -> None:
    """Trains or tests as the command line says."""
    flags = parse_flags("main_thu.py", DESCRIPTION)
    config = make_config(**flags)
    runs = config.per_seed()
    starts = [read_checkpoint(Path(run.checkpoint)) if run.checkpoint else {} for run in runs]
    if config.test:  # evaluated as it was trained, unless a flag says otherwise
        config = make_config(**{**settings_of(starts[0]), **flags})
    gpu = str(processes.local_rank) if processes.world_size > 1 else config.gpu
    device = choose_device(config.device, gpu, config.precision, config.deterministic)
    print(f"computing on {device}, {processes}")
    with explain_out_of_memory(device, "a smaller --num_snippets or --feature_memory"):
        data = processes.once_per_node(
            lambda: read_dataset(
                Path(config.data_dir),
                CLASS_NAMES[config.dataset],
                ["test"] if config.test else ["train", "test"],
                snippet_seconds=config.snippet_seconds,
                workers=config.num_workers,
                memory_budget=device.memory_budget(config.feature_memory),
                row_type=device.storage_dtype,
            )
        ).to(device.device)
        device.keep_freed_memory()
        if config.test:
            test(config, device, data, starts[0], processes)
            return
        for one, start in zip(runs, starts, strict=True):
            train(one, device, data, start, processes)
    if len(runs) > 1 and processes.is_main:
        table = summary({f"seed {run.seed}": run.run_dir for run in runs})
        print(f"last epoch of each seed:\n{as_text(table)}\n{as_text(spread(table))}")


if __name__ == "__main__":
    main()
