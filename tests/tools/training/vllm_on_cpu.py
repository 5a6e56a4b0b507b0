"""``phybench`` with a vLLM that trains on a CPU.

``python vllm_on_cpu.py [--files CHECKPOINT FOLDER] ARGS``. Two things that only a GPU has are
replaced, and nothing else. vLLM's CPU build packs weights once and can then take no new ones in the
trainer's process: the packing is left out. A server gets new weights over NCCL: with ``--files``
they go through FOLDER, beside a copy of the configuration of CHECKPOINT.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch


def leave_weights_unpacked():
    import vllm.model_executor.layers.utils as layers

    def plain(layer, remove_weight):
        layer.cpu_linear = torch.nn.functional.linear

    layers.dispatch_cpu_unquantized_gemm = plain


def send_weights_by_file(checkpoint, folder):
    from safetensors.torch import save_file
    from trl.generation.vllm_client import VLLMClient

    def send(self, metadata, named_params):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkpoint / "config.json", folder)
        tensors = {name: tensor.detach().clone() for name, tensor in named_params}
        assert [(name, list(one.shape)) for name, one in tensors.items()] == [
            (name, shape) for name, _, shape in metadata
        ]
        save_file(tensors, folder / "model.safetensors")
        self._post(
            f"{self.base_url}/collective_rpc",
            json={"method": "reload_weights", "kwargs": {"weights_path": str(folder)}},
        )

    VLLMClient.init_communicator = lambda self, device=0: None
    VLLMClient.update_named_params = send


if __name__ == "__main__":
    torch.set_num_threads(1)
    arguments = sys.argv[1:]
    if arguments[0] == "--files":
        send_weights_by_file(Path(arguments[1]), Path(arguments[2]))
        arguments = arguments[3:]
    else:
        leave_weights_unpacked()
    sys.argv = ["phybench", *arguments]
    from phybench.cli.main import main

    main()
