"""A real vLLM server in processes of its own."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

START_TIMEOUT_S = 300
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",  # else the first request for logprobs compiles for half a minute
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_SERVER_DEV_MODE": "1",
}
FLAGS = [
    *("--host", "127.0.0.1"),
    *("--dtype", "float32", "--max-model-len", "768", "--max-num-seqs", "32", "--enforce-eager"),
    *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
    *("--logprobs-mode", "processed_logprobs", "--max-logprobs", "-1"),
    *("--block-size", "32"),  # tokens; the usual 128 leave little of a prompt to the prefix cache
    *("--enable-lora", "--max-lora-rank", "16"),
    *("--hf-overrides", '{"tie_word_embeddings": false}'),
]


class VllmProcess:
    """A server for one model folder, on a port that stays the same when it is started again."""

    def __init__(self, environment, model, logs):
        self._program = Path(environment) / "bin" / "vllm"
        self._model, self._logs = str(model), logs
        self._starts = 0
        self._process = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        self._starts += 1
        log = self._logs / f"vllm-{self._starts}.log"
        with log.open("w") as out:
            self._process = subprocess.Popen(
                [self._program, "serve", self._model, *FLAGS, "--port", str(self.port)],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | ENVIRONMENT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.healthy():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server did not start:\n{log.read_text()[-4000:]}")
            time.sleep(0.5)

    def healthy(self):
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                return True
        except OSError:
            return False

    def post(self, path, body=None):
        request = urllib.request.Request(
            f"{self.url}{path}",
            json.dumps(body or {}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def restore(self):
        """The weights that it was started with, and nothing computed yet."""
        reload = {"method": "reload_weights", "kwargs": {"weights_path": self._model}}
        self.post("/collective_rpc", reload)
        self.post("/reset_prefix_cache")

    def freeze(self):
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self):
        os.killpg(self._process.pid, signal.SIGCONT)

    def kill(self):
        """End all its processes at once, as a machine that goes down does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
