"""YAML that means one thing: a key given twice is refused, where PyYAML takes the last."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import yaml


def unique_keys() -> "type[yaml.SafeLoader]":
    """A safe loader that raises `yaml.YAMLError` at a key that a mapping has twice."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            repeated = {str(key) for key in keys if keys.count(key) > 1}
            if repeated:
                raise yaml.YAMLError(f"the key {sorted(repeated)[0]!r} is given twice")
            return super().construct_mapping(node, deep)

    return Loader
