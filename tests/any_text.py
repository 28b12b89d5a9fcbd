"""Any text, for hypothesis."""

from hypothesis import strategies as st

# all that UTF-8 can encode; told by the codec's name, hypothesis tries all 1.1 million code points on a fresh checkout
CHARACTERS = st.characters(exclude_categories=["Cs"])


def any_text(max_size: int) -> st.SearchStrategy[str]:
    return st.text(CHARACTERS, max_size=max_size)
