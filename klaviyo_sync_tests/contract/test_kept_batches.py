"""Batches on disk: the same bytes and rows as in memory, and gone when they are no longer needed."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from klaviyo_sync.core.packing import Batch, import_envelope
from klaviyo_sync.klaviyo.kept_batches import KeptBatches

PROFILES = st.lists(st.text(max_size=20).map(lambda text: f'{{"name":"{text}"}},'), min_size=1, max_size=30)


@settings(deadline=None)  # the first array imports pandas
@given(PROFILES, st.integers(1, 30), st.sampled_from([None, "Y6nRLr"]))
def test_a_batch_on_disk_is_the_same_batch(profiles: list[str], chunk_rows: int, list_id: str | None) -> None:
    """The body is the same however often it is sent, and so are profiles and rows, whatever chunks they come in."""
    chunks = [profiles[start : start + chunk_rows] for start in range(0, len(profiles), chunk_rows)]
    rows = pa.table({"window": pa.array(range(len(profiles)), pa.int32()), "email": [None, *profiles[1:]]})
    batch = Batch(import_envelope(list_id), pa.chunked_array(chunks, pa.large_string()), rows)
    with KeptBatches() as disk:
        kept = disk.keep(batch)
        assert (len(kept), kept.size, len(kept.body())) == (len(batch), batch.size, batch.size)
        assert bytes(kept.body()) == bytes(batch.body()) == b"".join(kept.body())
        assert kept.load().profiles.to_pylist() == profiles
        assert kept.rows.equals(rows)
        kept.drop()
        assert not kept.profiles_file.exists()
        assert not kept.rows_file.exists()
        folder = kept.rows_file.parent
    assert not folder.exists()


def test_a_body_is_read_a_chunk_at_a_time() -> None:
    """While a body is sent, one chunk of it is in memory, not all of them."""
    texts = ["x" * 1_000_000 + ","] * 8
    batch = Batch(
        import_envelope(), pa.chunked_array([[text] for text in texts], pa.large_string()), pa.table({"window": [0] * len(texts)})
    )
    with KeptBatches() as disk:
        kept = disk.keep(batch)
        del batch
        before = pa.total_allocated_bytes()
        assert max(pa.total_allocated_bytes() - before for _ in kept.body()) < 3_000_000
