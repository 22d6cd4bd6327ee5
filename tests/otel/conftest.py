from collections.abc import Iterator

import pytest

from tests.otel.recording import Recording


@pytest.fixture
def recording() -> Iterator[Recording]:
    recording = Recording()
    yield recording
    recording.close()
