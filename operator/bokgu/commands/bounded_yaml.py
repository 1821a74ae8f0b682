"""YAML of files that others may have written, such as in Git: data only, and no more of it than is written there.

Anchors and aliases make a small text expand to more than any machine holds ("billion laughs"). Those that people use
are enough: an alias of a part that has none itself.
"""

from typing import Any

import yaml

MAX_CHARACTERS = 4 * 1024 * 1024
"""Characters of one text: an object of Kubernetes has 1.5 MiB at most, a List several."""
MAX_DEPTH = 100
"""Levels of nesting; our own objects have a dozen."""
MAX_ALIASES = 1000
"""Aliases of one text."""


class _Loader(yaml.SafeLoader):
    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = self._anchors = self._aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node, within bounds. Raises yaml.YAMLError."""
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # The stubs leave it open.
        if isinstance(event, yaml.AliasEvent):
            self._aliases += 1
            if self._anchors or self._aliases > MAX_ALIASES:
                raise yaml.YAMLError(f"aliases that expand to too much{_at(event)}")
        anchored = getattr(event, "anchor", None) is not None and not isinstance(event, yaml.AliasEvent)
        self._depth += 1
        self._anchors += anchored
        if self._depth > MAX_DEPTH:
            raise yaml.YAMLError(f"more than {MAX_DEPTH} levels of nesting{_at(event)}")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1
            self._anchors -= anchored


def _at(event: yaml.Event) -> str:
    return f", line {event.start_mark.line + 1}" if event.start_mark else ""


def load_documents(text: str) -> list[Any]:
    """All documents of a text. Raises yaml.YAMLError and ValueError, also where it is too large, too deep, or would
    expand to too much."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"more than {MAX_CHARACTERS} characters")
    loader = _Loader(text)
    documents = []
    try:
        while loader.check_data():  # type: ignore[no-untyped-call]  # as above
            documents.append(loader.get_data())
    finally:
        loader.dispose()
    return documents
