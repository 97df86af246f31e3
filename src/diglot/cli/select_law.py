"""`diglot select paper`, `fit` and `plan`: the law of A and C scores, and which setting is next."""

from pathlib import Path

from diglot.config.paths import InPath, OutFigure, OutFolder, OutJson
from diglot.config.ranges import NonNegativeFloat, PositiveInt, Seed


def paper(
    *,
    out: OutFolder = Path("runs/select"),
    runs: PositiveInt = 1000,
    seed: Seed = 0,
    choose: bool = False,
    json: OutJson | None = None,
    details: OutJson | None = None,
) -> None:
    """Repeat "Law of Vision Representation in MLLMs" from its printed scores, and compare policies.

    Prints Table 2, every policy's Recall@3 and @1, the range the paper's unstated choices span,
    and trials on random pools and on new settings; draws Figures 2, 5 and 10 into --out.

    Examples:
        diglot select paper
        diglot select paper --runs 100 --json runs/select/results.json
        diglot select paper --choose true

    Args:
        out: Folder of the figures.
        runs: Simulated selections per policy and benchmark.
        seed: Of all draws.
        choose: Choose our policy's hyper-parameters anew for each benchmark on the other seven
            (about a minute), rather than take those chosen before.
        json: Also write fits and recall to this file, in per cent.
        details: Also write the per-benchmark recalls, spreads, range and trials to this file.
    """
    from diglot.cli.select_law_run import run_paper  # slow to load: not for --help

    run_paper(out=out, runs=runs, seed=seed, choose=choose, json=json, details=details)


def fit(
    table: InPath,
    *,
    results: str,
    columns: str | tuple[str, ...] = ("A", "C"),
    degree: PositiveInt = 2,
    plot: OutFigure | None = None,
    json: OutJson | None = None,
) -> None:
    """Fit results as a polynomial of scores, beside the baselines, with leave-one-out R².

    The table is a CSV with a header: the settings' names first (or in a column "setting"), then
    scores and results; an empty cell is a result not measured yet.

    Examples:
        diglot select fit scores.csv --results mmbench
        diglot select fit scores.csv --results mmbench --columns A,C,ocr_C --plot law.png

    Args:
        table: The CSV file.
        results: Column with a benchmark's results.
        columns: Columns to fit them on; one, several joined by commas, or a list.
        degree: 1 (linear) or 2 (quadratic).
        plot: Draw the results and the fitted surface into this file (.png, .svg, .pdf).
        json: Also write the fits to this file.
    """
    from diglot.cli.select_law_run import run_fit  # slow to load: not for --help

    run_fit(table=table, results=results, columns=columns, degree=degree, plot=plot, json=json)


def plan(
    table: InPath,
    *,
    results: str,
    budget: PositiveInt,
    columns: str | tuple[str, ...] = ("A", "C"),
    policy: str = "own_policy",
    known: str | tuple[str, ...] = (),
    stop_below: NonNegativeFloat = 0.05,
    seed: Seed = 0,
    json: OutJson | None = None,
) -> None:
    """Choose the setting to fine-tune next, rank all with uncertainty, and know when to stop.

    Fill in the result when the fine-tune is done and ask again. Stops when one more fine-tune
    would not change the three best.

    Examples:
        diglot select plan scores.csv --results mmbench --budget 4

    Args:
        table: The CSV file, as for `diglot select fit`; empty results are not fine-tuned yet.
        results: Column with the benchmark's results so far.
        budget: Fine-tunes you can afford, those done included.
        columns: Score columns, as for fit; two are taken as A and C, in this order.
        policy: own_policy, related_policy, paper_policy, a_ranking, a_greedy or random.
        known: Columns with the same settings' results on other benchmarks: own_policy learns the
            law's shape from them, related_policy expects the settings to do as there.
        stop_below: Stop when the top 3 would change with a probability below this (own_policy and
            related_policy; the others have no probabilities).
        seed: Of the draws.
        json: Also write the plan to this file.
    """
    from diglot.cli.select_law_run import run_plan  # slow to load: not for --help

    run_plan(
        table=table,
        results=results,
        budget=budget,
        columns=columns,
        policy=policy,
        known=known,
        stop_below=stop_below,
        seed=seed,
        json=json,
    )
