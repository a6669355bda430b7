import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

REAL = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def real():
    if not REAL.is_dir():
        pytest.skip("the real data, ../shared/data beside the repository, are not here")
    return REAL
