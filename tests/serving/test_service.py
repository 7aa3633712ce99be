import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc import aio

from inference.v1 import inference_pb2 as pb
from serving.engine import ContinuationImpossible, Ended, EngineDead, EngineLoad, EngineOverloaded
from serving.lifecycle import Phase
from tests.serving.fakes import EOS, MODEL, Answer, FakeEngine
from tests.serving.running import Running, conversation, ended, request, running
from tests.serving.wire import call

pytestmark = pytest.mark.anyio


@pytest.fixture
async def served() -> AsyncIterator[Running]:
    async with running() as served:
        yield served


async def failure_of(stream: aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]) -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as failed:
        [message async for message in stream]
    return failed.value


async def test_streams_one_message_for_each_delta(served: Running) -> None:
    stream = served.stub.Generate(request(sampling={"max_tokens": 3}))
    messages = [message async for message in stream]
    assert "".join(message.text for message in messages) == "hel"
    assert [list(message.token_ids) for message in messages] == [[104], [101], [108]]
    assert [message.sequence for message in messages] == [0, 1, 2]
    assert messages[-1].finish_reason == pb.FINISH_REASON_LENGTH
    assert messages[-1].usage == pb.Usage(prompt_tokens=6, completion_tokens=3)


async def test_an_agent_that_leaves_frees_the_engine_at_once() -> None:
    engine = FakeEngine(hold=asyncio.Event())
    async with running(engine) as served:
        stream = served.stub.Generate(request())
        await stream.read()
        assert served.replica.load.in_flight == 1
        stream.cancel()
        await asyncio.wait_for(engine.released.wait(), 1)
        while served.replica.load.in_flight:
            await served.replica.load.changes.wait()
        assert engine.closed == 1


async def test_a_stop_string_ends_the_request_inside_the_engine_first() -> None:
    engine = FakeEngine()
    async with running(engine) as served:
        in_flight: list[int] = []
        engine.on_close = lambda: in_flight.append(served.replica.load.in_flight)
        [message async for message in served.stub.Generate(request(sampling={"stop_strings": ["e"]}))]
        assert in_flight == [1]


async def test_a_deadline_frees_the_engine() -> None:
    engine = FakeEngine(hold=asyncio.Event())
    async with running(engine) as served:
        error = await failure_of(served.stub.Generate(request(), timeout=0.05))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(engine.released.wait(), 1)


async def test_every_answer_ends_with_a_load_report() -> None:
    engine = FakeEngine(queue=EngineLoad(2, 1, 0.5, 700), cached_tokens=4)
    async with running(engine) as served:
        for received in (1, 2):
            response = await call(served.replica.port, "Generate", request(), {"x-gateway-id": "one"})
            report = response.report()
            assert dict(report.named_metrics) == {
                "queue_depth": 2.0,
                "running_requests": 1.0,
                "kv_cache_utilization": 0.5,
                "uncached_waiting_tokens": 700.0,
                "boot_id": report.named_metrics["boot_id"],
                "received_requests": received,
            }
            assert 0 < report.named_metrics["boot_id"] < 2**53
            assert dict(report.request_cost) == {"prompt_tokens": 6, "cached_tokens": 4, "completion_tokens": 5}
            assert report.application_utilization == 0.5
            assert report.rps_fractional > 0
            assert response.trailers["grpc-status"] == "0"


async def test_a_failed_call_ends_with_a_load_report_too(served: Running) -> None:
    response = await call(served.replica.port, "Generate", request(model="other"))
    assert response.trailers["grpc-status"] == str(grpc.StatusCode.NOT_FOUND.value[0])
    assert response.report().named_metrics["boot_id"] > 0
    assert not response.report().request_cost


async def test_headers_wait_for_the_first_token() -> None:
    async with running(FakeEngine(failure=EngineOverloaded("full"))) as served:
        response = await call(served.replica.port, "Generate", request())
        assert response.headers is response.trailers


