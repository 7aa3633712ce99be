"""A LoRA adapter for the tiny model."""

import json
import random
import runpy
from array import array
from pathlib import Path

RANK = 8
LAYERS = 2
WIDTH = 128

TINY_MODEL = Path(__file__).parent.parent.parent / "scripts" / "tiny_model.py"


def make_adapter(folder: Path) -> None:
    """Write what PEFT would have written, with random weights."""
    rng = random.Random(1)

    def matrix(rows: int, columns: int) -> tuple[list[int], "array[float]"]:
        return [rows, columns], array("f", (rng.gauss(0, 0.3) for _ in range(rows * columns)))

    tensors: dict[str, tuple[list[int], array[float]]] = {}
    for layer in range(LAYERS):
        name = f"base_model.model.model.layers.{layer}.self_attn.o_proj."
        tensors[name + "lora_A.weight"] = matrix(RANK, WIDTH)
        tensors[name + "lora_B.weight"] = matrix(WIDTH, RANK)
    runpy.run_path(str(TINY_MODEL))["write_safetensors"](folder / "adapter_model.safetensors", tensors)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": RANK,
        "target_modules": ["o_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
