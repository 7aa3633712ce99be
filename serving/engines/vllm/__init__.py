"""vLLM behind the Engine protocol. Nothing else of the project imports vLLM."""
