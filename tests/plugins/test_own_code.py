"""What a plugin's source hash covers: the file, and its author's modules that the file imports."""

import hashlib
import json
import shutil
import subprocess
import sys
from importlib.util import spec_from_file_location

import pytest

from fal_bench.errors import PluginError
from fal_bench.plugins.own_code import Root, own_modules
from fal_bench.plugins.registry import Registry

CLASS = """
from fal_bench import {base}

class {title}({base}):
    name = "{name}"
"""


def write(folder, **sources):
    """Write modules, named with ``__`` between package and module, and return the folder."""
    for name, text in sources.items():
        file = folder / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def init(folder, package, text=""):
    (folder / package).mkdir(parents=True, exist_ok=True)
    (folder / package / "__init__.py").write_text(text)


def plugin(imports, name="mine", base="Strategy"):
    return imports + CLASS.format(base=base, name=name, title=name.title().replace("-", ""))


def names(file, **options):
    return [module.name for module in own_modules(Root(file, **options))]


def fingerprint(file, name="mine"):
    return Registry.discover([file]).fingerprint(name)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on the search path, whose modules are forgotten afterwards."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.syspath_prepend(home)
    yield home
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in str(getattr(module, "__file__", "") or ""):
            del sys.modules[name]


def test_a_file_alone_has_the_hash_of_its_bytes(folder):
    imports = "import json, os.path\nimport numpy as np\nimport fal_bench.acquisition.scores\n"
    imports += "import torch\n"
    imports += "from sklearn.cluster import KMeans\n"
    write(folder, mine=plugin(imports), unrelated="")
    content = (folder / "mine.py").read_bytes()
    assert fingerprint(folder / "mine.py") == f"source {hashlib.sha256(content).hexdigest()}"
    assert names(folder / "mine.py") == []


@pytest.mark.parametrize("base", ["Strategy", "Trainer"])
def test_an_edited_module_changes_the_hash_and_an_unrelated_file_does_not(folder, base):
    write(folder, mine=plugin("import helper\n", base=base), helper="from deep import x")
    write(folder, deep="x = 1", unrelated="x = 1")

    def now():
        registry = Registry.discover([folder / "mine.py"])
        table = registry.trainers if base == "Trainer" else registry.strategies
        return table.fingerprint("mine")

    first = now()
    write(folder, unrelated="x = 2", another="import deep")
    (folder / "data.csv").write_text("1")
    assert now() == first
    write(folder, deep="x = 2")
    second = now()
    write(folder, deep="x = 1", helper="from deep import x  # a comment")
    assert len({first, second, now()}) == 3
    write(folder, helper="from deep import x")
    assert now() == first


def test_the_hash_knows_no_paths(folder, tmp_path):
    write(folder, mine=plugin("import helper\n"), helper="x = 1")
    first = fingerprint(folder / "mine.py")
    shutil.copytree(folder, tmp_path / "elsewhere")
    (folder / "helper.py").unlink()
    sys.path.insert(0, str(tmp_path / "elsewhere"))  # the fixture restores it
    assert fingerprint(tmp_path / "elsewhere" / "mine.py") == first


def test_the_same_content_under_another_name_is_another_hash(folder):
    write(folder, mine=plugin("try:\n    import one\nexcept ImportError:\n    import two\n"))
    write(folder, one="x = 1")
    first = fingerprint(folder / "mine.py")
    (folder / "one.py").rename(folder / "two.py")
    assert fingerprint(folder / "mine.py") != first


