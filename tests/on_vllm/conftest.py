"""One vLLM server for all tests of this folder, from an environment that `make test-vllm` makes."""

import os
from pathlib import Path

import pytest
from safetensors.torch import save_file
from served_policy import served_policy
from transformers import AutoModelForCausalLM, AutoTokenizer
from vllm_process import VllmProcess

from rlvr.inference.vllm import VllmSampler
from rlvr.inference.vllm_server import VllmServer

ENVIRONMENT = "RLVR_VLLM_ENV"
HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path, config):
    """Collected only where this folder is named: other runs of tests have no server."""
    named = [Path(argument.split("::")[0]).resolve() for argument in config.args]
    return None if any(path.is_relative_to(HERE) for path in named) else True


@pytest.fixture(scope="session")
def policy_folder(tmp_path_factory):
    """The demo's policy as the server takes it, with output weights of their own."""
    folder = tmp_path_factory.mktemp("policy")
    model, tokenizer = served_policy()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def running_server(policy_folder, tmp_path_factory):
    environment = os.environ.get(ENVIRONMENT)
    if not environment or not (Path(environment) / "bin" / "vllm").is_file():
        pytest.fail(
            f"{ENVIRONMENT} must name a virtual environment that has vllm ({environment!r} does"
            " not): run these tests with `make test-vllm`"
        )
    server = VllmProcess(environment, policy_folder, tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server(running_server):
    """The server, with the weights that it was started with."""
    running_server.restore()
    return running_server


@pytest.fixture
def policy(policy_folder):
    """(model, tokenizer), named as the server names it."""
    model = AutoModelForCausalLM.from_pretrained(policy_folder)
    return model, AutoTokenizer.from_pretrained(policy_folder)


@pytest.fixture
def sampler(server, policy_folder):
    """What an engine must know of the server."""
    address = VllmServer(url=server.url, request_timeout_s=60)
    return VllmSampler(server=address, model=str(policy_folder), longest=512, tools=True)
