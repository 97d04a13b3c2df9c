"""NVIDIA's Triton Inference Server without its container, for benchmarks and tests.

The wheel of ``nvidia-pytriton`` has the server and its Python backend. Networks in ONNX are run by a backend written
for that one (`benchmarks/triton_backend.py`), under the name of Triton's own: so the server reads a model repository
as it is.
"""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import httpx

from benchmarks.processes import SERVER_START_S, STOP_S, NotInstalled, free_port

PYTHON = Path(sys.prefix) / "triton" / "bin" / "python"
"""Of the environment that the Makefile makes of ``benchmarks/triton.txt``."""
_LIBRARIES = Path(str(sysconfig.get_config_var("LIBDIR")))
_SHARED = "/dev/shm/triton_"  # noqa: S108  # files that its backends have in common, which a killed one leaves
_TRIES = 3  # its Python backend gives up now and then on a machine with much to do (boost's lock_exception)
_BACKEND = Path(__file__).with_name("triton_backend.py")


def packages() -> Path:
    """Where that environment has its packages; `NotInstalled` where there is no environment."""
    found = next(PYTHON.parents[1].glob("lib/python*/site-packages"), None)
    if found is None:
        raise NotInstalled("no Triton is installed (pip install --no-deps -r benchmarks/triton.txt in .venv/triton)")
    return found


class Triton:
    """A server on free ports of the loopback interface, which may be killed and started again.

    Parameters
    ----------
    repository : Path
        Its models.
    folder : Path
        For its backends and its log.
    arguments : sequence of str
        More of ``tritonserver``.
    """

    def __init__(self, repository: Path, folder: Path, arguments: Sequence[str] = ()) -> None:
        self._arguments = arguments
        self.repository, self._folder, self.log = repository, folder, folder / "output"
        self._packages = packages()
        self._parts = self._packages / "pytriton" / "tritonserver"
        if not self._parts.exists():
            raise NotInstalled("no Triton is installed (nvidia-pytriton, in .venv/triton, on Linux and x86_64 alone)")
        if not (_LIBRARIES / str(sysconfig.get_config_var("INSTSONAME"))).exists():
            raise NotInstalled("Triton's backends need a Python that is a shared library, which this one is not")
        self._install_backends()
        self._http_port, self._grpc_port = free_port(), free_port()
        self.http_url = f"http://127.0.0.1:{self._http_port}"
        self.grpc_url = f"grpc://127.0.0.1:{self._grpc_port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until its models are ready."""
        for _ in range(_TRIES - 1):
            try:
                return self._start()
            except RuntimeError:
                if self._server.returncode != -signal.SIGABRT:
                    raise
        return self._start()

    def _start(self) -> None:
        libraries = self._packages / "nvidia_pytriton.libs", _LIBRARIES
        environment = {
            **os.environ,
            "PATH": f"{PYTHON.parent}:{os.environ['PATH']}",  # whose packages the backend finds
            "LD_LIBRARY_PATH": ":".join(map(str, libraries)),
            "OMP_NUM_THREADS": "1",
        }
        binary = self._parts / "bin" / "tritonserver"
        binary.chmod(0o755)
        with self.log.open("a") as output:
            self._server = subprocess.Popen(
                [
                    str(binary), f"--model-repository={self.repository}", f"--backend-directory={self._folder}",
                    f"--http-port={self._http_port}", f"--grpc-port={self._grpc_port}", "--http-address=127.0.0.1",
                    "--grpc-address=127.0.0.1", "--allow-metrics=0", "--disable-auto-complete-config",
                    *self._arguments,
                ],
                env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End it and its backends' processes without a warning (SIGKILL)."""
        shared = self._shared()
        with suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait(STOP_S)
        for path in shared:
            path.unlink(missing_ok=True)

    def _shared(self) -> set[Path]:
        with suppress(OSError):  # it has ended
            mapped = Path(f"/proc/{self._server.pid}/maps").read_text().split()
            return {Path(word) for word in mapped if word.startswith(_SHARED)}
        return set()

    def _install_backends(self) -> None:
        stub = f"{sys.version_info.major}.{sys.version_info.minor}"
        for backend, files in {
            "python": [
                self._parts / "backends" / "python" / "libtriton_python.so",
                self._parts / "backends" / "python" / "triton_python_backend_utils.py",
                self._parts / "python_backend_stubs" / stub / "triton_python_backend_stub",
            ],
            "onnxruntime": [_BACKEND],
        }.items():
            (self._folder / backend).mkdir()
            for file in files:  # copies: links out of the folder are refused
                shutil.copy(file, self._folder / backend / ("model.py" if file is _BACKEND else file.name))
        (self._folder / "python" / "triton_python_backend_stub").chmod(0o755)

    def _wait(self) -> None:
        deadline = monotonic() + SERVER_START_S
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.http_url}/v2/health/ready").is_success:
                    return
            if self._server.poll() is not None:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])
                raise RuntimeError(f"Triton ended with status {self._server.returncode}:\n{tail}")
            if monotonic() > deadline:
                raise TimeoutError("Triton is not ready")
            sleep(0.02)


@contextmanager
def triton_server(repository: Path, *arguments: str) -> Iterator[Triton]:
    """A Triton of its own on a model repository."""
    with tempfile.TemporaryDirectory(prefix="coldstart-triton-") as folder:
        server = Triton(repository, Path(folder), arguments)
        try:
            yield server
        finally:
            server.kill()
