"""A virtual environment for each peer, under bench/.envs, made once and made anew when its requirements change."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from bench.contenders import Peer
from bench.processes import BenchError

ENVS = Path(__file__).parent / ".envs"
VERSIONS = """\
import importlib.metadata as m, json
print(json.dumps({d.metadata["Name"].lower(): d.version for d in m.distributions()}))"""


def environment(peer: Peer) -> Path:
    """Its bin folder."""
    folder = ENVS / peer.name
    stamp = folder / "made-for.json"
    wanted = json.dumps([sys.version, *peer.requirements])
    if stamp.exists() and stamp.read_text() == wanted and (folder / "bin" / "python").exists():
        return folder / "bin"
    print(f"  making the environment of {peer.name} {' '.join(peer.requirements)}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    call([sys.executable, "-m", "venv", "--without-pip", str(folder)], peer)
    if peer.requirements:
        install(folder, peer)
    stamp.write_text(wanted)
    return folder / "bin"


def install(folder: Path, peer: Peer) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    call([*pip, *peer.requirements], peer)


def call(command: list[str], peer: Peer) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise BenchError(f"{peer.name} can't be installed: {errors[-1] if errors else 'no word why'}")


def versions(peer: Peer) -> dict[str, str]:
    """What is installed for it."""
    python = ENVS / peer.name / "bin" / "python"
    done = subprocess.run([str(python), "-c", VERSIONS], capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, str] = json.loads(done.stdout)
    return found
