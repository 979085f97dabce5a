"""What only a GPU can tell: the gap in bfloat16, the recorder's cost, memory, weight sync.

Builds a Qwen3 model of 0.75 B random weights here (no download), trains it for a few steps in each
set-up, and prints a table. A part that this machine can't run says "not run" and why.

    python scripts/check_gpu.py                                  one GPU of 24 GB or more
    python scripts/check_gpu.py --out docs/gpu-figures.md --json
    python scripts/check_gpu.py --vllm ENVIRONMENT/bin/vllm     a vLLM of another environment
    python scripts/check_gpu.py --device cpu --tiny              the same code, on any machine

Its output is sharpened to the entropy of a trained policy: on a flat one rounding shows less. It is
one script on purpose, so that it can be copied to a machine; hence its length.
"""

import argparse
import contextlib
import gc
import io
import json
import os
import platform
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

WARM_UP = 2
ENTROPY = 0.7
SERVER_START_S = 600.0
REPEATS = 3
KINDS: dict[str, dict[str, Any]] = {
    "nothing recorded": {"log_full_trajectories": False},
    "trajectories recorded": {"log_full_trajectories": True},
    "and token details": {"log_full_trajectories": True, "log_token_details": True},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large everything is. `batch` rollouts make a micro-batch, `micro_steps` a step."""

    words: int
    hidden: int
    layers: int
    heads: int
    head_dim: int
    batch: int
    micro_steps: int
    group: int
    answer_tokens: int
    steps: int
    rounds: int


FULL = Size(
    words=151_000, hidden=1024, layers=28, heads=16, head_dim=128,
    batch=8, micro_steps=4, group=8, answer_tokens=256, steps=6, rounds=3,
)  # fmt: skip
TINY = Size(
    words=300, hidden=64, layers=2, heads=4, head_dim=32,
    batch=8, micro_steps=1, group=4, answer_tokens=8, steps=1, rounds=1,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A line of the table; `value` is None where it was not run, and `note` says why."""

    check: str
    figure: str
    value: float | None = None
    unit: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """The value with its unit, or that there is none."""
        if self.value is None:
            return f"not run: {self.note}"
        return f"{self.value:.4g} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What one short training left: its record, its steps' seconds, its memory in bytes."""

    run: Any
    steps_s: list[float]
    syncs_s: list[float]
    gpu_bytes: int | None
    host_bytes: int | None


class Bench:
    """One model, trained again and again from the same weights."""

    def __init__(self, device: str, size: Size, folder: Path) -> None:
        import torch

        self.cuda = device == "cuda"
        self.size = size
        self.folder = folder
        self.dtype = torch.bfloat16 if self.cuda else torch.float32
        self.model_folder = folder / "model"
        self.parameters = self._save_model()
        self._trainings = 0

    def _save_model(self) -> int:
        import torch

        from rlvr.demo.policy import build_tokenizer

        tokenizer = build_tokenizer([" ".join(words(self.size.words))])
        torch.manual_seed(0)
        model = sharpened(random_model(self.size, tokenizer)).to(self.dtype)
        model.save_pretrained(self.model_folder)
        tokenizer.save_pretrained(self.model_folder)
        return sum(parameter.numel() for parameter in model.parameters())

    def train(self, *, steps: int, **options: Any) -> Trained:
        """Train from the saved weights; with a `port`, on the answers of the vLLM server there."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback

        import rlvr
        from rlvr.trainers.enhanced_grpo_trainer import EnhancedGRPOTrainer

        self._trainings += 1
        folder = self.folder / f"training-{self._trainings}"
        port = options.pop("port", None)
        name = str(self.model_folder)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=self.dtype)
        self._reset_memory()
        before = host_bytes()
        timer = step_timer(self._synchronize)
        torch.manual_seed(0)
        with contextlib.redirect_stderr(io.StringIO()):
            trainer = EnhancedGRPOTrainer(
                model,
                environment(),
                self._config(folder, steps, port),
                AutoTokenizer.from_pretrained(name),
                inference="embedded" if port is None else "vllm",
                callbacks=[timer],
                **options,
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
            peak = torch.cuda.max_memory_allocated() if self.cuda else None
            after = host_bytes()
            syncs = [timed(trainer._move_model_to_vllm, self._synchronize) for _ in range(REPEATS)]
        recorded = options.get("log_full_trajectories", True)
        del trainer, model
        gc.collect()
        return Trained(
            run=rlvr.open_run(folder) if recorded else None,
            steps_s=timer.seconds,
            syncs_s=syncs,
            gpu_bytes=peak,
            host_bytes=None if before is None or after is None else after - before,
        )

    def _config(self, folder: Path, steps: int, port: int | None) -> Any:
        from verifiers.trainers import GRPOConfig

        return GRPOConfig(
            output_dir=str(folder),
            max_steps=steps,
            per_device_train_batch_size=self.size.batch,
            gradient_accumulation_steps=self.size.micro_steps,
            num_generations=self.size.group,
            gradient_checkpointing=False,
            learning_rate=1e-6,  # the policy stays as it is, so that every kind does the same work
            lr_scheduler_type="constant",
            loss_type="bnpo",
            beta=0.0,
            max_tokens=self.size.answer_tokens,
            max_seq_len=256 + self.size.answer_tokens,
            max_prompt_length=256,
            num_batches_ahead=0,
            max_data_workers=None,
            save_strategy="no",
            report_to=[],
            bf16=self.cuda,
            use_cpu=not self.cuda,
            dataloader_pin_memory=False,
            disable_tqdm=True,
            seed=1,
            vllm_server_host="127.0.0.1",
            vllm_server_port=port or 8000,
            vllm_server_timeout=60.0,
        )

    def _reset_memory(self) -> None:
        if self.cuda:
            import torch

            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def _synchronize(self) -> None:
        if self.cuda:
            import torch

            torch.cuda.synchronize()


def words(count: int) -> Iterator[str]:
    """Different words of letters, which the tokenizer takes as one token each."""
    for number in range(count):
        letters, rest = "", number
        while rest or not letters:
            rest, letter = divmod(rest, 26)
            letters += chr(ord("a") + letter)
        yield letters + "q"


def random_model(size: Size, tokenizer: Any) -> Any:
    """A Qwen3 model of random weights. Input and output weights are two, as vLLM expects of one
    whose weights arrive by name."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=3 * size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads // 2,
        head_dim=size.head_dim,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen3ForCausalLM(config)


def sharpened(model: Any) -> Any:
    """The model with its output scaled until the next token's entropy is about ENTROPY nats."""
    import torch

    ids = torch.randint(0, model.config.vocab_size, (1, 64))
    with torch.no_grad():
        logits = model(ids).logits[0].float()
        low, high = 1.0, 1e4
        while high / low > 1.01:
            scale = (low * high) ** 0.5
            logprobs = torch.log_softmax(logits * scale, dim=-1)
            entropy = -(logprobs.exp() * logprobs).sum(dim=-1).mean()
            low, high = (scale, high) if entropy > ENTROPY else (low, scale)
        model.model.norm.weight.mul_(low)
    return model


def environment() -> Any:
    """One-turn questions; the reward differs between rollouts and costs nothing."""
    import datasets
    import verifiers as vf

    def varied(completion: Any) -> float:
        return float(len(completion[-1]["content"]) % 7)

    rows = [{"question": f"Say {number}.", "answer": str(number)} for number in range(512)]
    rubric = vf.Rubric(funcs=[varied])
    return vf.SingleTurnEnv(dataset=datasets.Dataset.from_list(rows), rubric=rubric)


def step_timer(synchronize: Callable[[], None]) -> Any:
    """A callback with `seconds`, the time of each step after the warm-up, the device waited for."""
    from transformers import TrainerCallback

    class StepTimer(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def __init__(self) -> None:
            self._starts: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            synchronize()
            self._starts.append(time.perf_counter())

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.on_step_begin()

        @property
        def seconds(self) -> list[float]:
            pairs = zip(self._starts, self._starts[1:], strict=False)
            return [stop - start for start, stop in pairs][WARM_UP:]

    return StepTimer()


def timed(call: Callable[[], object], synchronize: Callable[[], None]) -> float:
    """Seconds of a call, what it started on the device included."""
    began = time.perf_counter()
    call()
    synchronize()
    return time.perf_counter() - began


def host_bytes() -> int | None:
    """Resident memory of this process; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def gap_figures(check: str, run: Any) -> Iterator[Figure]:
    """Mean, 99th percentile and tail of |trainer - sampler| over the trained tokens of a run."""
    import numpy as np

    found = [np.empty(0)]
    for trajectory in run.trajectories():
        for sequence in trajectory.tokens.sequences if trajectory.tokens else ():
            if sequence.sampler_logprobs is not None and sequence.trainer_logprobs is not None:
                trainer = np.asarray(sequence.trainer_logprobs, dtype=float)
                found.append(np.abs(trainer - np.asarray(sequence.sampler_logprobs, dtype=float)))
    gaps = np.concatenate(found)
    gaps = gaps[np.isfinite(gaps)]
    if not len(gaps):
        yield Figure(check=check, figure="gap", note="no token has both logprobs")
        return
    yield Figure(check=check, figure="gap, mean", value=float(gaps.mean()), unit="nats")
    yield Figure(check=check, figure="gap, p99", value=float(np.quantile(gaps, 0.99)), unit="nats")
    beyond = 100 * float((gaps > 1).mean())
    yield Figure(check=check, figure="gap beyond 1 nat", value=beyond, unit="% of tokens")


def check_gap(bench: Bench) -> Iterator[Figure]:
    """Trainer against embedded sampler, repaired and as verifiers ships it."""
    for repairs, name in (("all", "embedded, repaired"), ("none", "embedded, as verifiers ships")):
        trained = bench.train(steps=bench.size.steps, repairs=repairs, log_token_details=True)
        yield from gap_figures(name, trained.run)


def check_recorder(bench: Bench) -> Iterator[Figure]:
    """Step time and memory without the recorder, with it, and with token details, interleaved."""
    found: dict[str, list[Trained]] = {name: [] for name in KINDS}
    names = list(KINDS)
    bench.train(steps=WARM_UP, **KINDS[names[0]])  # kernels and caches belong to no kind
    for number in range(bench.size.rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            found[name].append(bench.train(steps=bench.size.steps + WARM_UP, **KINDS[name]))
    base = statistics.median(s for trained in found[names[0]] for s in trained.steps_s)
    for name, trained in found.items():
        step = statistics.median(s for one in trained for s in one.steps_s)
        yield Figure(check=name, figure="step, median", value=step, unit="s")
        if name != names[0]:
            more = 100 * (step / base - 1)
            yield Figure(check=name, figure="step, beside nothing recorded", value=more, unit="%")
        yield memory(name, "GPU memory, peak", [one.gpu_bytes for one in trained], "no CUDA device")
        yield memory(name, "host memory, added", [one.host_bytes for one in trained], "no /proc")


def memory(check: str, figure: str, sizes: list[int | None], missing: str) -> Figure:
    """The median of sizes that were measured, in GB."""
    known = [size for size in sizes if size is not None]
    if not known:
        return Figure(check=check, figure=figure, note=missing)
    return Figure(check=check, figure=figure, value=statistics.median(known) / 1e9, unit="GB")


def check_vllm(bench: Bench, program: str | None, gpus: list[str], transport: str) -> list[Figure]:
    """Gap and seconds of a weight sync with a vLLM server of its own, by NCCL or through files."""
    check = f"vLLM, weights by {transport}"
    reason = None
    if program is None:
        reason = "no such program here: install vllm, or name it by --vllm"
    elif transport == "nccl" and len(gpus) < 2:
        reason = f"NCCL needs a GPU for the server beside the trainer's, and here are {len(gpus)}"
    if reason is not None or program is None:
        return [Figure(check=check, figure="gap and sync", note=reason or "")]
    try:
        with served(program, bench, gpus[-1:] if transport == "nccl" else gpus[:1]) as port:
            trained = bench.train(
                steps=bench.size.steps, port=port, weight_sync=transport, log_token_details=True
            )
    except (OSError, ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())[-300:]
        return [
            Figure(check=check, figure="gap and sync", note=f"{type(error).__name__}: {reason}")
        ]
    seconds = statistics.median(trained.syncs_s)
    return [
        *gap_figures(check, trained.run),
        Figure(check=check, figure="weight sync, median", value=seconds, unit="s"),
    ]


@contextlib.contextmanager
def served(program: str, bench: Bench, gpus: list[str]) -> Iterator[int]:
    """Port of a server of the model, which ends with the context.

    Raises:
        RuntimeError: it did not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = bench.folder / f"server-{port}.log"
    model = str(bench.model_folder)
    own = Path(program).name == "vf-vllm"
    length = str(256 + bench.size.answer_tokens)
    command = [program, *(["--model", model] if own else ["serve", model])]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", length]
    command += ["--dtype", "bfloat16" if bench.cuda else "float32", "--enforce-eager"]
    command += ["--logprobs-mode", "processed_logprobs", "--max-logprobs", "-1"]
    command += ["--gpu-memory-utilization", "0.4"] if bench.cuda else []
    with log.open("w") as out:
        server = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | server_environment(gpus, cuda=bench.cuda),
            start_new_session=True,
        )
    try:
        wait_for(port, server, log)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def server_environment(gpus: list[str], *, cuda: bool) -> dict[str, str]:
    """What a server needs beside the environment of this process."""
    shared = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_SERVER_DEV_MODE": "1",
        "CUDA_VISIBLE_DEVICES": ",".join(gpus),
    }
    return shared if cuda else {**shared, "TORCHDYNAMO_DISABLE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}


def wait_for(port: int, server: Any, log: Path) -> None:
    """Return when the server answers.

    Raises:
        RuntimeError: it ended, or took too long.
    """
    deadline = time.monotonic() + SERVER_START_S
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, without touching any of them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(number) for number, _ in enumerate(listed.stdout.splitlines())]


