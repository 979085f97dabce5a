"""A training with TRL's server mode against a vLLM server on a CPU.

Usage: trl_on_server.py OUTPUT_DIR MODEL_DIR URL VLLM_ENVIRONMENT [as-shipped]

TRL itself refuses here: it sends weights by NCCL, which needs CUDA. `as-shipped` shows that. Else
its client is exchanged for one that sends them as files and is TRL's in all else, so that requests,
logprobs and the correction for them are TRL's own.
"""

import sys
from pathlib import Path

import torch

# TRL asks whether vLLM is installed beside it, and imports parts of it that need no server.
# Appended: what both environments have is taken from the one that trains.
sys.path.append(str(next(Path(sys.argv[4]).glob("lib/python3*/site-packages"))))

from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.generation import vllm_generation
from trl.generation.vllm_client import VLLMClient
from trl_trainings import Retrieve, readable, trainer

from rlvr.inference.weight_folder import WeightFolder


class ClientOfFiles(VLLMClient):
    """TRL's client; weights reach the server through a folder."""

    def init_communicator(self, device=0):
        self._weights = WeightFolder(Path(sys.argv[1]) / "weights")

    def update_named_params(self, metadata, named_params):
        for name, weights in named_params:
            self._weights.add(name, weights)
            if name == "model.embed_tokens.weight":  # the server keeps the tied ones apart
                self._weights.add("lm_head.weight", weights)
        reload = {
            "method": "reload_weights",
            "kwargs": {"weights_path": str(self._weights.finish())},
        }
        self._post(f"{self.base_url}/collective_rpc", json=reload)
        self._weights.forget_older()


def main(folder, model_folder, url, as_shipped):
    if not as_shipped:
        vllm_generation.VLLMClient = ClientOfFiles
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    tokenizer = readable(AutoTokenizer.from_pretrained(model_folder))
    trainer(
        folder,
        policy=(model, tokenizer),
        environment_factory=Retrieve,
        use_vllm=True,
        vllm_mode="server",
        vllm_server_base_url=url,
        max_steps=3,
        learning_rate=1e-3,
        log_token_details=True,
    ).train()


if __name__ == "__main__":
    main(*sys.argv[1:4], as_shipped=sys.argv[5:] == ["as-shipped"])