@pytest.mark.parametrize(
    ("refused", "code", "reason", "field"),
    [
        (request(model="other"), grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", None),
        (request(lora_name="other"), grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", "lora_name"),
        (
            request(sampling={"temperature": 2.1}),
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
            "sampling.temperature",
        ),
        (request("x" * MODEL.context_tokens), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "text"),
        (request(""), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "text"),
        (pb.GenerateRequest(), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", "prompt"),
        (
            pb.GenerateRequest(token_ids=pb.TokenIds(ids=[1] * MODEL.context_tokens)),
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
            "token_ids",
        ),
    ],
)
async def test_a_request_that_has_to_change_is_told_what(
    served: Running, refused: pb.GenerateRequest, code: grpc.StatusCode, reason: str, field: str | None
) -> None:
    how = ended(await failure_of(served.stub.Generate(refused)))
    assert (how.code, how.reason, how.metadata.get("field")) == (code, reason, field)
    assert how.retry_after_s is how.pushback_ms is None
    assert served.engine.seen == []


async def test_an_empty_model_is_the_one_that_is_served(served: Running) -> None:
    assert [message async for message in served.stub.Generate(request(model=""))]
    assert [message async for message in served.stub.Generate(request(model="fake"))]


async def test_a_malformed_request_is_the_agents_fault(served: Running) -> None:
    generate = served.channel.unary_stream("/inference.v1.Inference/Generate", bytes, bytes)
    with pytest.raises(aio.AioRpcError) as failed:
        [message async for message in generate(b"\x0a\xff")]
    how = ended(failed.value)
    assert (how.code, how.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert "inference.v1.GenerateRequest" in how.message


@pytest.mark.parametrize(
    ("failure", "code", "reason", "retry_after_s"),
    [
        (EngineOverloaded("full"), grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", 1.0),
        (ContinuationImpossible("no"), grpc.StatusCode.FAILED_PRECONDITION, "CONTINUATION_IMPOSSIBLE", None),
        (EngineDead("gone"), grpc.StatusCode.UNAVAILABLE, "REPLICA_FAILED", 1.0),
    ],
)
async def test_what_the_engine_cannot_do_has_a_status(
    failure: Exception, code: grpc.StatusCode, reason: str, retry_after_s: float | None
) -> None:
    async with running(FakeEngine(failure=failure)) as served:
        how = ended(await failure_of(served.stub.Generate(request())))
        assert (how.code, how.reason, how.retry_after_s) == (code, reason, retry_after_s)
        assert how.pushback_ms == (None if retry_after_s is None else "1000")
        assert (served.replica.lifecycle.phase is Phase.DEAD) == isinstance(failure, EngineDead)
        assert served.engine.closed == 1


async def test_an_engine_that_dies_in_the_middle_ends_the_stream() -> None:
    async with running(FakeEngine(failure=EngineDead("gone"), fails_after=2)) as served:
        messages = served.stub.Generate(request()).__aiter__()
        assert [await anext(messages), await anext(messages)]
        with pytest.raises(aio.AioRpcError) as failed:
            await anext(messages)
        assert ended(failed.value).reason == "REPLICA_FAILED"
        how = ended(await failure_of(served.stub.Generate(request())))
        assert (how.code, how.reason) == (grpc.StatusCode.UNAVAILABLE, "REPLICA_FAILED")


async def test_a_defect_is_internal_and_says_so_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with running(FakeEngine(failure=KeyError("oops"))) as served:
        how = ended(await failure_of(served.stub.Generate(request())))
        assert (how.code, how.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        assert "oops" in caplog.text
        assert "oops" not in how.message


async def test_an_engine_that_forgets_a_choice_is_a_defect() -> None:
    async with running(FakeEngine([Answer([])])) as served:
        how = ended(await failure_of(served.stub.Generate(request())))
        assert how.code is grpc.StatusCode.INTERNAL


async def test_refuses_until_the_engine_has_answered() -> None:
    async with running(is_open=False) as served:
        how = ended(await failure_of(served.stub.Generate(request())))
        assert (how.code, how.reason, how.pushback_ms) == (grpc.StatusCode.UNAVAILABLE, "NO_REPLICA_READY", "1000")
        with pytest.raises(aio.AioRpcError) as failed:
            await served.stub.ListModels(pb.ListModelsRequest())
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_goes_on_with_what_another_replica_began() -> None:
    async with running(FakeEngine([Answer.of("abcd"), Answer.of("xyz")], is_exact=False)) as served:
        continuation = pb.GenerateContinuation(
            next_sequence=5,
            usage=pb.Usage(prompt_tokens=9, cached_tokens=8),
            choices=[
                pb.SentChoice(index=0, token_ids=list(b"ab"), text_bytes=1),
                pb.SentChoice(index=1, token_ids=list(b"xyz"), text_bytes=3, finish_reason=pb.FINISH_REASON_LENGTH),
            ],
        )
        continued = request(continuation=continuation, sampling={"n": 2, "max_tokens": 4})
        messages = [message async for message in served.stub.Generate(continued)]
        assert [message.text for message in messages] == ["b", "c", "d"]
        assert [list(message.token_ids) for message in messages] == [[], [99], [100]]
        assert [message.sequence for message in messages] == [5, 6, 7]
        assert [message.continued_inexactly for message in messages] == [True, False, False]
        assert messages[-1].usage == pb.Usage(prompt_tokens=9, cached_tokens=8, completion_tokens=7)
        (generation,) = served.engine.seen
        assert (generation.sent, generation.finished) == ({0: list(b"ab")}, frozenset({1}))
        report = (await call(served.replica.port, "Generate", continued)).report()
        assert dict(report.request_cost) == {"prompt_tokens": 6, "cached_tokens": 0, "completion_tokens": 2}


async def test_asks_the_engine_nothing_when_all_was_sent() -> None:
    async with running() as served:
        sent = pb.SentChoice(token_ids=list(b"hel"), text_bytes=3)
        continuation = pb.GenerateContinuation(next_sequence=3, choices=[sent])
        stream = served.stub.Generate(request(continuation=continuation, sampling={"max_tokens": 3}))
        (message,) = [message async for message in stream]
        assert (message.sequence, message.finish_reason) == (3, pb.FINISH_REASON_LENGTH)
        assert served.engine.seen == []


async def test_text_that_its_ids_do_not_give_cannot_be_continued() -> None:
    async with running(FakeEngine([Answer.of("éé")])) as served:
        sent = pb.SentChoice(token_ids=list("é".encode()), text_bytes=1)
        continuation = pb.GenerateContinuation(next_sequence=2, choices=[sent])
        how = ended(await failure_of(served.stub.Generate(request(continuation=continuation))))
        assert (how.code, how.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CONTINUATION_IMPOSSIBLE")


async def test_logprobs_go_out_with_their_ids(served: Running) -> None:
    stream = served.stub.Generate(request(sampling={"max_tokens": 1, "logprobs": 1}))
    (message,) = [message async for message in stream]
    assert [entry.logprob for entry in message.logprobs] == [-105.0]
    assert [entry.alternatives[0].token_id for entry in message.logprobs] == [104]


async def test_chat_ends_with_its_tool_calls() -> None:
    async with running(FakeEngine([Answer([*b"[r]c{t1}", EOS], Ended.STOP)])) as served:
        messages = [message async for message in served.stub.Chat(conversation())]
        assert "".join(message.reasoning for message in messages) == "r"
        assert "".join(message.content for message in messages) == "c"
        assert "".join(message.tool_call.arguments_json for message in messages) == "1"
        assert messages[-1].finish_reason == pb.FINISH_REASON_TOOL_CALLS
        (generation,) = served.engine.seen
        assert bytes(generation.prompt_token_ids) == b"hi"


async def test_chat_goes_on_inside_a_tool_call() -> None:
    async with running(FakeEngine([Answer([*b"{t12}", EOS], Ended.STOP)])) as served:
        sent = pb.SentChatChoice(
            token_ids=list(b"{t1"), tool_calls=[pb.SentToolCall(id="of another replica", arguments_bytes=1)]
        )
        continuation = pb.ChatContinuation(next_sequence=3, choices=[sent])
        messages = [message async for message in served.stub.Chat(conversation(continuation=continuation))]
        assert [message.tool_call for message in messages if message.HasField("tool_call")] == [
            pb.ToolCallDelta(index=0, arguments_json="2")
        ]
        assert messages[-1].finish_reason == pb.FINISH_REASON_TOOL_CALLS


@pytest.mark.parametrize(("tools", "content"), [([], "a"), ([pb.Tool(name="find")], "a</s>")])
async def test_a_parser_may_need_the_special_tokens(tools: list[pb.Tool], content: str) -> None:
    async with running(FakeEngine([Answer([97, EOS, 98])])) as served:
        messages = [message async for message in served.stub.Chat(conversation(tools=tools))]
        assert "".join(message.content for message in messages) == f"{content}b"


@pytest.mark.parametrize("mode", [pb.ToolChoice.MODE_AUTO, pb.ToolChoice.MODE_REQUIRED])
async def test_whether_chat_goes_on_exactly_depends_on_the_tool_choice(
    served: Running, mode: pb.ToolChoice.Mode.ValueType
) -> None:
    sent = pb.SentChatChoice(token_ids=list(b"h"), content_bytes=1)
    continued = conversation(
        continuation=pb.ChatContinuation(next_sequence=1, choices=[sent]),
        tools=[pb.Tool(name="find")],
        tool_choice=pb.ToolChoice(mode=mode),
    )
    messages = [message async for message in served.stub.Chat(continued)]
    assert messages[0].continued_inexactly == (mode == pb.ToolChoice.MODE_REQUIRED)


async def test_a_required_tool_constrains_the_output(served: Running) -> None:
    required = pb.ToolChoice(mode=pb.ToolChoice.MODE_REQUIRED)
    tools = [pb.Tool(name="find")]
    [message async for message in served.stub.Chat(conversation(tools=tools, tool_choice=required))]
    (generation,) = served.engine.seen
    assert generation.sampling.structured_output == ("json_schema", '{"type": "object"}')


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (pb.ChatRequest(), "messages"),
        (pb.ChatRequest(messages=[pb.ChatMessage(parts=[pb.ContentPart(text="x")])]), "messages[0].role"),
        (conversation(tools=[pb.Tool(name="no spaces")]), "tools[0].name"),
        (conversation(tool_choice=pb.ToolChoice(tool_name="x")), "tool_choice.tool_name"),
        (conversation(tool_choice=pb.ToolChoice(mode=pb.ToolChoice.MODE_REQUIRED)), "tool_choice.mode"),
        (conversation(template_arguments_json="[]"), "template_arguments_json"),
        (
            conversation(
                tools=[pb.Tool(name="x")],
                tool_choice=pb.ToolChoice(mode=pb.ToolChoice.MODE_REQUIRED),
                sampling=pb.SamplingParameters(regex="a"),
            ),
            "tool_choice",
        ),
    ],
)
async def test_a_conversation_that_has_to_change_is_told_what(
    served: Running, refused: pb.ChatRequest, field: str
) -> None:
    with pytest.raises(aio.AioRpcError) as failed:
        [message async for message in served.stub.Chat(refused)]
    how = ended(failed.value)
    assert (how.code, how.metadata) == (grpc.StatusCode.INVALID_ARGUMENT, {"field": field})


async def test_embeds_in_the_order_of_the_inputs(served: Running) -> None:
    inputs = [pb.EmbedInput(text="abc"), pb.EmbedInput(token_ids=pb.TokenIds(ids=[1]))]
    response = await served.stub.Embed(pb.EmbedRequest(inputs=inputs))
    assert [list(each.values) for each in response.embeddings] == [[3.0, 1.0], [1.0, 1.0]]
    assert response.usage.prompt_tokens == 4
    report = (await call(served.replica.port, "Embed", pb.EmbedRequest(inputs=inputs))).report()
    assert report.request_cost["prompt_tokens"] == 4


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (pb.EmbedRequest(), "inputs"),
        (pb.EmbedRequest(inputs=[pb.EmbedInput(text="a"), pb.EmbedInput()]), "inputs[1]"),
        (pb.EmbedRequest(inputs=[pb.EmbedInput(text="a")], dimensions=0), "dimensions"),
        (pb.EmbedRequest(inputs=[pb.EmbedInput(text="a")], dimensions=7), "dimensions"),
    ],
)
async def test_an_input_that_has_to_change_is_told_what(served: Running, refused: pb.EmbedRequest, field: str) -> None:
    with pytest.raises(aio.AioRpcError) as failed:
        await served.stub.Embed(refused)
    assert ended(failed.value).metadata == {"field": field}


async def test_tokenizes_prompts_and_conversations(served: Running) -> None:
    response = await served.stub.Tokenize(pb.TokenizeRequest(text="ab"))
    assert (list(response.token_ids), response.context_tokens) == ([97, 98], MODEL.context_tokens)
    response = await served.stub.Tokenize(pb.TokenizeRequest(messages=conversation("cd").messages))
    assert list(response.token_ids) == [99, 100]


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (pb.TokenizeRequest(), "text"),
        (pb.TokenizeRequest(text="a", messages=conversation().messages), "text"),
        (pb.TokenizeRequest(text="a", tools=[pb.Tool(name="x")]), "tools"),
    ],
)
async def test_tokenizes_either_text_or_messages(served: Running, refused: pb.TokenizeRequest, field: str) -> None:
    with pytest.raises(aio.AioRpcError) as failed:
        await served.stub.Tokenize(refused)
    assert ended(failed.value).metadata == {"field": field}


async def test_lists_the_one_model_that_is_served(served: Running) -> None:
    response = await served.stub.ListModels(pb.ListModelsRequest())
    assert list(response.models) == [pb.Model(name="fake", context_tokens=1000, kv_cache_tokens=5000, ready_replicas=1)]


async def test_two_requests_of_one_name_are_two_in_the_engine(served: Running) -> None:
    for _ in range(2):
        [message async for message in served.stub.Generate(request(request_id="same"))]
    assert len({generation.request_id for generation in served.engine.seen}) == 2
