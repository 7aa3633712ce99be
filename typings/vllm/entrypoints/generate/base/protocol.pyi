class DeltaFunctionCall:
    name: str | None
    arguments: str | None

class DeltaToolCall:
    id: str | None
    index: int
    function: DeltaFunctionCall | None

class DeltaMessage:
    content: str | None
    reasoning: str | None
    tool_calls: list[DeltaToolCall]
