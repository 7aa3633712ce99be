"""One request, one response, on other stacks."""

from math import hypot

import pytest

from gateway.rpc.status import Code
from inference.v1 import inference_pb2 as pb
from serving.engines.simulated.embedding import embed
from tests.interop.expected import TOKENIZER
from tests.interop.python.calls import Call
from tests.interop.speaking import At

pytestmark = pytest.mark.interop

TEXTS = ["Grüße", "東京 🙂", "plain " * 20_000]


def test_embeds(inference: At) -> None:
    request = pb.EmbedRequest(inputs=[pb.EmbedInput(text=text) for text in TEXTS], dimensions=64)
    result = inference.call(Call("inference.v1.Inference/Embed", [request]))
    assert Code(result.code) is Code.OK
    [response] = result.responses
    for text, embedding in zip(TEXTS, response.embeddings, strict=True):
        assert list(embedding.values) == pytest.approx(embed(TOKENIZER.encode(text), 64), abs=1e-6)
        assert hypot(*embedding.values) == pytest.approx(1, abs=1e-6)


def test_tokenizes(inference: At) -> None:
    for text in TEXTS:
        result = inference.call(Call("inference.v1.Inference/Tokenize", [pb.TokenizeRequest(text=text)]))
        assert Code(result.code) is Code.OK
        assert list(result.responses[0].token_ids) == TOKENIZER.encode(text)


def test_lists_models(inference: At) -> None:
    result = inference.call(Call("inference.v1.Inference/ListModels", [pb.ListModelsRequest()]))
    assert Code(result.code) is Code.OK
    [model] = result.responses[0].models
    assert (model.name, model.ready_replicas) == ("simulated", 2)
