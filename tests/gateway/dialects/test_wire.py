from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.wire import field
from inference.v1 import inference_pb2 as pb

TEXT = pb.GenerateRequest.TEXT_FIELD_NUMBER
TEXTS = st.text(max_size=300)


@given(TEXTS, TEXTS, st.integers(-(2**31), 2**31 - 1), st.floats(0, 2, width=32))
def test_a_field_is_found_among_all_kinds_of_others(text: str, model: str, priority: int, temperature: float) -> None:
    sampling = pb.SamplingParameters(temperature=temperature)
    request = pb.GenerateRequest(text=text, model=model, priority=priority, sampling=sampling)
    assert bytes(field(request.SerializeToString(), TEXT) or b"") == text.encode()


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_of_a_field_that_stands_there_several_times_it_is_the_last_one(texts: list[str]) -> None:
    message = b"".join(pb.GenerateRequest(model="m", text=text).SerializeToString() for text in texts)
    assert bytes(field(message, TEXT) or b"") == pb.GenerateRequest.FromString(message).text.encode()


def test_what_is_not_there_is_not_found() -> None:
    assert field(b"", TEXT) is None
    assert field(pb.GenerateRequest(model="m", token_ids=pb.TokenIds(ids=[1])).SerializeToString(), TEXT) is None


def test_fixed_fields_are_passed_over_and_groups_are_not() -> None:
    text = pb.GenerateRequest(text="hello").SerializeToString()
    fixed = b"\x79" + bytes(8) + b"\x7d" + bytes(4)  # field 15, of 64 and of 32 bits
    assert bytes(field(fixed + text, TEXT) or b"") == b"hello"
    assert field(b"\x7b\x7c" + text, TEXT) is None


def test_a_message_of_very_many_fields_is_not_searched() -> None:
    text = pb.GenerateRequest(text="hello").SerializeToString()
    unknown = bytes((15 << 3,)) + b"\x07"
    assert field(unknown * 50 + text, TEXT) is not None
    assert field(unknown * 100 + text, TEXT) is None
    assert field(text + unknown * 100, TEXT) is None
