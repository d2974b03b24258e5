"""What these tests take for a Dockerfile is what an engine does."""

import pytest

from tests.containers.dockerfile import Copy, Run, context, parse

pytestmark = pytest.mark.pure

TEXT = """# a comment
FROM python:3-slim AS build
ARG MIRROR
ENV A=1 B="two words"
WORKDIR /src
# between
COPY one two/ ./
RUN first \\
 && second
WORKDIR below

FROM python:3-slim
COPY --from=build /src /target
CMD ["/bin/sh", "-c", "true"]
"""


def test_stages_are_read_as_an_engine_reads_them() -> None:
    """Stages, their steps with the directory of each, environment, arguments and command."""
    build, last = parse(TEXT)
    assert (build.base, build.name, build.directory) == ("python:3-slim", "build", "/src/below")
    assert build.environment == {"A": "1", "B": "two words"}
    assert build.arguments == ("MIRROR",)
    assert build.steps == (
        ("/src", Copy("", ("one", "two/"), "./")),
        ("/src", Run("first   && second")),
    )
    assert last.steps == (("/", Copy("build", ("/src",), "/target")),)
    assert last.command == ("/bin/sh", "-c", "true")


@pytest.mark.parametrize("line", ["ENTRYPOINT x", "COPY --chmod=755 a b", "ADD a b", "USER me"])
def test_what_is_not_known_is_refused(line: str) -> None:
    """An instruction that these tests could not carry out does not pass for nothing."""
    with pytest.raises(ValueError, match=line.split(maxsplit=1)[0]):
        parse(f"FROM scratch\n{line}\n")


def test_the_last_pattern_decides_what_a_build_is_given() -> None:
    """A star keeps all out, an exclamation mark lets in again, two stars reach any depth."""
    ignore = "# comment\n*\n!kept\n!one/two.py\n**/__pycache__\n"
    names = ["README", "kept/a.py", "kept/__pycache__/a.pyc", "one/two.py", "one/three.py"]
    assert context(ignore, names) == ["kept/a.py", "one/two.py"]
