"""What it takes to run verifiers 0.1.5-0.1.6 beside transformers 5, in one place.

Every private name of another library that the trainer touches is listed in `PRIVATE_NAMES`; a
contract test looks each of them up, so that an upgrade that moves one fails there first.
"""

import copy
import ctypes
import functools
import importlib.metadata
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from packaging.specifiers import SpecifierSet

from rlvr.errors import MissingDependency, UnsupportedLibrary

VERIFIERS = SpecifierSet(">=0.1.5.post0,<0.1.7")
PRIVATE_NAMES = (
    "verifiers.trainers.grpo_trainer.GRPOTrainer._prepare_inputs",
    "verifiers.trainers.grpo_trainer.GRPOTrainer._compute_advantages",
    "verifiers.trainers.grpo_trainer.GRPOTrainer._get_per_token_logps",
    "verifiers.trainers.grpo_trainer.GRPOTrainer._get_train_sampler",
    "verifiers.trainers.grpo_trainer.GRPOTrainer._get_model_name",
    "verifiers.trainers.grpo_trainer.GRPOTrainer._get_sampling_args",
    "verifiers.trainers.grpo_trainer.GRPOTrainer._inner_training_loop",
    "verifiers.trainers.grpo_trainer.GRPOTrainer._move_model_to_vllm",
    "verifiers.trainers.grpo_trainer.shuffle_tensor_dict",
    "verifiers.trainers.async_batch_generator.AsyncBatchGenerator._generation_worker",
    "verifiers.trainers.async_batch_generator.AsyncBatchGenerator._generate_batch_async",
    "verifiers.envs.environment.Environment.process_chat_format_vllm",
    "verifiers.envs.environment.Environment.process_env_results_vllm",
    "verifiers.envs.environment.Environment.parse_chat_completion_logprobs",
    "verifiers.rubrics.rubric.Rubric.call_reward_func",
    "transformers.trainer.skip_first_batches",
    "math_verify.parser.timeout",
    "math_verify.grader.timeout",
)


def check_verifiers() -> None:
    """Refuse a verifiers version whose trainer is not the one that is subclassed here.

    Raises:
        UnsupportedLibrary: another version is installed.
    """
    installed = importlib.metadata.version("verifiers")
    if not VERIFIERS.contains(installed, prereleases=True):
        raise UnsupportedLibrary(
            f"verifiers {installed} is installed, but EnhancedGRPOTrainer subclasses the trainer of"
            f" verifiers {VERIFIERS}: pip install 'verifiers{VERIFIERS}'"
        )


def prepare_model(model: Any) -> None:
    """Give a model the attribute that verifiers writes to and transformers 5.2 removed."""
    if "warnings_issued" not in vars(model):
        model.warnings_issued = {}


def tokenizer_of_lists(tokenizer: Any) -> Any:
    """A copy whose `apply_chat_template` returns a list of ids, as before transformers 5."""
    adapted = copy.copy(tokenizer)
    adapted.apply_chat_template = functools.partial(
        tokenizer.apply_chat_template, return_dict=False
    )
    return adapted


@contextmanager
def vllm_client_of(factory: Callable[[], Any]) -> Iterator[None]:
    """Let verifiers' trainer construct `factory()` where it would connect to a vLLM server.

    Its constructor imports `verifiers.inference.vllm_client`, which needs vllm installed.
    """
    name = "verifiers.inference.vllm_client"
    module = types.ModuleType(name)
    module.VLLMClient = lambda **_: factory()  # type: ignore[attr-defined]
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before


def check_vllm() -> None:
    """Say early and plainly that the original client needs vllm.

    Raises:
        MissingDependency: vllm is not installed.
    """
    try:
        importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        raise MissingDependency(
            "inference='vllm' uses verifiers' client, which imports vllm, and vllm is not"
            " installed: pip install vllm, or sample in the training process with"
            " inference='embedded' (--inference embedded)"
        ) from None


@contextmanager
def rows_numbered(name: str) -> Iterator[None]:
    """Let the batches that verifiers shuffles meanwhile hold each row's place before, as `name`.

    A tensor on the host of shape (rows,), dtype int64; verifiers' loss leaves it alone.
    """
    import torch
    import verifiers.trainers.grpo_trainer as module

    original = module.shuffle_tensor_dict

    def shuffle(tensors: dict[str, Any]) -> Any:
        return original({**tensors, name: torch.arange(len(tensors["input_ids"]))})

    module.shuffle_tensor_dict = shuffle
    try:
        yield
    finally:
        module.shuffle_tensor_dict = original


@contextmanager
def skip_first_batches_by(skip: Callable[[Any, int], Any]) -> Iterator[None]:
    """Let transformers fast-forward verifiers' data loader, which accelerate can't skip."""
    import transformers.trainer as module

    original = module.skip_first_batches
    module.skip_first_batches = skip
    try:
        yield
    finally:
        module.skip_first_batches = original


@contextmanager
def math_verify_in_any_thread(on_timeout: Callable[[], None]) -> Iterator[None]:
    """Give math_verify a timeout that works off the main thread too, where `signal` does not.

    `on_timeout` is called in the thread that took too long: math_verify itself tells nobody.
    """
    import math_verify.grader
    import math_verify.parser
    from math_verify.errors import TimeoutException

    original = math_verify.parser.timeout

    def timeout(timeout_seconds: int | None = 10) -> Any:
        if not timeout_seconds or threading.current_thread() is threading.main_thread():
            return original(timeout_seconds)
        return functools.partial(_bounded, timeout_seconds, TimeoutException, on_timeout)

    math_verify.parser.timeout = timeout
    math_verify.grader.timeout = timeout
    try:
        yield
    finally:
        math_verify.parser.timeout = original
        math_verify.grader.timeout = original


def _bounded(
    seconds: float,
    error: type[BaseException],
    on_timeout: Callable[[], None],
    func: Callable[..., Any],
) -> Any:
    """Decorate `func` so that `error` is raised in its thread after `seconds`.

    Like an alarm signal it takes effect between two bytecodes, so a single long call into C runs
    to its end first.
    """

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        thread = threading.get_ident()
        lock = threading.Lock()
        state = {"running": True, "fired": False}

        def fire() -> None:
            with lock:
                if state["running"]:
                    state["fired"] = True
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(thread), ctypes.py_object(error)
                    )

        timer = threading.Timer(seconds, fire)
        timer.daemon = True
        timer.start()
        try:
            return func(*args, **kwargs)
        except error:
            on_timeout()
            raise
        finally:
            timer.cancel()
            with lock:
                state["running"] = False
            # An exception that was set but not yet raised must not surface in later code.
            if state["fired"] and not isinstance(sys.exc_info()[1], error):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None)

    return call
