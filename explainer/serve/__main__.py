"""Serve the network to apps on other machines: `python -m explainer.serve --help`."""

import argparse
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence

_EXAMPLE = """\
On the machine with the GPU, then on the one with the app:
  python -m explainer.serve --host 10.0.0.5 --replicas 2 --gpu-fraction 0.5
  EXPLAINER_SERVE=http://10.0.0.5:8270 python -m streamlit run app.py

Who reaches the address may use it: keep it inside a private network. Nothing of a photo is logged
or written to disk here. GET /health tells what answers. Ctrl-C ends it.
"""

PORT = 8270
LONGEST_INLINE = 2**25
"""Bytes that Ray passes on from process to process. Longer ones would go through its object store,
which may write to disk when it is full; no photo and no answer is so long."""

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's own ports run code for whoever knows the token in ~/.ray/auth_token.
    "RAY_AUTH_MODE": "token",
    "RAY_enable_metrics_collection": "0",
    "RAY_max_direct_call_object_size": str(LONGEST_INLINE),
    "RAY_task_rpc_inlined_bytes_limit": str(2 * LONGEST_INLINE),
    "RAY_automatic_object_spilling_enabled": "0",
    # Despite its name it holds everywhere: Ray's ports are opened on the loopback address only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # On a busy machine a process takes longer to start than Ray waits: it would be killed.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
}
"""Ray reads these when it is imported. What the environment has already stays."""

OBJECT_STORE = 2**27
"""Bytes. Nothing of a photo goes there; Ray wants at least 75 MB."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        "python -m explainer.serve",
        description="Serve the network to apps on other machines.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    found.add_argument("--port", type=int, default=PORT, help="default: %(default)s")
    found.add_argument(
        "--replicas", type=_positive, default=1, help="processes with a network (default: 1)"
    )
    found.add_argument(
        "--device", choices=("cpu", "cuda", "mps"), help="default: the fastest there is"
    )
    found.add_argument(
        "--gpu-fraction",
        type=_fraction,
        default=1.0,
        metavar="F",
        help="of a GPU for each replica: 0.5 puts two on one (default: 1)",
    )
    found.add_argument(
        "--max-batch",
        type=_positive,
        default=16,
        metavar="N",
        help="photos in one pass on a GPU (default: %(default)s; on a CPU it is 1)",
    )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM; returns the exit status."""
    options = parser().parse_args(arguments)
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        from ray import serve
    except ImportError:
        print(
            "Ray Serve is not installed: python -m pip install -e '.[serve]' in the folder of the "
            "README",
            file=sys.stderr,
        )
        return 2
    from explainer.fcn.device import choose

    try:
        # Which GPU a replica gets, Ray decides.
        device = choose(options.device).split(":")[0]
        # Ray would share a port with whoever has it.
        socket.create_server((options.host, options.port)).close()
    except (OSError, ValueError) as error:
        print(f"cannot serve: {error}", file=sys.stderr)
        return 1
    # Ray keeps sockets and its own logs there; the paths of sockets must be short.
    folder = tempfile.mkdtemp(prefix="serve-", dir=None if os.name == "nt" else "/tmp")
    _on_signals(_end)
    try:
        ray.init(
            "local",
            include_dashboard=False,
            object_store_memory=OBJECT_STORE,
            logging_level=logging.WARNING,
            _temp_dir=folder,
        )
        _on_signals(_end)  # again: Ray has set its own
        print(_start(options, device), flush=True)
        threading.Event().wait()
    except Exception as error:  # too few GPUs, weights that cannot be loaded, Ray's own …
        print(f"cannot serve: {error}", file=sys.stderr)
        return 1
    finally:
        _on_signals(signal.SIG_IGN)
        if ray.is_initialized():
            serve.shutdown()
            ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _start(options: argparse.Namespace, device: str) -> str:
    """Start the replicas on a Ray that runs; what to tell when they are ready.

    Raises:
        ValueError: there are not enough GPUs.
        RuntimeError: the replicas do not start.
    """
    import ray
    from ray import serve

    from explainer.serve.deployment import LOGGING, Replica

    there = ray.cluster_resources()
    cores = int(there["CPU"])
    # Ray gives a process as many threads as it reserves cores.
    resources = {"num_cpus": cores // options.replicas or cores / options.replicas}
    if device == "cuda":
        resources["num_gpus"] = options.gpu_fraction
        room = int(there.get("GPU", 0)) * int(1 / options.gpu_fraction)
        if options.replicas > room:
            raise ValueError(
                f"the GPUs here have room for {room} replicas with {options.gpu_fraction:g} of a "
                "GPU each: choose fewer replicas or a smaller fraction"
            )
    http = {"host": options.host, "port": options.port}
    serve.start(http_options=http, logging_config=LOGGING)
    replica = Replica.options(num_replicas=options.replicas, ray_actor_options=resources)
    serve.run(replica.bind(device, options.gpu_fraction, options.max_batch))
    address = f"http://{options.host}:{options.port}"
    return (
        f"{options.replicas} on {device} at {address}: start the app with "
        f"EXPLAINER_SERVE={address}. Ctrl-C ends it."
    )


def _on_signals(handler: Callable[..., object] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _end(*_: object) -> None:
    raise SystemExit(0)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {number}")
    return number


def _fraction(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"above 0 and at most 1, not {number:g}")
    return number


if __name__ == "__main__":
    sys.exit(main())
