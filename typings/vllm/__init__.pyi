# What serving.engines.vllm uses of vLLM 0.32, and no more. tests/vllm compares it with the vLLM that is installed.
