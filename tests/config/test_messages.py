import pytest
from jsonargparse import ArgumentError, ArgumentParser

from diglot.config.messages import one_line
from diglot.train.config import StageConfig

GOOD = ["--data=d", "--out=o"]
KNOWN = ["optim.lr", "epochs"]


def mistake(*args: str) -> str:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(StageConfig, as_group=False)
    with pytest.raises(ArgumentError) as error:
        parser.parse_args([*GOOD, *args])
    return one_line(str(error.value), KNOWN)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--optim.lr", "abc"], "optim.lr: expected number above 0, got abc"),
        (["--epochs", "1.5"], "epochs: expected whole number from 1 to 1,000,000, got 1.5"),
        (
            ["--precision", "fp8"],
            "precision: expected no or bf16 or fp16 or bfloat16 or float16 or float32 or fp32, "
            "got fp8",
        ),
        (["--optim.lr", "0"], "optim.lr: must be above 0; got 0"),
        (["--workers", "9999"], "workers: must be at least 0 and at most 1024; got 9999"),
        (["--max_samples", "x"], "max_samples: expected whole number above 0 or null, got x"),
        (["--optim.lrr", "1"], "unknown argument '--optim.lrr' (did you mean 'optim.lr'?)"),
        (["--optim.lrr=1"], "unknown argument '--optim.lrr' (did you mean 'optim.lr'?)"),
        (["--features.zzz", "1"], "unknown field 'features.zzz'"),
        (['--config={"epoch": 1}'], "unknown field 'epoch' (did you mean 'epochs'?)"),
        (
            ['--config={"optim": {"lrr": 1}}'],
            "unknown field 'optim.lrr' (did you mean 'optim.lr'?)",
        ),
        (
            ['--config={"model": {"language": {"path": 3}}}'],
            "model.language.path: expected text, got 3",
        ),
        (['--config={"features": {"zzz": 1}}'], "unknown field 'features.zzz'"),
        (["--epochs"], "argument --epochs: expected one argument"),
        (["stray"], "unknown argument 'stray'"),
    ],
)
def test_a_parsers_complaint_in_one_line_that_names_the_field(args, message):
    assert mistake(*args) == message


def test_lists_are_named_as_they_are_written():
    def function(*, alpha: float | tuple[float, ...] = 0.1, names: tuple[str, ...] = ()): ...

    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(function, as_group=False)
    for args, message in (
        (["--alpha", "x"], "alpha: expected number or [number, ...], got x"),
        (["--names", "A"], "names: expected a list in brackets, got A"),
    ):
        with pytest.raises(ArgumentError) as error:
            parser.parse_args(args)
        assert one_line(str(error.value)) == message


def test_whatever_else_it_says_comes_in_one_line():
    assert one_line("something\n  quite   else\n") == "something quite else"
    assert one_line('Parser key "a.b":\n  No   idea\n') == "a.b: No idea"
