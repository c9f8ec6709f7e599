"""One file a peer: what to install, and how its worker is started, from its public documentation."""

from __future__ import annotations

from bench.contenders import Peer
from bench.peers import arq, atomiq, bare, bullmq, celery, dramatiq, huey, rq, saq, streaq, taskiq

PEERS: tuple[Peer, ...] = (
    atomiq.PEER,
    rq.PEER,
    huey.PEER,
    dramatiq.PEER,
    celery.PEER,
    bullmq.PEER,
    taskiq.PEER,
    saq.PEER,
    arq.PEER,
    streaq.PEER,
    bare.PEER,
)
