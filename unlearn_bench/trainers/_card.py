"""The model card and the record of a run: what was done to the model, with what data and by which code."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RECORD_FILE = "training.json"
PACKAGES = ("unlearn-bench", "torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers")

_CARD = """---
library_name: {library}
{base_line}tags:
- machine-unlearning
- unlearn-bench
---

# {title}

Made by `unlearn-bench train` with method `{method}` from `{model}`.

| | |
|---|---|
{rows}

Terms of the loss:

| term | side | weight | options |
|---|---|---|---|
{terms}

Data (SHA-256 over the rows):

| set | rows | from | hash |
|---|---|---|---|
{data}

The whole record is in `training.json`, the loss of every step in `trajectory.jsonl`. How well the model forgot is not
said here: score it with `unlearn-bench run`.
"""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change the result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_record(folder: Path, record: Mapping[str, object]) -> None:
    """Write `training.json` and the card `README.md`, which says the same in words."""
    text = json.dumps(record, indent=2, ensure_ascii=False, sort_keys=True)
    (folder / RECORD_FILE).write_text(text + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(record), encoding="utf-8")


def card(record: Mapping[str, object]) -> str:
    """The model card of a record, in Markdown with the hub's front matter."""
    settings, base = record["hyperparameters"], record["model"]
    rows = {
        "seed": record["seed"],
        "steps": record["steps"],
        "minutes": record["minutes"],
        "weights before (SHA-256)": base["weights_sha256"],
        **_origin(base),
        **{kind: record[kind] for kind in ("step", "procedure") if record.get(kind)},
        **{name: value for name, value in settings.items() if value is not None and value != []},
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
    }
    if record.get("divergence"):
        rows["divergence"] = record["divergence"]
    hub_id = base["name"] if base["source"] == "hub" else None
    return _CARD.format(
        library="peft" if settings.get("lora") else "transformers",
        base_line=f"base_model: {hub_id}\n" if hub_id else "",
        title=f"{base['name']} after {record['method']}",
        method=record["method"],
        model=base["name"],
        rows="\n".join(f"| {name} | {_cell(value)} |" for name, value in rows.items()),
        terms="\n".join(
            f"| {t['name']} | {t['side']} | {t['weight']:g} | {_cell(t['options'])} |" for t in record["terms"]
        ),
        data="\n".join(
            f"| {name} | {part['rows']} | {', '.join(part['from'])} | `{part['sha256']}` |"
            for name, part in record["data"].items()
        ),
    )


def _origin(base: Mapping[str, object]) -> dict[str, object]:
    """What became of the adapter that the model came with, and what of its weights was made up."""
    rows = {}
    if base.get("adapter"):
        rows["adapter merged into the model before training"] = f"{base['adapter']} ({base['adapter_sha256']})"
    if base.get("merged_base"):
        rows["base of this adapter"] = f"the folder {base['merged_base']}: the model with that adapter merged"
    if base.get("partial"):
        rows["weights that did not fit before training"] = base["partial"]
    return rows


def _cell(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
