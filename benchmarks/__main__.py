"""All benchmarks, or those named: `python -m benchmarks [code_switch] [loss] [objectives] ...`.

Every figure that is compared comes from one run; ratios are what to read, seconds depend on the
machine. Nothing here is a test.
"""

import argparse
import json
import logging
from pathlib import Path

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


def main() -> None:
    """Run the suites and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("suites", nargs="*", help=", ".join(SUITES), default=[])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--layers", type=int, default=6, help="layers of the LLM that are used")
    args = parser.parse_args()
    unknown = set(args.suites) - set(SUITES)
    if unknown:
        parser.error(f"no suite {sorted(unknown)[0]!r}; there are {', '.join(SUITES)}")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    console = Console()
    limit = machine.gemm_flops()
    console.print(f"float32 GEMM rate of this machine: {limit / 1e9:.0f} GFLOP/s")
    figures = {"environment": describe_environment(), "gemm_flops": limit}
    for name in args.suites or SUITES:
        figures[name] = SUITES[name](console, layers=args.layers, gemm_flops=limit)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
