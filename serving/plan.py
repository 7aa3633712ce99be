"""What a request for tokens comes to: what the engine is asked, and what is made of its answer. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from serving.engine import Engine, Generation, Sampling
from serving.stream import Start
from serving.text import TextRules, Transcript
from serving.validate import AnyRequest, check_prompt, invalid, sampling_of, start_of, text_rules_of

StructuredOutput = tuple[str, str | tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Plan:
    generation: Generation
    rules: TextRules
    start: Start

    def keeping_special_tokens(self) -> "Plan":
        """Return the plan for a parser that has to see them, whatever the request says."""
        return replace(self, rules=replace(self.rules, skip_special_tokens=False))

    def transcripts(self, engine: Engine) -> dict[int, Transcript]:
        """Return a new transcript for each choice that has not ended."""
        sampling, prompt = self.generation.sampling, self.generation.prompt_token_ids
        return {
            index: Transcript(
                engine.tokenizer.decoder(prompt, skip_special_tokens=self.rules.skip_special_tokens),
                sampling,
                self.rules,
                engine.model.eos_token_ids,
            )
            for index in range(sampling.n)
            if index not in self.start.finished
        }

    def without(self, ended: frozenset[int]) -> Generation:
        """Return what is left for the engine to do when these choices have ended."""
        sent = {index: token_ids for index, token_ids in self.generation.sent.items() if index not in ended}
        return replace(self.generation, sent=sent, finished=ended)


def plan_of(
    engine: Engine, request: AnyRequest, prompt: Sequence[int], field: str, number: int, form: StructuredOutput | None
) -> Plan:
    """Return the plan for a request whose prompt stands in `field`; `number` makes its id unique in the engine, and
    `form` is what tool_choice demands of the output. Raises Failure."""
    left_tokens = check_prompt(prompt, field, engine.model)
    start = start_of(request, len(prompt))
    generation = Generation(
        request_id=f"{request.request_id or 'request'}-{number}",
        prompt_token_ids=prompt,
        sampling=_in_form(sampling_of(request.sampling, left_tokens), form),
        priority=request.priority,
        cache_salt=request.cache_salt,
        lora_name=request.lora_name,
        sent=start.sent,
        finished=start.finished,
    )
    if start.sent:
        start = replace(start, is_exact=engine.continues_exactly(generation))
    return Plan(generation, text_rules_of(request.sampling), start)


def _in_form(sampling: Sampling, form: StructuredOutput | None) -> Sampling:
    if form is None:
        return sampling
    if sampling.structured_output is not None:
        raise invalid("tool_choice", "demands a form of its own, as structured output does")
    return replace(sampling, structured_output=form)
