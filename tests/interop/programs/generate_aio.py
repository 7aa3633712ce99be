"""An asyncio agent that knows gRPC and the generated stub, and nothing of this project.

python generate_aio.py HOST:PORT PROMPT
"""

import asyncio
import sys

import grpc.aio

from inference.v1 import inference_pb2, inference_pb2_grpc


async def main(address: str, prompt: str) -> None:
    request = inference_pb2.GenerateRequest(text=prompt)
    request.sampling.max_tokens = 100
    request.sampling.ignore_eos = True
    async with grpc.aio.insecure_channel(address) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        async for response in stub.Generate(request, timeout=30):
            sys.stdout.write(response.text)
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
