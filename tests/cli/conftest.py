"""Where assertions of the helpers explain themselves, too."""

import pytest

pytest.register_assert_rewrite("tests.cli.pairs", "tests.cli.terminal")
