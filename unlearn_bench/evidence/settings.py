"""What chooses the evidence: the table of profiles, and the settings that choose each part by itself.

| profile    | entities | similarity        | NLI                   | agreement | perplexity              |
|------------|----------|-------------------|-----------------------|-----------|-------------------------|
| `offline`  | rules    | lexical           | rules                 | rules     | see `profiles`          |
| `standard` | rules    | all-MiniLM-L12-v2 | tasksource deberta-v3 | none      | `ppl_model` must be set |
| `paper`    | llm      | all-MiniLM-L12-v2 | tasksource deberta-v3 | none      | `ppl_model` must be set |

Agreement stands in place of coverage and inference in KFR and KRR; whoever chooses entities, similarity or NLI gets
scores made of these, unless they choose agreement too. Every part can be set by itself; `given` takes what came with
the responses.
"""

from dataclasses import dataclass, fields

from unlearn_bench.judges.settings import JudgeSettings
from unlearn_bench.models.packaged import MINILM_L6
from unlearn_bench.registry import did_you_mean

NANO = "nano"
EMBEDDED_LM = "nano-base"
WORDING_PROMPTS = ("auto", "chat")  # the scale of fluency's factor is that of the chat prompt
NONE = "none"  # a profile without agreement scores by the rules of coverage
AGREEMENT = ("rules", "local", "nli", "llm", "given", "none")
MINILM = "sentence-transformers/all-MiniLM-L12-v2"
DEBERTA = "tasksource/deberta-v3-base-tasksource-nli"
PROFILES: dict[str, dict[str, str | None]] = {
    "offline": {
        "entities": "rules",
        "embedder": "lexical",
        "nli": "rules",
        "agreement": "rules",
        "ppl_model": EMBEDDED_LM,
    },
    "standard": {"entities": "rules", "embedder": MINILM, "nli": DEBERTA, "agreement": NONE, "ppl_model": None},
    "paper": {"entities": "llm", "embedder": MINILM, "nli": DEBERTA, "agreement": NONE, "ppl_model": None},
}


@dataclass(frozen=True)
class Settings(JudgeSettings):
    """What chooses the parts, the judges among them; None leaves the choice to the profile.

    Attributes:
        profile: One of `PROFILES`.
        entities: "rules", "llm" or "given".
        embedder: "lexical", "given", or a sentence-transformers model (packaged name, folder or hub name).
        similarity_threshold: From which similarity on two entities are the same; None for the part's own (paper: 0.8).
        nli: "rules", "given", or a sequence-classification model (folder or hub name).
        agreement: "rules"; "local", with the `agreement_embedder`; "nli", with the model of `nli`; "given"; or "none":
            KFR and KRR then score by coverage (`kfr_rule`, `krr_rule` "auto").
        agreement_embedder: A sentence-transformers model (packaged name, folder or hub name), for "local".
        nli_labels: Names of that model's outputs in their order, comma separated, if its configuration names none.
        ppl_model: "given", an embedded or packaged name, or a causal language model (folder, GGUF file or hub name).
        ppl_prompt: "auto", "chat", "plain" or "released"; see `models.reference_lm`.
        embedder_revision, nli_revision, ppl_revision: Commits at the hub.
        scorer_dtype: Type of the secondary models' weights; float32 gives the same number on every machine.
        llm_model, llm_base_url, llm_api_key_env: The chat model for `entities="llm"`; the key is in that variable.
        llm_json_mode: How JSON is asked for: "json_schema", "json_object" or "none".
        llm_concurrency: Requests at the same time.
        llm_cache: Folder that keeps its answers.
    """

    profile: str = "offline"
    entities: str | None = None
    embedder: str | None = None
    similarity_threshold: float | None = None
    nli: str | None = None
    agreement: str | None = None
    agreement_embedder: str = MINILM_L6
    nli_labels: str | None = None
    ppl_model: str | None = None
    ppl_prompt: str = "auto"
    embedder_revision: str | None = None
    nli_revision: str | None = None
    ppl_revision: str | None = None
    scorer_dtype: str = "float32"
    llm_model: str | None = None
    llm_base_url: str | None = None
    llm_api_key_env: str = "OPENAI_API_KEY"
    llm_json_mode: str = "json_object"
    llm_concurrency: int = 8
    llm_cache: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.profile not in PROFILES:
            raise did_you_mean("profile", self.profile, PROFILES)
        if self.scorer_dtype not in (known := ("float32", "bfloat16", "float16")):
            raise did_you_mean("scorer dtype", self.scorer_dtype, known)

    def _coverage_parts(self) -> tuple[object, ...]:
        return self.entities, self.embedder, self.similarity_threshold, self.nli

    def choice(self, part: str) -> str | None:
        """What was chosen for a part: by itself, else by the profile."""
        own = getattr(self, part)
        if own is None and part == "agreement" and any(value is not None for value in self._coverage_parts()):
            return NONE
        return PROFILES[self.profile][part] if own is None else own

    def of_judges(self) -> JudgeSettings:
        """Those that choose the judges, so that other choices make no second judge."""
        return JudgeSettings(**{f.name: getattr(self, f.name) for f in fields(JudgeSettings)})


SETTINGS: tuple[str, ...] = tuple(f.name for f in fields(Settings))
