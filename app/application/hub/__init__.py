"""What reaches which socket of this process, and from where on.

From the pure middle outwards: `place` (what of a slice goes to whom), `sessions` and `feeds` (who hears what), `ranges`
(what was missed, read once for all), `delivering` (the one function that delivers), `catching_up`, `membership`,
`opening`, `streams` (replies as they are written), `outcomes` (how commands ended), `healing` (the poll), and `hub`, the
shell that hears the fan-out and holds them together.
"""
