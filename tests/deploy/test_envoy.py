"""deploy/envoy/envoy.yaml, by Envoy itself in front of three servers."""
from balancing import Balancing
from fleet import Envoy


class TestEnvoy(Balancing):
    kind = Envoy
    retries_refusals = True
