"""The child process that holds the local model: llama.cpp's OpenAI-style server on a loopback port."""

import argparse
import importlib
import os
import select
import sys
from pathlib import Path

HOST = "127.0.0.1"
PARENT_CHECK_S = 1.0
GGUF_MAGIC = b"GGUF"
BATCH_TOKENS = 256
"""A prompt is read in batches and can be cancelled between two of them: 256 tokens take about 3 s on one core
(measured, SmolLM2-135M); llama.cpp's 2,048 would keep an abandoned prompt for 18 s."""
TEMPERATURE = 0.2
"""What SmolLM2's model card recommends; used where the client sends none. At llama.cpp's 0.8 so small a model
rambles."""


def fault_of(path: Path) -> str | None:
    """Say in one line why `path` cannot be a model file, or None when it looks like one."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(GGUF_MAGIC))
    except OSError as error:
        return f"cannot read the model file {path}: {error.strerror}"
    if magic != GGUF_MAGIC:
        return f"{path} is not a GGUF model file (it does not begin with the bytes GGUF)"
    return None


def serve(options: argparse.Namespace) -> None:
    """Load the model and serve it until the parent process is gone; exits with one line when it cannot."""
    fault = fault_of(options.model)
    if fault:
        sys.exit(fault)
    try:
        llama = importlib.import_module("xllamacpp")
    except ImportError as error:
        sys.exit(f"the local model needs xllamacpp ({error}): pip install 'neuralrouting[local]'")
    params = llama.CommonParams()
    params.model.path = str(options.model)
    params.model_alias = {options.name or options.model.stem}
    params.hostnames, params.port = [HOST], options.port
    # llama.cpp divides its context among the slots; our setting is what one request may have.
    params.n_parallel, params.n_ctx = options.parallel, options.ctx * options.parallel
    params.cpuparams.n_threads = options.threads
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    # Only where the client sets no max_tokens: otherwise a looping model goes on to the end of the context.
    params.n_predict = options.ctx // 4
    params.sampling.temp = TEMPERATURE
    # /slots shows prompts, the page and open CORS are for browsers, the RAM cache may grow to 8 GB.
    params.endpoint_slots = params.ui = params.cors_credentials = params.cache_idle_slots = False
    params.cors_origins, params.cache_ram_mib = f"http://{HOST}", 0
    params.verbosity = 0  # from 1 on, llama.cpp logs parts of requests
    try:
        _server = llama.Server(params)
    except RuntimeError:
        sys.exit(f"llama.cpp cannot serve {options.model} on port {options.port}: file damaged or port in use")
    wait_for_parent()
    os._exit(0)  # llama.cpp's own threads may be in the middle of an answer nobody waits for


def wait_for_parent() -> None:
    """Return when stdin reaches its end or the parent is gone.

    Both are needed: processes the parent forked hold the other end of the pipe open after its death.
    """
    parent = os.getppid()
    while os.getppid() == parent and not select.select([sys.stdin], [], [], PARENT_CHECK_S)[0]:
        pass


def parser() -> argparse.ArgumentParser:
    """Build the command line of the child process."""
    parser = argparse.ArgumentParser(prog="python -m neuralrouting.providers.local_server", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="path of a GGUF file")
    parser.add_argument("--name", default="", help="name the model answers under (default: the file's)")
    parser.add_argument("--port", type=int, required=True, help=f"port on {HOST}")
    parser.add_argument("--ctx", type=int, default=4096, help="tokens one request may have, answer included")
    parser.add_argument("--parallel", type=int, default=2, help="requests served at the same time")
    parser.add_argument("--threads", type=int, default=1, help="threads that compute")
    return parser


if __name__ == "__main__":
    serve(parser().parse_args())
