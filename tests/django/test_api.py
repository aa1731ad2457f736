"""What a project may import: ``__all__`` of the public modules, and docs/api.md, say the same."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
MODULES = {
    module: set(re.findall(r"`(\w+)`", names))
    for module, names in re.findall(r"^\| `(django_userpods[\w.]*)` \| (.+?) \|", TEXT, re.M)
}


@pytest.mark.parametrize("module", MODULES)
def test_a_public_module_has_what_is_documented_and_no_more(module: str) -> None:
    found = import_module(module)
    assert set(found.__all__) == MODULES[module]
    for name in found.__all__:
        assert getattr(found, name) is not None


def test_every_module_with_public_names_is_documented() -> None:
    source = Path(import_module("django_userpods").__file__ or "").parent
    with_all = {
        ".".join(("django_userpods", *path.relative_to(source).with_suffix("").parts))
        for path in source.rglob("*.py")
        if re.search(r"^__all__ = ", path.read_text(), re.M)
    }
    assert {name.removesuffix(".__init__") for name in with_all} == set(MODULES)


def test_importing_the_package_imports_no_django() -> None:
    code = "import sys, django_userpods; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_name_that_is_not_there_is_said_so() -> None:
    package = import_module("django_userpods")
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = package.nonsense
    assert "UserPod" in dir(package)
