"""The processes and devices of a run, as its launcher and its settings have them."""

from accelerate import Accelerator
from accelerate.state import AcceleratorState

from diglot.core.distributed import joins_on_cpu, launched_processes
from diglot.core.errors import ConfigError
from diglot.models.vlm import VLM
from diglot.train.config import StageConfig
from diglot.train.engine import prepare_engine, uses_engine
from diglot.train.optim import make_optimizer
from diglot.train.sharding import read_sharding, waits_for_gpus
from diglot.train.trackers import check_trackers
from diglot.train.updates import Updates


def make_accelerator(config: StageConfig) -> Accelerator:
    """The Accelerator of a run.

    Raises ConfigError for a tracker that is not there, a precision that the machine cannot compute
    in, or processes that do not know of one another.
    """
    check_trackers(config.trackers)
    read_sharding()
    _forget_precision(config.precision)
    try:
        accelerator = Accelerator(
            cpu=joins_on_cpu() or waits_for_gpus(),
            mixed_precision=config.precision,
            log_with=[*config.trackers] or None,
            project_dir=config.out,
        )
    except ImportError as error:  # what `accelerate config` asks for is not installed
        raise ConfigError(
            " ".join(str(error).split()),
            where="accelerate config",
            fix="Install it, or choose another way to share there.",
        ) from error
    except ValueError as error:  # the machine cannot
        reason = " ".join(str(error).split())
        raise ConfigError(reason, got=config.precision, where="precision") from error
    _check_half(accelerator)
    _check_joined(accelerator.num_processes)
    # steps are counted by the loop: what `accelerate config` says of them would scale the loss
    accelerator.gradient_accumulation_steps = 1
    return accelerator


def make_updates(vlm: VLM, config: StageConfig, accelerator: Accelerator) -> Updates:
    """The model and its optimizer as the launcher wants them shared."""
    optimizer = make_optimizer(vlm, config.optim)
    if uses_engine(accelerator):
        return prepare_engine(vlm, optimizer, accelerator, config)
    model, optimizer = accelerator.prepare(vlm, optimizer)
    return Updates(model, optimizer, accelerator)


def _forget_precision(precision: str) -> None:
    """Let this process begin with another precision than its last run's, as rows of a comparison
    do. Accelerate keeps one for the process and has no open way to choose another.
    """
    kept = AcceleratorState._shared_state.get("_mixed_precision", precision)
    if kept != precision:
        AcceleratorState._reset_state()


def _check_half(accelerator: Accelerator) -> None:
    """Raises ConfigError where Accelerate would compute in float32 without a word."""
    if accelerator.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise ConfigError(
            "a CPU does not train in float16",
            expected="no or bf16",
            fix="Set precision: bf16, or leave it out.",
            got="fp16",
            where="precision",
        )


def _check_joined(processes: int) -> None:
    """Raises ConfigError where the launcher's processes do not know of one another."""
    if processes < launched_processes():
        raise ConfigError(
            "the processes that were started have not joined: each would train alone",
            expected=f"{launched_processes()} of them (WORLD_SIZE)",
            got=processes,
            fix="Start them by torchrun or accelerate launch, on one kind of device.",
        )
