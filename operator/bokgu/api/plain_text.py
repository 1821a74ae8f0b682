"""Plain text: what others write, in one line that does nothing but stand there.

Control characters move cursors and colour terminals (ECMA-48), line breaks begin lines that nobody has written, and
bidirectional controls and invisible characters make a text read otherwise than it is (Unicode Standard Annex 9;
Unicode Technical Report 36). Texts are made plain where they come in and once more where they go out: as it changes
nothing twice, that is one rule and not two.
"""


def make_plain(text: str) -> str:
    """The text in one line. Line breaks, tabs and other spaces become one space; all else that cannot be seen is
    escaped, such as \\x1b or \\u202e, also half a surrogate pair. What is plain already stays as it is."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))


def make_plain_lines(text: str) -> str:
    """The same for each line of a text whose line breaks are ours."""
    return "\n".join(map(make_plain, text.split("\n")))
