"""All benchmarks, or those named: `python -m benchmarks [code_switch] [loss] [objectives] ...`.

Every figure that is compared comes from one run; ratios are what to read, seconds depend on the
machine. Nothing here is a test.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import get_args

from rich.console import Console

from benchmarks import (
    code_switch,
    convert,
    dataset,
    evaluate,
    lmms,
    loss,
    machine,
    measure,
    measure_memory,
    objectives,
    pipeline,
    profile,
    select,
    synth,
    synth_cost,
)
from diglot.models.config import Attention
from diglot.train.run_folder import describe_environment

SUITES = {
    "code_switch": code_switch.run,
    "convert": convert.run,
    "dataset": dataset.run,
    "evaluate": evaluate.run,
    "lmms": lmms.run,
    "loss": loss.run,
    "measure": measure.run,
    "measure_memory": measure_memory.run,
    "objectives": objectives.run,
    "pipeline": pipeline.run,
    "profile": profile.run,
    "select": select.run,
    "synth": synth.run,
    "synth_cost": synth_cost.run,
}


# What also runs on a GPU, in half precision or on a larger language model.
ANYWHERE = ("code_switch", "objectives")


def main() -> None:
    """Run the suites and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", help=", ".join(SUITES), default=[])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--layers", type=int, default=6, help="layers of the LLM that are used")
    on, where = machine.ON_CPU, ", ".join(ANYWHERE)
    check = machine.check_device
    parser.add_argument("--device", type=check, default=on.device, help=f"cpu or cuda: {where}")
    parser.add_argument("--precision", choices=["no", "bf16"], default=on.precision, help=where)
    parser.add_argument("--attention", choices=get_args(Attention), default="split", help=where)
    parser.add_argument("--width", type=int, help="a random LLM as wide, 4096 as 7B models are")
    args = parser.parse_args()
    setting = machine.Setting(args.device, args.precision, args.attention, args.width)
    names = args.suites or list(SUITES)
    known = SUITES if setting == machine.ON_CPU else ANYWHERE
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"no suite {unknown[0]!r} of these options; there are {', '.join(known)}")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    console = Console()
    limit = machine.gemm_flops(setting)
    console.print(f"GEMM rate, {setting.device}, {setting.dtype}: {limit / 1e9:,.0f} GFLOP/s")
    figures = {"environment": describe_environment(), "setting": vars(setting), "gemm_flops": limit}
    for name in names:
        options = {"setting": setting} if name in ANYWHERE else {}
        figures[name] = SUITES[name](console, layers=args.layers, gemm_flops=limit, **options)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
