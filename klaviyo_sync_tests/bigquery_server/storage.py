"""The Storage Read API over gRPC: sessions over the results of jobs, and streams that go on from a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types

from bigquery_server.state import State

SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"
MESSAGE_ROWS = 1_000
THREADS = 8


class Reading:
    """The two calls that reading needs."""

    def __init__(self, state: State, message_rows: int = MESSAGE_ROWS) -> None:
        self.state, self.message_rows = state, message_rows
        self.streams: dict[str, tuple[pa.Table, Any]] = {}

    def create(self, request: types.CreateReadSessionRequest, context: grpc.ServicerContext) -> types.ReadSession:
        """A session over a result: one stream, or none when it is empty. The right to it is asked of the job's account."""
        self.fail_if_due("CreateReadSession", context)
        name = request.read_session.table.rpartition("/")[2]
        job = next((job for job in self.state.jobs.values() if destination(job.resource) == name), None)
        if job is None or job.table is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Not found: Table {request.read_session.table}")
        assert job is not None
        assert job.table is not None
        if not job.account.read_session_user:
            context.abort(
                grpc.StatusCode.PERMISSION_DENIED,
                "request failed: the user does not have 'bigquery.readsessions.create' permission for 'projects/"
                + self.state.project
                + "'",
            )
        options = request.read_session.read_options.arrow_serialization_options
        session = f"{request.parent}/locations/{self.state.location.lower()}/sessions/{len(self.streams)}"
        streams = [types.ReadStream(name=f"{session}/streams/0")] if job.table.num_rows else []
        for stream in streams:
            self.streams[stream.name] = (job.table, options.buffer_compression)
        schema = types.ArrowSchema(serialized_schema=job.table.schema.serialize().to_pybytes())
        return types.ReadSession(
            name=session, table=request.read_session.table, data_format=types.DataFormat.ARROW, arrow_schema=schema, streams=streams
        )

    def read(self, request: types.ReadRowsRequest, context: grpc.ServicerContext) -> Iterator[types.ReadRowsResponse]:
        """The rows of a stream from an offset on."""
        fault = self.state.fault("ReadRows")
        table, compression = self.streams[request.read_stream]
        codec = "lz4" if compression == types.ArrowSerializationOptions.CompressionCodec.LZ4_FRAME else None
        options, sent = pa.ipc.IpcWriteOptions(compression=codec), 0
        for batch in table.slice(request.offset).to_batches(max_chunksize=self.message_rows):
            if fault is not None and sent >= fault.rows:
                break
            part = types.ArrowRecordBatch(serialized_record_batch=batch_bytes(batch, options), row_count=batch.num_rows)
            yield types.ReadRowsResponse(arrow_record_batch=part, row_count=batch.num_rows)
            sent += batch.num_rows
        if fault is not None:
            abort(context, fault.error)

    def fail_if_due(self, call: str, context: grpc.ServicerContext) -> None:
        """Ends the call with the fault that a test asked for."""
        fault = self.state.fault(call)
        if fault is not None:
            abort(context, fault.error)


def batch_bytes(batch: pa.RecordBatch, options: pa.ipc.IpcWriteOptions) -> bytes:
    """A batch as one message without its schema."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    messages = pa.ipc.MessageReader.open_stream(sink.getvalue())
    messages.read_next_message()
    return messages.read_next_message().serialize().to_pybytes()


def abort(context: grpc.ServicerContext, error: Any) -> None:
    """Ends a call with a status, or with (status, message)."""
    status, message = error if isinstance(error, tuple) else (error, "asked for by a test")
    context.abort(status, message)


def destination(resource: dict[str, Any]) -> str:
    """The id of the table that holds a job's result."""
    return resource["configuration"]["query"]["destinationTable"]["tableId"]


def start(reading: Reading) -> tuple[grpc.Server, int]:
    """A running gRPC server and its port on the loopback interface."""

    def handler(kind: Callable[..., Any], call: Callable[..., Any], request: Any, response: Any) -> Any:
        return kind(call, request_deserializer=request.deserialize, response_serializer=response.serialize)

    server = grpc.server(ThreadPoolExecutor(THREADS), options=[("grpc.max_send_message_length", -1)])
    calls = {
        "CreateReadSession": handler(
            grpc.unary_unary_rpc_method_handler, reading.create, types.CreateReadSessionRequest, types.ReadSession
        ),
        "ReadRows": handler(grpc.unary_stream_rpc_method_handler, reading.read, types.ReadRowsRequest, types.ReadRowsResponse),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, calls),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port