def machine(bench: Bench, arguments: argparse.Namespace) -> dict[str, str]:
    """What the figures were measured on and with."""
    import torch

    packages = ("torch", "transformers", "verifiers", "vllm", "rlvr")
    here = {name: version_of(name) for name in packages}
    device, driver = platform.processor() or platform.machine(), ""
    if bench.cuda:
        device = torch.cuda.get_device_name(0)
        with contextlib.suppress(OSError):
            query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
            asked = subprocess.run(query, capture_output=True, text=True, check=False)
            driver = asked.stdout.split("\n")[0]
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "device": f"{device}, {arguments.device}",
        "driver": driver or "none",
        "CUDA": str(torch.version.cuda or "none"),
        "versions": ", ".join(f"{name} {version}" for name, version in here.items()),
        "model": f"Qwen3, random weights, {bench.parameters / 1e9:.3g} B, {bench.dtype}",
        "command": shlex.join(["python", "scripts/check_gpu.py", *sys.argv[1:]]),
    }


def version_of(package: str) -> str:
    """The installed version, or that there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def markdown(facts: dict[str, str], figures: list[Figure]) -> str:
    """A section of a document."""
    lines = [f"## {facts['device']}, {facts['date']}", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", "| check | figure | value |", "|---|---|---|"]
    lines += [f"| {f.check} | {f.figure} | {f.text.replace('|', '/')} |" for f in figures]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run every check that this machine can run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a model of some thousand weights")
    parser.add_argument("--vllm", help="the vllm program; the one of this environment if left out")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--out", type=Path, help="append the figures to this Markdown file")
    arguments = parser.parse_args()
    gpus = visible_gpus()
    if arguments.device == "cuda":
        if not gpus:
            parser.error("no CUDA device here; --device cpu --tiny runs the same code without one")
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[0]  # more would be one model on all of them
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("DS_ACCELERATOR", arguments.device)
    import verifiers

    verifiers.setup_logging("ERROR")
    program = arguments.vllm or shutil.which("vllm")
    own = shutil.which("vf-vllm") if version_of("vllm") != "not installed" else None
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.device, TINY if arguments.tiny else FULL, Path(folder))
        checks: dict[str, Callable[[], Any]] = {
            "trainer against sampler": lambda: check_gap(bench),
            "the recorder's cost": lambda: check_recorder(bench),
            "vLLM, weights through files": lambda: check_vllm(bench, program, gpus, "files"),
            "vLLM, weights by NCCL": lambda: check_vllm(bench, own, gpus, "nccl"),
        }
        for title, check in checks.items():
            print(f"check_gpu: {title}", file=sys.stderr)
            figures += check()
        facts = machine(bench, arguments)
    if arguments.json:
        print(json.dumps({"machine": facts, "figures": [asdict(f) for f in figures]}, indent=2))
    else:
        print(markdown(facts, figures), end="")
    if arguments.out:
        with arguments.out.open("a") as out:
            out.write(markdown(facts, figures))


if __name__ == "__main__":
    main()
