import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "tiny_model.py"


def test_the_tiny_model_is_the_same_in_every_process(tiny_model: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, tmp_path], check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    contents = {file.name: file.read_bytes() for file in tiny_model.iterdir()}
    assert contents.keys() == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert contents == {file.name: file.read_bytes() for file in tmp_path.iterdir()}
