"""The page on plugins does what it says: its files are written, its commands run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mergegraph.testing import tiny_family

GUIDE = Path(__file__).parent.parent / "docs" / "plugins.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def environment(folder):
    """Commands of this Python; pip installs into the folder, from what is there."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(folder / "site"), os.environ.get("PYTHONPATH", "")]),
        "PIP_TARGET": str(folder / "site"),
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as the value of build isolation
    }


def test_every_block_of_the_guide_works(tmp_path):
    pytest.importorskip("hatchling")
    tiny_family(tmp_path / "models", 2)
    blocks = BLOCK.findall(GUIDE.read_text(encoding="utf-8"))
    for language, text in blocks:
        if language != "bash":
            name = text.partition("\n")[0].removeprefix("# ")
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    for command in "\n".join(text for language, text in blocks if language == "bash").splitlines():
        ran = subprocess.run(
            command,
            check=False,
            shell=True,
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert "my-methods 0.1.0" in (tmp_path / "merged" / "mergegraph.json").read_text()


def test_guide_names_every_public_name_for_tests():
    from mergegraph import testing

    text = GUIDE.read_text(encoding="utf-8")
    assert [each for each in testing.__all__ if each not in text] == ["ConformanceError"]
