"""deploy/haproxy/haproxy.cfg, by Debian's HAProxy in front of three servers."""
from balancing import Balancing
from fleet import HAProxy


class TestHAProxy(Balancing):
    kind = HAProxy
