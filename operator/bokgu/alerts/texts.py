"""The texts that ship with Bokgu."""

from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml

from bokgu.api.vocabulary import Language


@cache
def load_templates() -> Mapping[str, str]:
    """Templates of all kinds by `<language>.<kind>`."""
    return {
        f"{language}.{kind}": template
        for language in Language
        for kind, template in _load(language)["templates"].items()
    }


@cache
def load_words() -> Mapping[Language, Mapping[str, str]]:
    """Words that fields are filled with, by language."""
    return {language: _load(language)["words"] for language in Language}


@cache
def _load(language: Language) -> dict[str, dict[str, str]]:
    text = resources.files("bokgu.alerts").joinpath(f"{language}.yaml").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = yaml.safe_load(text)
    return found
