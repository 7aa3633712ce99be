#!/usr/bin/env python3
"""Makes a tiny Llama with random weights and a tokenizer of its own: `scripts/tiny_model.py DIRECTORY`.

The folder is what every engine reads, and the same bytes each time, so that greedy output is the same in every
process. It needs neither packages nor a network, and takes a second.
"""

import json
import math
import random
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

SEED = 18
"""Of the first 40 the one whose greedy answers, three of 300 tokens, vary to the end and are never close decisions."""
LAYERS = 2
HIDDEN = 128
FEED_FORWARD = 256
HEADS = 2
KV_HEADS = 1
HEAD_DIM = 64  # vLLM's CPU attention takes 32 and more
CONTEXT_TOKENS = 1024
LOGIT_DEVIATION = 4.0
"""Far apart: in those answers the best two logits differ by 0.004 at least, and rounding in another batch by 1e-5."""

Tensor = tuple[list[int], "array[float]"]
"""Shape and values."""

SPECIAL_TOKENS = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
"""Tokens of their own that are part of the text, as in many models that think and call tools."""
WORDS = """
 the of and a to in is it you that he was for on are with as his they be at one have this from or had by hot but
 some what there we can out other were all your when up use word how said each she which do their time if will way
 ä € 世 界 🙂
"""
"""With a space before them and without. All else is spelt in bytes, so that ids often end inside a character."""

CHAT_TEMPLATE = """\
{%- if tools %}<|system|>tools:{% for tool in tools %} {{ tool.function | tojson }}{% endfor %}<|end|>{% endif -%}
{%- for message in messages -%}
<|{{ message.role }}|>
{%- if message.reasoning %}<think>{{ message.reasoning }}</think>{% endif -%}
{{ message.content or "" }}
{%- for call in message.tool_calls or [] -%}
<tool_call>{{ {"name": call.function.name, "arguments": call.function.arguments} | tojson }}</tool_call>
{%- endfor -%}
<|end|>
{%- endfor -%}
{%- if add_generation_prompt %}<|assistant|>{% if enable_thinking %}<think>{% endif %}{% endif -%}
"""


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} DIRECTORY")
    make(Path(sys.argv[1]))


def make(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = byte_level_bpe(WORDS.split())
    added = {token: len(vocabulary) + i for i, token in enumerate(SPECIAL_TOKENS + MARKS)}
    size = len(vocabulary) + len(added)
    for name, content in {
        "config.json": model_config(size, added["<|end|>"]),
        "tokenizer.json": tokenizer(vocabulary, merges, added),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|end|>",
            "chat_template": CHAT_TEMPLATE,
            "model_max_length": CONTEXT_TOKENS,
            "clean_up_tokenization_spaces": False,
        },
    }.items():
        (directory / name).write_text(json.dumps(content, ensure_ascii=False, indent=1))
    write_safetensors(directory / "model.safetensors", dict(weights(size, frozenset(added.values()))))


def byte_level_bpe(words: Sequence[str]) -> tuple[dict[str, int], list[list[str]]]:
    """Return the vocabulary (the 256 bytes, then what the merges make) and the merges, in order."""
    letters = byte_letters()
    vocabulary = {letters[byte]: byte for byte in range(256)}
    merges: list[list[str]] = []
    for word in (space + word for word in words for space in ("", " ")):
        first, *rest = (letters[byte] for byte in word.encode())
        for letter in rest:
            if first + letter not in vocabulary:
                vocabulary[first + letter] = len(vocabulary)
                merges.append([first, letter])
            first += letter
    return vocabulary, merges


def byte_letters() -> dict[int, str]:
    """Return the printable character that byte-level BPE writes for each byte (GPT-2's table)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = (byte for byte in range(256) if byte not in printable)
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def tokenizer(vocabulary: dict[str, int], merges: list[list[str]], added: dict[str, int]) -> dict[str, object]:
    """Return tokenizer.json (huggingface/tokenizers)."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": token_id, "content": token, "special": token in SPECIAL_TOKENS, **flags}
            for token, token_id in added.items()
        ],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }


def model_config(vocabulary_size: int, eos_token_id: int) -> dict[str, object]:
    """Return config.json (transformers' LlamaConfig)."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": vocabulary_size,
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": CONTEXT_TOKENS,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": eos_token_id,
    }


def weights(vocabulary_size: int, added: frozenset[int]) -> Iterator[tuple[str, Tensor]]:
    """Yield each tensor with its name. Added tokens get the logit 0: they are hardly ever chosen."""
    rng = random.Random(SEED)

    def matrix(rows: int, columns: int, deviation: float, zero: frozenset[int] = frozenset()) -> Tensor:
        deviations = (0.0 if row in zero else deviation for row in range(rows) for _ in range(columns))
        return [rows, columns], array("f", (rng.gauss(0, deviation) for deviation in deviations))

    def ones() -> Tensor:
        return [HIDDEN], array("f", [1.0] * HIDDEN)

    def projection(rows: int, columns: int) -> Tensor:
        return matrix(rows, columns, 1 / math.sqrt(columns))

    yield "model.embed_tokens.weight", matrix(vocabulary_size, HIDDEN, 1.0)
    for layer in (f"model.layers.{i}." for i in range(LAYERS)):
        yield layer + "input_layernorm.weight", ones()
        yield layer + "self_attn.q_proj.weight", projection(HEADS * HEAD_DIM, HIDDEN)
        yield layer + "self_attn.k_proj.weight", projection(KV_HEADS * HEAD_DIM, HIDDEN)
        yield layer + "self_attn.v_proj.weight", projection(KV_HEADS * HEAD_DIM, HIDDEN)
        yield layer + "self_attn.o_proj.weight", projection(HIDDEN, HEADS * HEAD_DIM)
        yield layer + "post_attention_layernorm.weight", ones()
        yield layer + "mlp.gate_proj.weight", projection(FEED_FORWARD, HIDDEN)
        yield layer + "mlp.up_proj.weight", projection(FEED_FORWARD, HIDDEN)
        yield layer + "mlp.down_proj.weight", projection(HIDDEN, FEED_FORWARD)
    yield "model.norm.weight", ones()
    yield "lm_head.weight", matrix(vocabulary_size, HIDDEN, LOGIT_DEVIATION / math.sqrt(HIDDEN), added)


def write_safetensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """https://github.com/huggingface/safetensors#format: length of the header, header as JSON, values."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (shape, values) in tensors.items():
        begin, end = end, end + len(values) * values.itemsize
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for _, values in tensors.values():
            values.tofile(file)


if __name__ == "__main__":
    main()
