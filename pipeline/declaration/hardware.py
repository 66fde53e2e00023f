"""What `auto` and null in the section `trainer` resolve to on this machine.

An accelerator, a precision and a number of threads decide a result, whether they are written out or resolved; the
fingerprint of a run therefore covers what they are where it is trained.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import sys
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from pipeline.data.threads import num_threads
from pipeline.declaration.settings import TrainerSettings
from pipeline.storage.memo import memoize_by_mtime

MEMORY = Path("cache") / "hardware.json"  # in the project's folder: what each machine has
RESOLVED = ("accelerator", "devices", "precision", "threads")  # settings that may be left to the machine
BOOT = Path("/proc/sys/kernel/random/boot_id")
DEVICES = ("nvidia[0-9]*", "kfd", "dri/render*")  # files in /dev that come and go with GPUs
# Starts of names of environment variables that show a process other hardware, or let it use another part of it.
VARIABLES = ("CUDA_", "NVIDIA_", "HIP_", "ROCR_", "PYTORCH_NVML", "ATEN_CPU", "ONEDNN_", "DNNL_")


@dataclass(frozen=True)
class Hardware:
    """What a machine trains on.

    Args:
        gpu: `cuda` or `mps`; None without a GPU.
        num_gpus: number of its GPUs that this process may use.
        with_bf16: accelerators that multiply matrices of bf16.
    """

    gpu: str | None
    num_gpus: int
    with_bf16: list[str]

    def precision(self, accelerator: str) -> str:
        """Return what `trainer.precision: auto` is on an accelerator."""
        return "bf16-mixed" if accelerator in self.with_bf16 else "32-true"

    def describe(self) -> dict[str, str]:
        """Return what each setting that may be left to this machine resolves to."""
        accelerator = self.gpu or "cpu"
        return {
            "trainer.accelerator=auto": accelerator,
            "trainer.precision=auto": self.precision(accelerator),
            "trainer.threads=null": str(count_threads()),
        }


def resolve(settings: TrainerSettings, hardware: Hardware) -> TrainerSettings:
    """Return settings in which nothing is left to the machine."""
    any_gpu = {"auto": hardware.gpu or "cpu", "gpu": hardware.gpu or "gpu"}
    accelerator = any_gpu.get(settings.accelerator, settings.accelerator)
    found = replace(settings, accelerator=accelerator)
    if found.devices == "auto":
        found = replace(found, devices=max(hardware.num_gpus, 1) if accelerator == "cuda" else 1)
    if found.precision == "auto":
        found = replace(found, precision=hardware.precision(accelerator))
    return replace(found, threads=count_threads()) if found.threads is None else found


def resolved(settings: TrainerSettings, *, root: Path) -> dict[str, str | int]:
    """Return what the settings `RESOLVED` are on this machine.

    Args:
        root: the project's folder, whose cache remembers the hardware.
    """
    found = resolve(settings, find_hardware(root))
    return {name: getattr(found, name) for name in RESOLVED}


def find_hardware(root: Path) -> Hardware:
    """Return the hardware of this machine, from the cache if torch is not imported yet, as that takes seconds."""
    if "torch" in sys.modules:
        return probe()
    wanted = (socket.gethostname(), _machine_state(), lambda: json.dumps(asdict(probe())))
    (text,) = memoize_by_mtime(root / MEMORY, [wanted])
    return Hardware(**json.loads(text))


def probe() -> Hardware:
    """Return the hardware of this machine, as torch sees it."""
    import torch  # slow to import

    with_bf16 = ["cpu"] if torch.cpu.get_capabilities().get("amx_tile", False) else []
    if torch.backends.mps.is_available():
        return Hardware("mps", 1, with_bf16)
    if not torch.cuda.is_available():
        return Hardware(None, 0, with_bf16)
    if torch.cuda.is_bf16_supported(including_emulation=False):
        with_bf16.append("cuda")
    return Hardware("cuda", torch.cuda.device_count(), with_bf16)


def count_threads() -> int:
    """Return the number of threads of `trainer.threads: null`: OMP_NUM_THREADS, or the cores of this process."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # one number per level of nesting
    return int(first) if first.isdecimal() and int(first) > 0 else num_threads()


def _machine_state() -> str:
    """Return all that tells when the hardware may have changed: the boot, torch, device files, variables."""
    boot = BOOT.read_text(encoding="ascii").strip() if BOOT.exists() else platform.platform()
    devices = sorted(str(path) for pattern in DEVICES for path in Path("/dev").glob(pattern))
    variables = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(VARIABLES))
    return json.dumps([boot, version("torch"), devices, variables])