def test_neither_order_nor_process_changes_the_hash(folder):
    write(folder, a=plugin("import helper\n", "a"), b=plugin("import deep, helper\n", "b"))
    write(folder, helper="def late():\n    import lazy", deep="import helper", lazy="")
    program = (
        "import json, sys; from pathlib import Path; "
        "from fal_bench.plugins.registry import Registry; "
        "registry = Registry.discover([Path(one) for one in sys.argv[2:]], try_first=True); "
        "print(json.dumps([registry.fingerprint(one) for one in sys.argv[1]]))"
    )

    def elsewhere(asked, *files):
        paths = [folder / f"{file}.py" for file in files]
        done = subprocess.run(
            [sys.executable, "-c", program, asked, *paths], env={"PYTHONPATH": str(folder)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    here = Registry.discover([folder / "a.py", folder / "b.py"])
    a, b = here.fingerprint("a"), here.fingerprint("b")
    assert a != b
    assert elsewhere("ab", "a", "b") == [a, b]
    assert elsewhere("ba", "b", "a") == [b, a]
    assert elsewhere("b", "b") == [b]


def test_imports_are_followed_through_packages_cycles_functions_and_branches(folder):
    init(folder, "kit", "from .first import x")
    init(folder, "kit/inner", "")
    write(
        folder,
        mine=plugin("import kit.inner.leaf as leaf\nfrom flat import middle\nimport mine2\n"),
        mine2="import mine",  # the plugin itself, by its other name
        kit__first="from . import second\nfrom .second import *\nx = 1",
        kit__second="import kit.first",
        kit__inner__leaf="from .. import third\nfrom ..inner import sibling\nfrom ....far import x",
        kit__inner__sibling="",
        kit__third="def late():\n    if False:\n        from kit import lazy",
        kit__lazy="",
        kit__unused="",
        flat__deeper__middle2="",  # folders without __init__.py
        flat__middle="from flat.deeper import middle2",
    )
    of_kit = "first inner inner.leaf inner.sibling lazy second third".split()
    expected = ["flat.deeper.middle2", "flat.middle", "kit", *(f"kit.{one}" for one in of_kit)]
    assert names(folder / "mine.py") == [*expected, "mine", "mine2"]


def test_a_missing_optional_module_counts_once_it_is_there(folder):
    optional = "try:\n    import maybe\nexcept Exception:\n    maybe = None\n"
    write(folder, mine=plugin(optional))
    before = fingerprint(folder / "mine.py")
    content = (folder / "mine.py").read_bytes()
    assert before == f"source {hashlib.sha256(content).hexdigest()}"
    write(folder, maybe="this is no Python")
    broken = fingerprint(folder / "mine.py")
    write(folder, maybe="x = 1")
    assert len({before, broken, fingerprint(folder / "mine.py")}) == 3


def test_nothing_is_run_to_find_out(folder):
    text = f"from pathlib import Path\nPath({str(folder / 'ran')!r}).touch()\n"
    init(folder, "kit", text)
    write(folder, mine=plugin("from kit import part\n"), kit__part=text + "import kit.more")
    write(folder, kit__more=text)
    assert names(folder / "mine.py") == ["kit", "kit.more", "kit.part"]
    assert not (folder / "ran").exists()
    assert "kit" not in sys.modules


def test_a_module_beside_a_plugin_that_adds_its_folder_counts(tmp_path, folder):
    away = tmp_path / "away"
    text = "import sys\nfrom pathlib import Path\nsys.path.append(str(Path(__file__).parent))\n"
    write(away, mine=plugin(f"{text}import beside\n"), beside="x = 1")
    first = fingerprint(away / "mine.py")
    assert fingerprint(away / "mine.py") == first
    write(away, beside="x = 2")
    assert fingerprint(away / "mine.py") != first


def test_a_module_that_an_editable_install_maps_elsewhere_counts(folder, tmp_path, monkeypatch):
    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "kit.mapped":
                return spec_from_file_location(name, tmp_path / "away" / "mapped.py")
            return None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    init(folder, "kit")
    write(folder, mine=plugin("import kit.mapped\n"))
    write(tmp_path / "away", mapped="x = 1")
    first = fingerprint(folder / "mine.py")
    write(tmp_path / "away", mapped="x = 22")
    assert fingerprint(folder / "mine.py") != first


def test_a_compiled_module_counts_by_its_bytes(folder):
    from importlib.machinery import EXTENSION_SUFFIXES

    write(folder, mine=plugin("try:\n    import fast\nexcept ImportError:\n    pass\n"))
    compiled = folder / f"fast{EXTENSION_SUFFIXES[0]}"
    compiled.write_bytes(b"import json")
    first = fingerprint(folder / "mine.py")
    compiled.write_bytes(b"import os")
    assert fingerprint(folder / "mine.py") != first


def test_another_module_of_the_same_name_is_refused_not_taken(folder, tmp_path, monkeypatch):
    away = write(tmp_path / "away", helper="x = 2", other=plugin("import helper\n", "other"))
    write(folder, mine=plugin("import helper\n"), helper="x = 1")
    fingerprint(folder / "mine.py")
    monkeypatch.syspath_prepend(away)
    sys.path.remove(str(folder))
    with pytest.raises(PluginError, match=r"'other' .*'helper' .*away"):
        fingerprint(away / "other.py", "other")


class TestInstalled:
    """A package with an entry point, in a folder of installed packages."""

    @pytest.fixture
    def site(self, folder, monkeypatch):
        site = folder / "site-packages"
        init(site, "mykit", "from mykit.core import shared")
        init(site, "mykit/core")
        init(site, "foreign")
        write(
            site,
            mykit__idea=plugin("import foreign\nfrom .core.scores import x\n", "my-idea"),
            mykit__core__shared="",
            mykit__core__scores="from . import shared\nimport json\nx = 1",
            mykit__unused="",
        )
        metadata = site / "mykit-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mykit\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(
            "[fal_bench.strategies]\nmy-idea = mykit.idea:MyIdea\n"
        )
        monkeypatch.syspath_prepend(site)
        return site

    def now(self):
        return Registry.discover().fingerprint("my-idea")

    def test_modules_of_its_own_package_count(self, site):
        first = self.now()
        write(site, mykit__unused="x = 1")
        init(site, "foreign", "x = 1")
        assert self.now() == first
        for change in ("__init__", "core/__init__", "core/shared"):
            (site / "mykit" / f"{change}.py").write_text("x = 1")
            after = self.now()
            assert after != first
            first = after

    def test_it_is_the_new_code_that_is_loaded(self, site):
        def x():
            registry = Registry.discover()
            registry.fingerprint("my-idea")
            return sys.modules[registry.load("my-idea").__module__].x

        assert x() == 1
        write(site, mykit__core__scores="x = 22")
        assert x() == 22

    def test_for_a_plugin_file_installed_packages_are_not_its_own(self, site):
        file = write(site.parent, file=plugin("import mykit.idea\n", "file")) / "file.py"
        assert names(file) == []

    def test_a_module_alone_has_the_hash_of_its_bytes(self, site):
        text = plugin("import json\n", "my-idea")
        write(site, alone=text)
        (site / "mykit-1.0.dist-info" / "entry_points.txt").write_text(
            "[fal_bench.strategies]\nmy-idea = alone:MyIdea\n"
        )
        assert self.now() == f"source {hashlib.sha256(text.encode()).hexdigest()}"
