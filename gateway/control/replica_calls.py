"""The calls that control makes on a replica."""

import grpc.aio
from grpc_health.v1.health_pb2 import HealthCheckRequest
from xds.service.orca.v3.orca_pb2 import OrcaLoadReportRequest

from inference.v1.inference_pb2 import ListModelsRequest


class ReplicaCalls:
    """Answers are bytes: where grpcio cannot parse one, it logs a traceback and returns None instead of raising."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.watch: grpc.aio.UnaryStreamMultiCallable[HealthCheckRequest, bytes] = channel.unary_stream(
            "/grpc.health.v1.Health/Watch", HealthCheckRequest.SerializeToString
        )
        self.check: grpc.aio.UnaryUnaryMultiCallable[HealthCheckRequest, bytes] = channel.unary_unary(
            "/grpc.health.v1.Health/Check", HealthCheckRequest.SerializeToString
        )
        self.list_models: grpc.aio.UnaryUnaryMultiCallable[ListModelsRequest, bytes] = channel.unary_unary(
            "/inference.v1.Inference/ListModels", ListModelsRequest.SerializeToString
        )
        self.load_reports: grpc.aio.UnaryStreamMultiCallable[OrcaLoadReportRequest, bytes] = channel.unary_stream(
            "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics", OrcaLoadReportRequest.SerializeToString
        )
