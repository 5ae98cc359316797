"""How fast every page and every GET route answers over a full store, and how CSV streams: `python -m benches.pages`.

A real gateway serves a store that `benches.million` has filled. Start reading at `questions` (what is asked), then
`asking` (how it is measured).
"""
