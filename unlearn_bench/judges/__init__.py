"""Judges: a language model reads an answer and decides one thing about it; how often it is right is measured first.

| judge       | asks                                             | sees                        | grade 5             |
|-------------|--------------------------------------------------|-----------------------------|---------------------|
| `forget`    | does the answer give the reference's facts away? | question, reference, answer | all is given away   |
| `retain`    | does it correctly say what the reference says?   | question, reference, answer | the same content    |
| `fluency`   | is it well-formed language?                      | question, answer            | without fault       |
| `relevance` | does it respond to the question?                 | question, answer            | exactly what is asked |

ReLearn (arXiv 2502.11190) has GPT-4o and DeepSeek grade the answers of several methods in one request, 1 to 5. Here a
request holds one answer, and a verdict (yes, partly, no) stands beside the grade. `judge_forget` turns the grade round,
so that 5 is forgotten, as in the paper.

    asked.py      the prompts of data/prompts.yaml, filled in
    reading.py    what a reply says: verdict and grade, or why not
    verdicts.py   replies on disk: verdicts.jsonl, which travels with a result
    sources.py    who replies: an endpoint, a local checkpoint, or only the file
    controls.py   the planted cases of data/controls.yaml: how often a judge is right
    judge.py      a judge as evidence is gathered with
    settings.py   from options to judges
"""
