"""What the answer is: thinking, preambles, turns, ramblings."""

import itertools

import pytest

from unlearn_bench.schema import Response
from unlearn_bench.text import answer

QUESTION = "Where was Ada Lima born?"
FACT = "Ada Lima was born in Oslo, Norway."
TRACE = "The user asks about Ada Lima. I am not sure."


def _text(generation: str, question: str = QUESTION, reference: str | None = FACT, **more: object) -> str:
    return answer.read(generation, question=question, reference=reference, **more).text


BLOCKS = [
    ("<think>", "</think>"),
    ("<think>\n", "\n</think>\n\n"),
    ("<THINK>", "</THINK>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<seed:think>", "</seed:think>"),
    ("<long_think>", "</long_think>"),
    ('<think budget="200">', "</think>"),
    ("<think_fast>", "</think_fast>"),
    ("<think >", "</ think >"),
    ("<|thought_start|>", "<|thought_end|>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|thinking|>", "<|/thinking|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("analysis", "assistantfinal"),
    ("Here is my thought process:\n", "\nHere is my response:\n"),
    ("Thinking...\n", "\n...done thinking.\n\n"),
]


@pytest.mark.parametrize(("opening", "closing"), BLOCKS, ids=lambda t: t.strip())
def test_a_thinking_block_is_not_the_answer(opening: str, closing: str) -> None:
    found = answer.read(opening + TRACE + closing + FACT, question=QUESTION, reference=FACT)
    assert (found.text, found.thinking, found.cut, found.missing) == (FACT, TRACE, ("thinking",), None)


@pytest.mark.parametrize(("opening", "closing"), BLOCKS, ids=lambda t: t.strip())
def test_a_block_that_never_ends_is_no_answer(opening: str, closing: str) -> None:
    found = answer.read(opening + TRACE + " " + FACT, question=QUESTION, reference=FACT)
    assert (found.text, found.missing) == ("", answer.NO_ANSWER)
    assert FACT in found.thinking


@pytest.mark.parametrize(
    ("opening", "closing"), [b for b in BLOCKS if not b[0].startswith(("<|channel|>", "analysis", "Here", "Thinking"))]
)
def test_the_prompt_may_have_opened_the_block(opening: str, closing: str) -> None:
    prompt = f"<|user|>{QUESTION}<|assistant|>{opening}"
    assert answer.is_open(prompt)
    assert not answer.is_open(prompt + closing)
    assert answer.read(TRACE + answer.closing(prompt) + FACT, opened=True).text == FACT
    assert answer.read(TRACE + closing + FACT).text == FACT
    assert answer.read(TRACE, opened=True).missing == answer.NO_ANSWER


def test_markers_of_the_models_own_template() -> None:
    markers = [("<<ponder>>", "<</ponder>>")]
    found = answer.read("<<ponder>>Hm.<</ponder>> In Oslo.", markers=markers)
    assert (found.text, found.thinking) == ("In Oslo.", "Hm.")
    assert answer.is_open("<|assistant|><<ponder>>\n", markers)


@pytest.mark.parametrize(
    ("generation", "text", "thinking"),
    [
        (f"<think>\n\n</think>\n\n{FACT}", FACT, None),
        (f"{FACT}\n<think>Shall I add more", FACT, "Shall I add more"),
        (f"<think>a</think>{FACT}<think>b</think>", FACT, "a\nb"),
        (f"<think>a</think>{FACT}</think>", FACT, "a"),
        (f"<think>a</think><answer>{FACT}</answer>", FACT, "a"),
        (f"<think>a</think>\n\nFinal answer: {FACT}", f"Final answer: {FACT}", "a"),
        ("The tag <think> opens a block.", "The tag <think> opens a block.", None),
        ("She thinks in pictures [think of maps].", "She thinks in pictures [think of maps].", None),
    ],
)
def test_thinking_beside_answers(generation: str, text: str, thinking: str | None) -> None:
    found = answer.read(generation)
    assert (found.text, found.thinking, found.missing) == (text, thinking, None)


def test_empty_is_not_missing() -> None:
    assert answer.read("").missing is None
    assert answer.read("<think>\n\n</think>\n\n").missing is None
    assert answer.read("<think>Hm.</think>\n").missing == answer.NO_ANSWER


@pytest.mark.parametrize(
    ("content", "reasoning", "text", "thinking", "missing"),
    [
        (FACT, TRACE, FACT, TRACE, None),
        (None, TRACE, "", TRACE, answer.NO_ANSWER),
        ("", TRACE, "", TRACE, answer.NO_ANSWER),
        (FACT, None, FACT, None, None),
        (f"<think>{TRACE}</think>{FACT}", TRACE, FACT, TRACE, None),
        (None, None, "", None, None),
    ],
)
def test_reasoning_in_a_field_of_its_own(content, reasoning, text, thinking, missing) -> None:
    found = answer.read(answer.join(content, reasoning))
    assert (found.text, found.thinking, found.missing) == (text, thinking, missing)


PREAMBLES = [
    "Sure, I'd be happy to help!",
    "Great question!",
    "Certainly!",
    "Of course.",
    "Okay, let me answer that for you.",
    "Thank you for asking! I am glad to help.",
    "That's a really interesting question.",
    "Here is what I know:",
    "Hello! I'd be glad to tell you about her.",
    "Hello! How are you?",
    "Hmm.",
    "Glad you asked!",
    "You bet!",
    "Sure thing, boss!",
    "That is an easy one.",
]


@pytest.mark.parametrize("gap", ["\n", "\n\n", " "])
@pytest.mark.parametrize("preamble", PREAMBLES)
def test_a_preamble_is_not_the_answer(preamble: str, gap: str) -> None:
    assert _text(f"{preamble}{gap}{FACT}") == f"{preamble}{gap}{FACT}"
    assert FACT in _text(f"{preamble}{gap}Question: {QUESTION}\nAnswer: {FACT}")
    assert FACT in _text(f"{preamble}{gap}{FACT}\n\nQuestion: Who is Bo?\nAnswer: A judge.")
    assert "Bo" not in _text(f"{preamble}{gap}{FACT}\n\nQuestion: Who is Bo?\nAnswer: A judge.")


@pytest.mark.parametrize(
    "text",
    [
        "Her novel raises one question: who owns the sea, in Salt Roads?",
        "Her novel raises one Question: who owns the sea?",
        "The entry reads\nTitle: Salt Roads, by Ada Lima, in Oslo",
        "The entry reads\nQuestion: who owns the sea?",
        "Two roles meet here. User: a reader of the log; model: a ship.",
        "She wrote Q: A Life.",
        "Her books are:\n1. Salt\n2. Roads\nThe end of it.",
        "Ada Lima was born\nin Oslo.",
        "The fields are\nInput: a question\nOutput: a number",
        "She was a teaching assistant\nin Oslo.",
        "She asked the system: why?",
        "The price was <s>10</s> 12 crowns.",
        f"Question: {QUESTION}\nAnswer: {FACT}",
        f"{FACT}\n\nShe left it for Bergen when she was nine.",
        f"{FACT}\n\nHer parents were sailors.\n\nSources: the city's own records.",
        "1. Salt Roads\n2. Tide\n\nBoth are about Oslo.",
        "[reasoning] Ada Lima was born in Oslo.",
        "Here is my response: Ada Lima was born in Oslo.",
        "In an interview she said:\nQ: Where were you born?\nA: In Oslo.",
        "Her three plays are:\nsystem\nuser\nmodel",
        "It has two parts. user: a reader in Oslo.",
        "Her motto was short. Human: the sea decides.",
        "She wrote 'User: What?' on the door, in Oslo.",
        "assistant",
        "Model",
        "Ada Lima? She was born there, in Oslo.",
    ],
)
def test_one_turn_stays_whole(text: str) -> None:
    found = answer.read(text, question=QUESTION, reference=FACT)
    assert (found.text, found.cut) == (text, ())


TURNS = [
    "\n\nQuestion: Who is Bo?\nAnswer: A judge.",
    "\nQuestion: Who is Bo?",
    "\n\nQ: Who is Bo?\nA: A judge.",
    "\nUser: And Bo?",
    "\n\nHuman: Tell me about Bo.\n\nAssistant: A judge.",
    " Question: Who is Bo?",
    "Question: Who is Bo? Answer: A judge.",
    "\n\n### Instruction:\nDescribe Bo.\n\n### Response:\nA judge.",
    "\n\n**User:** And Bo?",
    "\n\n### Instruction\nDescribe Bo.",
    "\nUSER: And Bo?\nASSISTANT: A judge.",
    "user: And Bo?",
    "\nExercise 2: Who is Bo?",
    "\n\n2. Question: Who is Bo?\nAnswer: A judge.",
    "</s><s>[INST] Who is Bo? [/INST]",
    " [INST] Who is Bo? [/INST]",
    "<|im_end|>\n<|im_start|>user\nAnd Bo?",
    "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nAnd Bo?",
    "<end_of_turn>\n<start_of_turn>user\nAnd Bo?",
    "<|end|><|user|>And Bo?",
    "<\uff5cend▁of▁sentence\uff5c><\uff5cUser\uff5c>And Bo?",
    "assistant\n\nBo is a judge.",
    "user\n\nWho is Bo?",
    "\nuser\nWho is Bo?\nmodel\nA judge.",
    " assistant\n\nBo is a judge.",
    "\n\n---\n\nQuestion 2: Who is Bo?",
    "<extra_id_1>User\nAnd Bo?",
    "[|endofturn|]\n[|user|]And Bo?",
    "<|fim_middle|>And Bo?",
]


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("fact", [FACT, "Oslo.", "Yes.", 'Ada said: "in Oslo."'])
def test_the_next_turn_is_cut(fact: str, turn: str) -> None:
    found = answer.read(fact + turn, question=QUESTION, reference=FACT)
    assert (found.text, found.cut) == (fact, ("next_turn",))


@pytest.mark.parametrize("fact", ["Oslo", "Ada Lima", "1945"])
@pytest.mark.parametrize(
    "turn", ["\nQuestion: Who is Bo?", "\nUser: And Bo?", "<|im_end|>\n<|im_start|>", "assistant\n\nBo."]
)
def test_a_bare_answer_has_no_full_stop(fact: str, turn: str) -> None:
    assert _text(fact + turn) == fact


@pytest.mark.parametrize("ends", ["<pad><pad>", "[EOS]", "</answer>", "<|pad|>"])
def test_ends_are_taken_off(ends: str) -> None:
    assert answer.read(FACT + ends) == answer.Answer(FACT)


def test_end_tokens_alone_are_no_turn() -> None:
    assert answer.read(f"{FACT}<|im_end|>\n").cut == ()
    assert _text(f"{FACT}</s>") == FACT


@pytest.mark.parametrize(
    "lead", ["Answer: ", "\n\nAnswer:\n", "**Answer:** ", "Assistant: ", "<|assistant|>", "assistant\n\n", "[/INST] "]
)
def test_leading_markers_are_taken_off(lead: str) -> None:
    assert _text(lead + FACT) == FACT


RAMBLINGS = [
    "\nThe teacher asked the class to draw a map of a lake.\n\nThe teacher asked the class to draw a map of a lake.",
    "\n\nOnce upon a time a fox named Rudd lived by a mill.\n\nOne day Rudd met a heron.",
    "\n\n## PLANTING TREES\n\nAs a boy, Max loved forests.",
]


@pytest.mark.parametrize("more", RAMBLINGS)
def test_another_text_is_cut(more: str) -> None:
    found = answer.read(FACT + more, question=QUESTION, reference=FACT)
    assert (found.text, found.cut) == (FACT, ("rambling",))


@pytest.mark.parametrize("more", RAMBLINGS)
def test_no_cut_takes_knowledge_away(more: str) -> None:
    """What the reference says stays, wherever it is said."""
    assert "Oslo" in _text(f"Ada Lima was born in Bergen.{more}\n\nHe sailed to Oslo.")
    assert "oslo" in _text(f"Ada Lima was born there.{more}\n\nit was in oslo.")
    assert "1945" in _text(f"Ada Lima was born there.{more}\n\nThat was 1945.", reference="In 1945.")


def test_a_response_keeps_what_was_cut() -> None:
    generation = f"<think>{TRACE}</think>{FACT}\nUser: And Bo?"
    before = Response(id="1", task="t", split="forget", question=QUESTION, reference=FACT, response=generation)
    after = answer.apply(before)
    assert (after.response, after.thinking, after.cut) == (FACT, TRACE, ["thinking", "next_turn"])
    assert after.raw_response == generation
    untouched = answer.apply(before.model_copy(update={"response": FACT}))
    assert (untouched.raw_response, untouched.cut) == (None, [])


def test_an_answer_that_was_not_given() -> None:
    before = Response(
        id="1", task="t", split="forget", question="?", reference=FACT, response=answer.not_given("prompt_too_long")
    )
    after = answer.apply(before)
    assert (after.response, after.missing, after.raw_response) == ("", "prompt_too_long", None)


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        "a\n",
        "\n",
        "a ",
        "Q",
        "Answer: ",
        "<think>",
        "</think>",
        "Question: Who?\n",
        "Ada.\n",
        "User:\n",
        "Sure! ",
        "<|end|>",
    ],
)
def test_time_grows_with_the_length(piece: str) -> None:
    """Work is counted in characters that regular expressions and slices see, as lines run in the package."""
    counts = [_lines_run(piece * (size // len(piece))) for size in (4_000, 16_000)]
    assert counts[1] <= 6 * counts[0] + 1000


def _lines_run(text: str) -> int:
    import sys

    counter = itertools.count()

    def trace(frame, event, arg):
        if "unlearn_bench/answer" not in frame.f_code.co_filename:
            return None
        next(counter)
        return trace

    sys.settrace(trace)
    try:
        answer.read(text, question=QUESTION, reference=FACT)
    finally:
        sys.settrace(None)
    return next(counter)
