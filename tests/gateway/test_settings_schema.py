import msgspec

from gateway import config
from gateway.config.base import Strict
from gateway.settings_schema import help_texts, schema

KINDS = [kind for kind in vars(config).values() if isinstance(kind, type) and issubclass(kind, Strict)]


def test_every_setting_is_explained() -> None:
    unexplained = [
        f"{kind.__name__}.{field.name}"
        for kind in KINDS
        for field in msgspec.structs.fields(kind)
        if field.name not in help_texts(kind)
    ]
    assert unexplained == []


def test_the_schema_has_every_kind_of_settings_with_its_descriptions() -> None:
    made = schema()
    settings = made["$defs"]["Settings"]
    assert made["$ref"] == "#/$defs/Settings"
    assert settings["additionalProperties"] is False
    assert set(settings["properties"]) == {field.name for field in msgspec.structs.fields(config.Settings)}
    assert settings["properties"]["listen"]["description"] == "HOST:PORT for agents; port 0: any free one."
    assert made["$defs"]["DnsSource"]["properties"]["labels"]["description"] == "Of each replica; its own come on top."
