"""What `diglot select paper`, `fit` and `plan` do once read; this loads the model libraries."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from diglot.cli.console import open_console, print_warning
from diglot.cli.progress import show_progress
from diglot.core.errors import ConfigError
from diglot.core.progress import rename_stages
from diglot.files import claim_folder, write_json
from diglot.report.figure_file import write_figure
from diglot.select import figures, tables
from diglot.select.choose import NEW, Choice, choose_for, stored_choice
from diglot.select.law import fit_law, random_r2
from diglot.select.new_settings import new_settings_curves
from diglot.select.paper_data import PaperLaw, paper_law
from diglot.select.paper_range import run_variants
from diglot.select.plan import SelectionPlan, make_plan
from diglot.select.records import fits_record, plan_record, study_record
from diglot.select.study import recall_curves, results_json, table_2
from diglot.select.table import column_names, read_table

BUDGETS = range(2, 9)

RANGE_BUDGET = 4

POOL = 12


def run_paper(
    *, out: Path, runs: int, seed: int, choose: bool, json: Path | None, details: Path | None
) -> None:
    """Repeat the paper from its printed scores, and compare policies."""
    # the default folder is that of the features which other sub-verbs keep
    claim_folder(out, "select paper", known=("figure_2.png",), beside=("features",))
    law, console = paper_law(), open_console()
    choices = _take_choices(law, seed, choose, console)
    fits = table_2(law, seed=seed)
    console.print(tables.fits_table(law, fits))
    with show_progress() as report:
        common: dict[str, Any] = {"runs": runs, "seed": seed}
        curves = recall_curves(law, choices, budget=len(law.settings), report=report, **common)
        pooled = rename_stages(report, lambda stage: f"{stage} pools")
        pools = recall_curves(law, choices, budget=max(BUDGETS), pool=POOL, report=pooled, **common)
        found = run_variants(law, budget=RANGE_BUDGET, report=report, **common)
    fresh = new_settings_curves(law, choices, runs=min(runs, 200))
    for top in (3, 1):
        for what, shown in (("all 15 settings", curves), (f"random pools of {POOL}", pools)):
            title = f"Recall@{top} in per cent, mean of eight benchmarks, {what}, {runs} runs"
            console.print(tables.recall_table(shown, BUDGETS, top=top, title=title))
    console.print(tables.range_table(law, found, RANGE_BUDGET))
    console.print(tables.new_settings_table(fresh))
    _draw_figures(law, fits, curves, out, console)
    if json is not None:
        write_json(json, results_json(fits, curves))
    if details is not None:
        trials = {"all": curves, "pools": pools}
        record = study_record(law, fits, trials, found, fresh, choices)
        write_json(details, record)


def run_fit(
    *,
    table: Path,
    results: str,
    columns: str | tuple[str, ...],
    degree: int,
    plot: Path | None,
    json: Path | None,
) -> None:
    """Fit results as a polynomial of scores, beside the baselines, with leave-one-out R²."""
    console, names = open_console(), column_names(columns)
    if results in names:
        raise ConfigError(
            "the results are among the columns they are fitted on", got=results, where="--columns"
        )
    whole = read_table(table)
    known = whole.only(~np.isnan(whole.column(results)))
    scores_KF, results_K = known.complete(names), known.column(results)
    fits = {", ".join(names): fit_law(names, scores_KF, results_K, degree=degree)}
    if len(names) > 1:
        for index, column in enumerate(names):
            alone_K1 = scores_KF[:, [index]]
            fits[f"{column} alone"] = fit_law([column], alone_K1, results_K, degree=degree)
    main = fits[", ".join(names)]
    random = random_r2(main.points, main.parameters)
    console.print(tables.fit_table(fits, random, results))
    console.print(tables.coefficient_table(main))
    for warning in main.warnings:
        print_warning(console, warning)
    if plot is not None:
        drawing = figures.law_figure(main, scores_KF, results_K, known.settings, results)
        write_figure(plot, drawing)
        console.print(f"plot: {plot}", highlight=False)
    if json is not None:
        write_json(json, fits_record(fits, random))


def run_plan(
    *,
    table: Path,
    results: str,
    budget: int,
    columns: str | tuple[str, ...],
    policy: str,
    known: str | tuple[str, ...],
    stop_below: float,
    seed: int,
    json: Path | None,
) -> None:
    """Choose the setting to fine-tune next, rank all with uncertainty, and know when to stop."""
    console = open_console()
    made: SelectionPlan = make_plan(
        read_table(table),
        results=results,
        columns=column_names(columns),
        budget=budget,
        policy=policy,
        known=column_names(known),
        stop_below=stop_below,
        seed=seed,
    )
    console.print(tables.plan_table(made, results))
    for warning in made.warnings:
        print_warning(console, warning)
    answer = "stop" if made.next is None else f"fine-tune next: {made.settings[made.next]}"
    console.print(f"{answer} ({made.reason})", highlight=False)
    if json is not None:
        write_json(json, plan_record(made))


def _take_choices(law: PaperLaw, seed: int, anew: bool, console: Console) -> dict[str, Choice]:
    if not anew:
        return {name: stored_choice(name) for name in law.benchmarks}
    chosen = {}
    with show_progress() as report:
        for b, name in enumerate([*law.benchmarks, NEW]):
            held_out = None if name == NEW else b
            chosen[name] = choose_for(
                held_out,
                law.scores_K2,
                law.results_BK,
                seed=seed,
                report=rename_stages(report, lambda stage, name=name: f"{stage}, {name}"),
            )
    for name, choice in chosen.items():
        console.print(f"{name}: {choice.as_dict()}", highlight=False)
    return chosen


def _draw_figures(law: PaperLaw, fits: Any, curves: Any, out: Path, console: Console) -> None:
    drawings = {
        "figure_2": figures.figure_2(law, fits),
        "figure_5": figures.recall_figure(law, curves, top=3),
        "figure_10": figures.recall_figure(law, curves, top=1),
    }
    for name, drawing in drawings.items():
        for kind in ("png", "svg"):
            write_figure(out / f"{name}.{kind}", drawing)
    console.print(f"figures: {out}", highlight=False)
