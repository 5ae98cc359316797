"""Load test of a running gateway: what one request costs, as ratios to a bare ASGI app and to a peer.

    python -m benches.gateway --help

Start reading at `scenarios` (what is measured), then `measure` (how), then `budgets` (what must hold).
"""
