"""What an agent writes becomes the contract's request."""

import dataclasses
import json
from typing import Any, cast

import pytest

from gateway.client import Image, Message, Tool, ToolCall, requests
from gateway.client.options import ChatOptions, GenerateOptions, SamplingOptions
from inference.v1 import inference_pb2 as pb


def generate(prompt: Any, **options: Any) -> pb.GenerateRequest:
    request = requests.generate(prompt, cast(GenerateOptions, options)).request
    assert isinstance(request, pb.GenerateRequest)
    return request


def chat(messages: Any, **options: Any) -> pb.ChatRequest:
    request = requests.chat(messages, cast(ChatOptions, options)).request
    assert isinstance(request, pb.ChatRequest)
    return request


def test_a_prompt_is_text_or_ids() -> None:
    assert generate("hi").text == "hi"
    assert list(generate([1, 2, 3]).token_ids.ids) == [1, 2, 3]
    assert generate([]).WhichOneof("prompt") == "token_ids"
    with pytest.raises(TypeError, match="bytes"):
        generate(b"hi")


def test_every_sampling_option_is_a_field_of_the_contract() -> None:
    assert SamplingOptions.__optional_keys__ == set(pb.SamplingParameters.DESCRIPTOR.fields_by_name)


def test_every_routing_option_is_a_field_of_the_contract() -> None:
    fields = set(pb.GenerateRequest.DESCRIPTOR.fields_by_name) - {"text", "token_ids", "sampling", "continuation"}
    own = {"timeout_s", "metadata", "retries"}
    assert GenerateOptions.__optional_keys__ - SamplingOptions.__optional_keys__ - own == fields


def test_what_is_left_out_stays_out() -> None:
    assert generate("hi") == pb.GenerateRequest(text="hi", sampling=pb.SamplingParameters())


def test_zero_is_not_left_out() -> None:
    sampling = generate("hi", temperature=0.0, logprobs=0, seed=0, top_k=0).sampling
    assert all(sampling.HasField(name) for name in ("temperature", "logprobs", "seed", "top_k"))


def test_carries_every_option() -> None:
    request = generate(
        "hi",
        model="m",
        request_id="r",
        session_id="s",
        priority=-3,
        cache_salt="c",
        lora_name="l",
        stop_strings=["\n"],
        stop_token_ids=[4],
        logit_bias={5: -1.5},
        json_schema={"type": "object"},
    )
    assert (request.model, request.request_id, request.session_id) == ("m", "r", "s")
    assert (request.priority, request.cache_salt, request.lora_name) == (-3, "c", "l")
    assert list(request.sampling.stop_strings) == ["\n"]
    assert list(request.sampling.stop_token_ids) == [4]
    assert dict(request.sampling.logit_bias) == {5: -1.5}
    assert json.loads(request.sampling.json_schema) == {"type": "object"}


def test_a_misspelt_option_is_not_dropped() -> None:
    with pytest.raises(TypeError, match="no such option: max_token"):
        generate("hi", max_token=3)


def test_two_constraints_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="only one of regex and choice"):
        generate("hi", regex="a+", choice=["a"])


def test_messages_are_values_or_dicts_with_the_same_keys() -> None:
    call = ToolCall("c0", "weather", "{}")
    conversation = [
        Message("system", "Be brief."),
        Message("user", ["Look:", Image(b"png", "image/png")], name="ann"),
        Message("assistant", "Hm.", reasoning="Think.", tool_calls=[call]),
        Message.tool_result(call, "sunny"),
    ]
    typed = chat(conversation)
    assert chat([{**dataclasses.asdict(m), "content": m.content} for m in conversation]) == typed
    user, assistant, tool = typed.messages[1:]
    assert [part.WhichOneof("part") for part in user.parts] == ["text", "image"]
    assert (assistant.role, assistant.reasoning, assistant.tool_calls[0].id) == (pb.ROLE_ASSISTANT, "Think.", "c0")
    assert (tool.role, tool.tool_call_id, tool.parts[0].text) == (pb.ROLE_TOOL, "c0", "sunny")


def test_a_message_with_a_key_that_no_message_has_is_refused() -> None:
    with pytest.raises(TypeError, match="contents"):
        chat([{"role": "user", "contents": "hi"}])
    with pytest.raises(ValueError, match="no such role: 'robot'"):
        chat([{"role": "robot", "content": "hi"}])


def test_tools_and_their_choice() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    request = chat([], tools=[Tool("weather", "Now.", schema), {"name": "time"}], tool_choice="required")
    assert json.loads(request.tools[0].parameters_json_schema) == schema
    assert request.tools[1] == pb.Tool(name="time")
    assert request.tool_choice.mode == pb.ToolChoice.MODE_REQUIRED
    assert chat([], tool_choice="weather").tool_choice.tool_name == "weather"
    assert not chat([]).HasField("tool_choice")


def test_the_template_gets_its_arguments() -> None:
    request = chat([], template_arguments={"enable_thinking": False})
    assert json.loads(request.template_arguments_json) == {"enable_thinking": False}


def test_one_input_alone_is_not_taken_for_many() -> None:
    with pytest.raises(TypeError, match="sequence"):
        requests.embed("hi", {})
